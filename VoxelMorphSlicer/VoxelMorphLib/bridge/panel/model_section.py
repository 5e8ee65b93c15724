"""The list of models with what people need to choose one; import, delete, open folder, agreement with licences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import OutputError, VoxelMorphError
from ...weights.architectures import OPTIMISE
from ...weights.catalogue import CATALOGUE_NAME, load_catalogue
from ...weights.entry import ModelEntry, supports_regularisation
from ...weights.folders import BUNDLED_FOLDER, default_cache_folder
from ...weights.own_models import is_own, remove_from_catalogue
from ...weights.store import delete_downloaded, downloaded_files, state, unfinished_bytes
from ..background.steps import Steps
from .choices import ChoiceBox
from .model_files import SUFFIXES, facts_of, import_steps, imported_files, licence_question, remove_imported, title_of
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
        self._box = ChoiceBox(ui.modelComboBox, {}, self._choose)
        ui.importModelButton.connect("clicked(bool)", self.onImport)
        ui.deleteModelButton.connect("clicked(bool)", self.onDelete)
        ui.openModelFolderButton.connect("clicked(bool)", self.onOpenFolder)
        self.refresh()

    @property
    def value(self) -> str:
        """The chosen id or path."""
        return self._box.value

    def show(self, model: str) -> bool:
        """Show a model as chosen; False where this installation does not have it."""
        known = self._box.show(model)
        self._describe()
        return known

    def refresh(self) -> None:
        """Read the catalogue and the folder of models again."""
        try:
            entries = load_catalogue()
        except VoxelMorphError as error:  # of the user's own catalogue, or no place for one
            self._progress.say(str(error), error=True)
            entries = self.entries or load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME)
        self.entries = {name: entry for name, entry in entries.items() if entry.available}
        choices = {name: title_of(entry, self._state(entry)) for name, entry in self.entries.items()}
        try:
            choices.update((str(path), _("{name} (imported)").format(name=path.name)) for path in imported_files())
        except VoxelMorphError as error:  # a folder that cannot be used does not take the other models away
            self._progress.say(str(error), error=True)
        self._box.setChoices(choices)
        self._describe()

    def supportsSmoothness(self, model: str) -> bool:
        """Whether smoothness and time limit mean anything to a model."""
        return model in self.entries and self.entries[model].architecture == OPTIMISE

    def supportsHyper(self, model: str) -> bool:
        """Whether regularity means anything to a model; of imported files nobody knows before they are read."""
        return supports_regularisation(self.entries[model]) if model in self.entries else bool(model)

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
            folder = default_cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
        except (VoxelMorphError, OSError) as error:
            self._progress.say(_("The folder of models cannot be opened: {error}").format(error=error), error=True)
            return
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def _remove(self, model: str) -> None:
        if model not in self.entries:
            remove_imported(Path(model))
        elif is_own(model):
            delete_downloaded(self.entries[model])  # with the pieces that nobody could name afterwards
            remove_from_catalogue(model)
        elif not delete_downloaded(self.entries[model]):
            raise OutputError(_("There is no downloaded file of this model."))

    def _choose(self, model: str) -> None:
        self._describe()
        self._onChosen(model)

    def _describe(self) -> None:
        entry = self.entries.get(self.value)
        self.ui.deleteModelButton.enabled = self._isDeletable(entry)
        if entry is None:
            known = bool(self.value)
            self.ui.modelDescriptionLabel.text = (
                _("Your own weights; the network is found from the file.") if known else ""
            )
            self.ui.modelFactsLabel.text = self.value
            return
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
