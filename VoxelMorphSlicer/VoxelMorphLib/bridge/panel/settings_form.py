"""The widgets of the registration's options, made from what their fields say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from ...core.config import RegistrationOptions
from ...core.options import Option
from .choices import ChoiceBox
from .parameters import panel_options

#: Section, and row or None for the last, of options that do not stand among the settings.
_PLACES = {
    "refine": ("inputsSection", 4),
    "smoothness": ("inputsSection", None),
    "hyper": ("inputsSection", None),
    "affine": ("startSection", None),
    "labelWeight": ("evaluationSection", 3),
    "landmarkWeight": ("evaluationSection", None),
}
#: Rows of the settings that stand above the options.
_ROWS_ABOVE = 1


class SettingsForm:
    """One row for each option, with its title, its help as a tooltip, and the widget that fits its values.

    Args:
        ui: the widgets by name; it gets the new ones. An option that has a widget already, as the device has, gets no
            row.
        onChosen: called with the name of the option and the value when a person chooses another item.
        config: dataclass with described fields.
    """

    def __init__(self, ui, onChosen: Callable[[str, str], None], config: type = RegistrationOptions):
        self.boxes: dict[str, ChoiceBox] = {}
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._onChosen = onChosen
        count = _ROWS_ABOVE
        for option in panel_options(config):
            if any(hasattr(ui, option.name + suffix) for suffix in _SUFFIXES):
                continue
            row = self._row(option)
            section, index = _PLACES.get(option.name, ("settingsSection", count))
            layout = getattr(ui, section).layout()
            layout.insertRow(layout.rowCount() if index is None else index, *row)
            count += section == "settingsSection"
            for widget in row:
                widget.toolTip = _(option.sentence)
                setattr(ui, widget.objectName, widget)
            self._rows[option.name] = row

    def enable(self, name: str, enabled: bool) -> None:
        """Let a person change an option, where it means something."""
        for widget in self._rows[name]:
            widget.enabled = enabled

    def offer(self, name: str, offered: bool) -> None:
        """Show the row of an option only where it means something."""
        self.enable(name, offered)
        for widget in self._rows[name]:
            widget.visible = offered

    def _row(self, option: Option) -> tuple[Any, ...]:
        """The label and the widget of an option; a check box has its own text."""
        widget = self._widget(option)
        if option.kind is bool:
            widget.text = _(option.title)
            return (widget,)
        label = qt.QLabel(_("{title}:").format(title=_(option.title)))
        label.objectName = f"{option.name}Label"
        return label, widget

    def _widget(self, option: Option) -> Any:
        if option.choices:
            return self._comboBox(option)
        kind, suffix = _KINDS[option.kind]
        widget = kind()
        widget.objectName = f"{option.name}{suffix}"
        widget.setProperty("SlicerParameterName", option.name)
        if option.kind is float:
            _fit(widget, option)
        return widget

    def _comboBox(self, option: Option) -> Any:
        comboBox = qt.QComboBox()
        comboBox.objectName = f"{option.name}ComboBox"
        comboBox.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
        comboBox.minimumContentsLength = 12
        texts = {value: _(text) for value, text in option.choices.items()}
        self.boxes[option.name] = ChoiceBox(comboBox, texts, lambda value: self._onChosen(option.name, value))
        return comboBox


#: Class of the widget and end of its name for each type of value.
_KINDS = {
    bool: (qt.QCheckBox, "CheckBox"),
    int: (qt.QSpinBox, "SpinBox"),
    float: (ctk.ctkSliderWidget, "Slider"),
    str: (qt.QLineEdit, "Edit"),
}
#: What the names of widgets end with.
_SUFFIXES = ("ComboBox", *(suffix for _kind, suffix in _KINDS.values()))


def _fit(slider, option: Option) -> None:
    """Give a slider the limits and the steps of its option."""
    low, high = option.limits_in_panel
    step = option.step or (high - low) / 100
    slider.decimals = max(0, math.ceil(-math.log10(step)))
    slider.minimum, slider.maximum = low, high
    slider.singleStep, slider.pageStep = step, min(10 * step, (high - low) / 4)
    slider.suffix = f" {option.unit}" if option.unit else ""
    slider.value = option.default
