"""The list of presets: a complete way to register by one choice, and the files of the user's own."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import VoxelMorphError
from ...registration.presets import (
    Preset,
    import_preset,
    is_own_preset,
    own_folder,
    preset_of,
    presets,
    remove_preset,
    save_preset,
)
from .choices import ChoiceBox
from .menus import make_menu, open_folder
from .parameters import chosen_options, panel_options
from .progress_section import ProgressSection

#: What the list shows where model and settings are those of no preset.
CHANGED = ""


class PresetSection:
    """Which preset the model and the settings of a configuration amount to; choosing one changes them.

    A scene keeps the settings and not the preset, so that it means the same where that preset is another or missing.

    Args:
        ui: the widgets by name.
        onChosen: called with a preset when a person chooses one.
        progress: shows sentences.
    """

    def __init__(self, ui, onChosen: Callable[[Preset], None], progress: ProgressSection):
        self.ui, self._onChosen, self._progress = ui, onChosen, progress
        self.known: dict[str, Preset] = {}
        self._own: set[str] = set()
        self._listed: dict[str, str] = {}
        self._parameters = None
        self._box = ChoiceBox(ui.presetComboBox, {}, self._choose)
        self.actions = self._menu()
        self.refresh()

    def refresh(self) -> None:
        """Read the files again."""
        self.known, problems = presets()
        self._own = set(filter(is_own_preset, self.known))
        for problem in problems:
            self._progress.say(problem, error=True)

    def update(self, parameters) -> None:
        """Show the preset that a configuration amounts to, or that there is none."""
        self._parameters = parameters
        name = CHANGED
        if parameters is not None:
            name = preset_of(parameters.model, chosen_options(parameters), self.known)
        self._list(name)
        self._box.show(name)
        preset = self.known.get(name)
        self.ui.presetComboBox.toolTip = (
            _(preset.description) if preset is not None else _("Model and settings are those of no preset")
        )
        self.actions["savePresetAction"].enabled = parameters is not None and not name
        self.actions["deletePresetAction"].enabled = name in self._own

    def onSave(self) -> None:
        """Ask for a title and keep the model and the settings under it."""
        title = qt.QInputDialog.getText(
            slicer.util.mainWindow(), _("Save as preset"), _("Title of the preset:"), qt.QLineEdit.Normal, ""
        )
        if title:
            self._change(lambda: self.save(title), _("{title} was saved").format(title=title))

    def save(self, title: str) -> None:
        """Keep the model and the settings under a title.

        Raises:
            ConfigError, OutputError: they cannot be kept.
        """
        save_preset(Preset.of(title, self._parameters.model, chosen_options(self._parameters)))

    def onImport(self) -> None:
        """Ask for the file of a preset and keep a copy."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Import a preset"), "", _("Presets ({patterns})").format(patterns="*.json")
        )
        if path:
            self._change(lambda: self._choose(self._imported(path)), _("The preset was imported"))

    def onDelete(self) -> None:
        """Delete the file of the preset after a question."""
        name = self._box.value
        question = _("Delete the preset {title}?").format(title=self.ui.presetComboBox.currentText)
        if slicer.util.confirmOkCancelDisplay(question, _("Delete the preset")):
            self._change(lambda: remove_preset(name), _("The preset was deleted"))

    def onOpenFolder(self) -> None:
        """Show the folder of the user's own presets in the file manager."""
        try:
            open_folder(own_folder())
        except VoxelMorphError as error:
            self._progress.say(_("The folder of presets cannot be opened: {error}").format(error=error), error=True)

    def _imported(self, path: str) -> str:
        name = import_preset(path)
        self.refresh()
        return name

    def _change(self, work: Callable[[], None], done: str) -> None:
        """Change the files of presets, and say how it went."""
        try:
            work()
        except VoxelMorphError as error:
            self._progress.say(str(error), error=True)
            return
        self.refresh()
        self.update(self._parameters)
        self._progress.say(done)

    def _choose(self, name: str) -> None:
        if name in self.known:
            self._onChosen(self.known[name])

    def _list(self, name: str) -> None:
        """Offer the presets, and what is no preset only where that is shown."""
        choices = {known: _(preset.title) for known, preset in self.known.items()}
        if name == CHANGED:
            choices = {CHANGED: _("Own settings"), **choices}
        if choices != self._listed:
            self._listed = choices
            self._box.setChoices(choices)

    def _menu(self) -> dict[str, qt.QAction]:
        items = (
            ("savePresetAction", _("Save the settings as a preset..."), self.onSave),
            ("importPresetAction", _("Import a preset..."), self.onImport),
            ("deletePresetAction", _("Delete the preset"), self.onDelete),
            ("openPresetFolderAction", _("Open the folder of presets"), self.onOpenFolder),
        )
        return make_menu(self.ui.presetMenuButton, items)


def take_preset(parameters, preset: Preset) -> None:
    """Give a configuration the model and the settings of a preset; what belongs to the machine stays."""
    options = preset.applied(chosen_options(parameters))
    with slicer.util.NodeModify(parameters.parameterNode):  # what is shown follows all at once
        parameters.model = preset.model
        for option in panel_options():
            setattr(parameters, option.name, getattr(options, option.field))
