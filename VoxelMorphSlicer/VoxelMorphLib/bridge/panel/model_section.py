"""The list of models with what people need to choose one; import, delete, open folder, agreement with licences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import OutputError, VoxelMorphError
from ...weights.architectures import LINEAR, OPTIMISE, WITHOUT_WEIGHTS
from ...weights.catalogue import CATALOGUE_NAME, catalogue_problems, load_catalogue
from ...weights.entry import STARTS, ModelEntry, supports_regularisation, takes_extent, tasks_of
from ...weights.folders import BUNDLED_FOLDER, default_cache_folder
from ...weights.own_models import is_own, remove_from_catalogue
from ...weights.store import delete_downloaded, downloaded_files, state, unfinished_bytes
from ..background.steps import Steps
from .choices import ChoiceBox
from .menus import make_menu, open_folder
from .model_files import SUFFIXES, facts_of, import_steps, imported_files, licence_question, remove_imported, title_of
from .model_fit import ModelFit
from .progress_section import ProgressSection

#: Setting under which the licences that a person agreed to are kept, as ids of models.
APPROVED_KEY = "VoxelMorph/ApprovedLicences"
#: Models under the licence of the extension itself need no separate agreement.
OWN_LICENCE = "Apache-2.0"


class ModelSection:
    """Which model is chosen.

    Args:
        ui: the widgets by name.
        onChosen: called with the id, or the path of an imported file, when a person chooses another model.
        progress: shows how far an import is, and sentences.
        work: does steps while the panel stays usable; called with what to say meanwhile and the steps.
    """

    def __init__(
        self, ui, onChosen: Callable[[str], None], progress: ProgressSection, work: Callable[[str, Steps], None]
    ):
        self.ui, self._onChosen, self._progress, self._work = ui, onChosen, progress, work
        self.entries: dict[str, ModelEntry] = {}
        self.fit = ModelFit()
        self._task, self._titles, self._listed = "deformable", {}, {}
        self._box = ChoiceBox(ui.modelComboBox, {}, self._choose)
        self.actions = self._menu()
        self.refresh()

    @property
    def value(self) -> str:
        """The chosen id or path."""
        return self._box.value

    def show(self, model: str, start: str) -> bool:
        """Show a model as chosen, among those of its task; False where this installation does not have it.

        Args:
            model: id, or path of an imported file.
            start: the alignment before it.
        """
        if model not in self._titles:
            return False
        self._task = self.task(model, start)
        self._list()
        known = self._box.show(model)
        self._describe()
        return known

    def task(self, model: str, start: str) -> str:
        """What a model does with a start, one of `TASKS`."""
        if start == "landmarks-thin-plate":
            return "deformable"
        tasks, map_of_start = tasks_of(self.entries.get(model)), start.removeprefix("landmarks-")
        first = tasks[0] if tasks else "deformable"
        return next((task for task in tasks if len(tasks) > 1 and STARTS[task] == map_of_start), first)

    def modelFor(self, task: str, model: str) -> str:
        """The model to begin with for a task: the one that is chosen where it does it, else one without weights."""
        if task in tasks_of(self.entries.get(model)):
            return model
        return OPTIMISE if task == "deformable" else LINEAR

    def startFor(self, task: str, model: str) -> str:
        """The start with which a model does a task."""
        return STARTS[task] if model == LINEAR else "auto"

    def refresh(self) -> None:
        """Read the catalogue and the folder of models again."""
        try:
            entries = load_catalogue()
            for problem in catalogue_problems():
                self._progress.say(problem, error=True)
        except VoxelMorphError as error:  # no place for a catalogue of the user
            self._progress.say(str(error), error=True)
            entries = self.entries or load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME)
        self.entries = {name: entry for name, entry in entries.items() if entry.available}
        self._titles = {name: title_of(entry, self._state(entry)) for name, entry in self.entries.items()}
        try:
            imported = imported_files()
            self._titles.update((str(path), _("{name} (imported)").format(name=path.name)) for path in imported)
        except VoxelMorphError as error:  # a folder that cannot be used does not take the other models away
            self._progress.say(str(error), error=True)
        self._list()
        self._describe()

    def supportsSmoothness(self, model: str, refine: str) -> bool:
        """Whether smoothness and time limit mean anything to a model: where something is optimised."""
        if model in self.entries and self.entries[model].architecture == OPTIMISE:
            return True
        return refine not in ("auto", "none") and "deformable" in tasks_of(self.entries.get(model))

    def supportsHyper(self, model: str) -> bool:
        """Whether regularity means anything to a model; of imported files nobody knows before they are read."""
        return supports_regularisation(self.entries[model]) if model in self.entries else bool(model)

    def supportsExtent(self, model: str) -> bool:
        """Whether the extent of the grid means anything to a model; of imported files nobody knows."""
        return takes_extent(self.entries[model]) if model in self.entries else bool(model)

    def isNetwork(self, model: str) -> bool:
        """Whether a model has weights, so that options of networks mean something to it."""
        return model not in self.entries or self.entries[model].architecture not in WITHOUT_WEIGHTS

    def approve(self, model: str) -> bool:
        """Ask once per model for agreement with a licence other than the extension's own; own models need none."""
        entry = self.entries.get(model)
        if entry is None or entry.file is None or entry.licence == OWN_LICENCE or not _isListed(model):
            return True
        settings = slicer.app.userSettings()
        approved = [name for name in (settings.value(APPROVED_KEY) or "").split(",") if name]
        if model in approved:
            return True
        if not slicer.util.confirmOkCancelDisplay(licence_question(entry), _("Licence of the model")):
            return False
        settings.setValue(APPROVED_KEY, ",".join([*approved, model]))
        return True

    def onImport(self) -> None:
        """Ask for a weight file and import it."""
        patterns = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Import weights"), "", _("Weights ({patterns})").format(patterns=patterns)
        )
        if path:
            self.importFile(path)

    def importFile(self, path: str) -> None:
        """Copy a weight file into the folder of models, which may take minutes, and choose it."""
        self._work(_("Copying {name}").format(name=Path(path).name), self._importing(path))

    def _importing(self, path: str) -> Steps:
        target = yield from import_steps(path, self._progress.progress)
        self.refresh()
        self._box.show(str(target))
        self._choose(str(target))
        return _("{name} was imported").format(name=target.name)

    def onDelete(self) -> None:
        """Remove the chosen model's file after a question."""
        model = self.value
        question = _("Remove the file of {model} from the folder of models?").format(
            model=self.ui.modelComboBox.currentText
        )
        if not slicer.util.confirmOkCancelDisplay(question, _("Delete the model's file")):
            return
        try:
            self._remove(model)
        except VoxelMorphError as error:
            self._progress.say(str(error), error=True)
            return
        self.refresh()
        if self.value != model:
            self._choose(self.value)
        self._progress.say(_("The file was removed"))

    def onOpenFolder(self) -> None:
        """Show the folder of models in the file manager."""
        try:
            open_folder(default_cache_folder())
        except VoxelMorphError as error:
            self._progress.say(_("The folder of models cannot be opened: {error}").format(error=error), error=True)

    def _remove(self, model: str) -> None:
        if model not in self.entries:
            remove_imported(Path(model))
        elif is_own(model):
            delete_downloaded(self.entries[model])  # with the pieces that nobody could name afterwards
            remove_from_catalogue(model)
        elif not delete_downloaded(self.entries[model]):
            raise OutputError(_("There is no downloaded file of this model."))

    def _menu(self) -> dict[str, qt.QAction]:
        """Import, delete and show files, behind one button."""
        items = (
            ("importModelAction", _("Import weights..."), self.onImport),
            ("deleteModelAction", _("Delete the model's file"), self.onDelete),
            ("openModelFolderAction", _("Open the folder of models"), self.onOpenFolder),
        )
        return make_menu(self.ui.modelMenuButton, items)

    def _list(self) -> None:
        """Offer the models that do the task."""
        names = [*self.fit.order(self.entries), *(name for name in self._titles if name not in self.entries)]
        names = [name for name in names if self._task in tasks_of(self.entries.get(name))]
        choices = {name: self._text(name) for name in names}
        if choices != self._listed:
            self._listed = choices
            self._box.setChoices(choices)

    def _text(self, name: str) -> str:
        mark = self.fit.mark(self.entries.get(name))
        return f"{self._titles[name]} - {mark}" if mark else self._titles[name]

    def _choose(self, model: str) -> None:
        self._describe()
        self._onChosen(model)

    def _describe(self) -> None:
        entry = self.entries.get(self.value)
        self.actions["deleteModelAction"].enabled = self._isDeletable(entry)
        if entry is None:
            known = bool(self.value)
            self.ui.modelDescriptionLabel.text = (
                _("Your own weights; the network is found from the file.") if known else ""
            )
            self.ui.modelFitLabel.text = self.ui.modelDescriptionLabel.text
            self.ui.modelFactsLabel.text = self.value
            return
        self.ui.modelFitLabel.text = self.fit.line(entry, self.entries)
        self.ui.modelDescriptionLabel.text = entry.description
        facts = facts_of(entry, self._state(entry), self._ask(unfinished_bytes, entry, 0))
        self.ui.modelFactsLabel.text = " \u00b7 ".join(facts)
        self.ui.modelComboBox.toolTip = entry.citation or entry.description

    def _isDeletable(self, entry: ModelEntry | None) -> bool:
        if entry is None:
            return bool(self.value)
        is_own = entry.url is None and entry.file is not None and self._state(entry) != "bundled"
        return is_own or bool(self._ask(downloaded_files, entry, []))

    def _state(self, entry: ModelEntry) -> str:
        return self._ask(state, entry, "to download")

    def _ask(self, question: Callable, entry: ModelEntry, unknown):
        """What the store says about a model; `unknown` without a place for models, told when one is used."""
        try:
            return question(entry)
        except (VoxelMorphError, OSError):
            return unknown


def _isListed(model: str) -> bool:
    """Whether the extension itself offers a model, whatever became of the user's own catalogue meanwhile."""
    return model in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME)
