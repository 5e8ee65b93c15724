"""The widgets of the training's options: what they show of a configuration, and what a person makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import ConfigError
from ...core.options import Option
from ...training.options import TrainingConfig
from ...training.recipes import all_options, config_json
from ..actions.training_settings import parsed
from .choices import ChoiceBox

#: Widgets by the option that they show.
PATHS = {
    "image_list": "trainingImageListEdit",
    "label_list": "trainingLabelListEdit",
    "atlas": "trainingAtlasEdit",
    "attributes": "trainingAttributesEdit",
    "validation_list": "trainingValidationListEdit",
    "validation_label_list": "trainingValidationLabelListEdit",
    "output_dir": "trainingOutputDirEdit",
}
WHOLES = {
    "ncc_window": "trainingNccWindowSpinBox",
    "epochs": "trainingEpochsSpinBox",
    "steps_per_epoch": "trainingStepsSpinBox",
    "batch_size": "trainingBatchSpinBox",
    "seed": "trainingSeedSpinBox",
}
TEXTS = {
    "smoothness": "trainingSmoothnessEdit",
    "dice_weight": "trainingDiceWeightEdit",
    "lr": "trainingRateEdit",
    "shape": "trainingShapeEdit",
    "voxel_size": "trainingVoxelSizeEdit",
}
BOXES = {
    "recipe": "trainingRecipeComboBox",
    "image_loss": "trainingImageLossComboBox",
    "ncc_form": "trainingNccFormComboBox",
    "device": "trainingDeviceComboBox",
    "precision": "trainingPrecisionComboBox",
}
FOLDER_BUTTONS = {"image_list": "trainingImageFolderButton", "label_list": "trainingLabelFolderButton"}


class TrainingForm:
    """Shows configurations.

    Args:
        ui: the widgets by name.
        recipes: title of each recipe.
        onChanged: called with an option and its value, or the text that stands for one, when a person changes it;
            the name of the recipe counts as the option "recipe".
        onText: called with the text under "More options" when a person changes it.
    """

    def __init__(
        self, ui, recipes: dict[str, str], onChanged: Callable[[str, Any], None], onText: Callable[[str], None]
    ):
        self.ui, self._onChanged, self._onText = ui, onChanged, onText
        self._showing = False
        choices = {"recipe": recipes, "device": {"auto": _("Automatic")}}
        for name, option in all_options().items():
            self._describe(name, option)
            choices.setdefault(name, {value: _(text) for value, text in option.choices.items()})
        self._boxes = {
            name: ChoiceBox(getattr(ui, widget), choices[name], lambda value, name=name: self._change(name, value))
            for name, widget in BOXES.items()
        }
        self._connect()
        ui.trainingOptionsEdit.connect("textChanged()", self._onTextChanged)
        for edit in (ui.trainingOptionsEdit, ui.trainingPlanEdit):
            font = qt.QFont("monospace")
            font.setStyleHint(qt.QFont.Monospace)
            edit.setFont(font)

    def setDevices(self, choices: dict[str, str]) -> None:
        """Offer these devices."""
        self._boxes["device"].setChoices(choices)

    def show(self, config: TrainingConfig, keepText: bool = False, wrong: Collection[str] = ()) -> None:
        """Show a configuration.

        Args:
            config: what is shown.
            keepText: leave the text under "More options" as it was typed.
            wrong: options whose widgets hold what cannot be used, which stays to be corrected.
        """
        self._showing = True
        try:
            self._show(config, wrong)
            if not keepText:
                self.ui.trainingOptionsEdit.plainText = config_json(config)
        finally:
            self._showing = False

    def enable(self, enabled: bool, config: TrainingConfig | None, wordsOnly: bool = False) -> None:
        """Let a person change the options that a recipe has.

        Args:
            enabled: whether anything may be changed.
            config: what is shown; None where nothing is.
            wordsOnly: only the text under "More options", which must be corrected first.
        """
        self.ui.trainingOptionsEdit.enabled = enabled
        for widgets in (PATHS, WHOLES, TEXTS, BOXES, FOLDER_BUTTONS):
            for name, widget in widgets.items():
                known = name == "recipe" or hasattr(config, name)
                getattr(self.ui, widget).enabled = enabled and known and not wordsOnly and self._matters(config, name)

    def _describe(self, name: str, option: Option) -> None:
        """Give the widget of an option, where there is one, its tooltip and its limits."""
        for widgets in (PATHS, WHOLES, TEXTS, BOXES):
            if name in widgets and name != "device":
                getattr(self.ui, widgets[name]).toolTip = _(option.sentence)
        if name in WHOLES:
            spinBox = getattr(self.ui, WHOLES[name])
            spinBox.minimum, spinBox.maximum = option.low, option.high

    def _matters(self, config: TrainingConfig | None, name: str) -> bool:
        return not name.startswith("ncc_") or (config is not None and config.image_loss == "ncc")

    def _show(self, config: TrainingConfig, wrong: Collection[str]) -> None:
        for name, box in self._boxes.items():
            value = getattr(config, name)
            if not box.show(value):
                self._boxes[name].comboBox.addItem(value, value)
                box.show(value)
        for name, widget in PATHS.items():
            edit, value = getattr(self.ui, widget), getattr(config, name)
            if edit.currentPath != value:
                edit.currentPath = value
        for name, widget in WHOLES.items():
            if name not in wrong:
                getattr(self.ui, widget).value = getattr(config, name)
        for name, widget in TEXTS.items():
            if name not in wrong:
                self._showText(getattr(self.ui, widget), config, name)

    def _showText(self, edit, config: TrainingConfig, name: str) -> None:
        """Leave what was typed where it means the value already: "1e-4" stays "1e-4"."""
        if not hasattr(config, name):
            edit.text = ""
            return
        value = getattr(config, name)
        try:
            is_shown = bool(edit.text) and parsed(config, name, edit.text) == value
        except ConfigError:
            is_shown = False
        if not is_shown:
            edit.text = ", ".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"

    def _connect(self) -> None:
        ui = self.ui
        for signal, widgets in (
            ("currentPathChanged(QString)", PATHS),
            ("valueChanged(int)", WHOLES),
            ("textChanged(QString)", TEXTS),
        ):
            for name, widget in widgets.items():
                getattr(ui, widget).connect(signal, lambda value, name=name: self._change(name, value))
        for name, widget in PATHS.items():  # CTK does not call an emptied line a change of its path
            edit = getattr(ui, widget)
            edit.connect(
                "validInputChanged(bool)", lambda _valid, name=name, edit=edit: self._change(name, edit.currentPath)
            )
        for name, widget in FOLDER_BUTTONS.items():
            getattr(ui, widget).connect("clicked(bool)", lambda _checked, name=name: self._chooseFolder(name))
        edit = ui.trainingOutputDirEdit
        edit.filters = type(edit).Dirs  # browses for a folder, not for a file

    def _chooseFolder(self, name: str) -> None:
        edit = getattr(self.ui, PATHS[name])
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Choose a folder"), edit.currentPath)
        if folder:
            edit.currentPath = folder

    def _change(self, name: str, value: Any) -> None:
        if not self._showing:
            self._onChanged(name, value)

    def _onTextChanged(self) -> None:
        if not self._showing:
            self._onText(self.ui.trainingOptionsEdit.plainText)
