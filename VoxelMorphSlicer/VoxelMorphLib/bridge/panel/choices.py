"""A combo box whose choices stand for text values of the parameter node."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class ChoiceBox:
    """Choices with a text for people and a value for scenes.

    Args:
        comboBox: the widget; its items are replaced.
        choices: text of each value, in order.
        onChosen: called with the value when a person chooses another one.
    """

    def __init__(self, comboBox, choices: Mapping[str, str], onChosen: Callable[[str], None]):
        self.comboBox, self._onChosen = comboBox, onChosen
        self.setChoices(choices)
        comboBox.connect("activated(int)", self._onActivated)

    @property
    def value(self) -> str:
        """The chosen value, "" while there is nothing to choose."""
        return self.comboBox.currentData or ""

    @property
    def first(self) -> str:
        """The value of the first choice, which is the default."""
        return self.comboBox.itemData(0)

    def has(self, value: str) -> bool:
        """Whether `value` can be chosen."""
        return self.comboBox.findData(value) >= 0

    def setChoices(self, choices: Mapping[str, str]) -> None:
        """Replace the choices; the chosen value stays chosen where it still exists."""
        chosen = self.value
        self.comboBox.clear()
        for value, text in choices.items():
            self.comboBox.addItem(text, value)
        self.show(chosen)

    def show(self, value: str) -> bool:
        """Show `value` as chosen; without effect and False when there is no such choice."""
        if not self.has(value):
            return False
        self.comboBox.setCurrentIndex(self.comboBox.findData(value))
        return True

    def _onActivated(self, _index: int) -> None:
        self._onChosen(self.value)
