"""Dialogs in tests: what was asked is remembered, and the answer comes from the test instead of a person."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import slicer
from PySide6 import QtCore

from .modules import qt_module

_MESSAGES = ("errorDisplay", "warningDisplay", "infoDisplay", "delayDisplay")
_QUESTIONS = ("confirmOkCancelDisplay", "confirmYesNoDisplay", "confirmRetryCloseDisplay")
_FILES = ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory")
_INPUTS = ("getText", "getItem", "getInt", "getDouble")
_BOXES = ("information", "question", "warning", "critical")


@dataclass(frozen=True)
class Asked:
    """One dialog that was shown.

    Args:
        kind: name of the function that showed it, such as "errorDisplay" or "getOpenFileName".
        text: what it said.
    """

    kind: str
    text: str


class Dialogs:
    """Stands for the person in front of the dialogs.

    Args:
        patch: undoes everything after the test.
    """

    def __init__(self, patch: pytest.MonkeyPatch):
        self.asked: list[Asked] = []
        self.opened: list[str] = []
        self.unanswered: list[str] = []
        self._answers: list = []
        qt = qt_module()
        for kind in _MESSAGES:
            patch.setattr(slicer.util, kind, self._message(kind))
        for kind in _QUESTIONS:
            patch.setattr(slicer.util, kind, self._question(kind))
        for cls, kinds in ((qt.QFileDialog, _FILES), (qt.QInputDialog, _INPUTS), (qt.QMessageBox, _BOXES)):
            for kind in kinds:
                patch.setattr(cls, kind, staticmethod(self._function(kind)))
        for cls in (qt.QDialog, qt.QMessageBox):
            for kind in ("exec", "exec_"):
                patch.setattr(cls, kind, self._modal(cls), raising=False)
        patch.setattr(qt, "QDesktopServices", types.SimpleNamespace(openUrl=self._open), raising=False)

    @property
    def texts(self) -> list[str]:
        """What was said, in order."""
        return [item.text for item in self.asked]

    def answer(self, *answers) -> None:
        """Answers of the next dialogs, in order.

        True or False for questions, a path or "" for file dialogs, what Qt returns for other functions, and for dialogs
        that the module made itself the text of the button to click or a function that receives the dialog.
        """
        self._answers += answers

    def _next(self, kind: str, text: str):
        self.asked.append(Asked(kind, text))
        if not self._answers:  # remembered too, because the panel makes a sentence of every error
            self.unanswered.append(text)
            raise AssertionError(f"the test does not answer this dialog ({kind}): {text}")
        return self._answers.pop(0)

    def _message(self, kind: str) -> Callable:
        return lambda text, *_arguments, **_options: self.asked.append(Asked(kind, str(text)))

    def _question(self, kind: str) -> Callable:
        return lambda text, *_arguments, **_options: self._next(kind, str(text))

    def _function(self, kind: str) -> Callable:
        """Static functions of Qt: parent, title, and for message boxes the text."""

        def ask(*arguments):
            texts = [item for item in arguments if isinstance(item, str)]
            return self._next(kind, " ".join(texts))

        return ask

    def _modal(self, cls: type) -> Callable:
        """Run the dialog's own event loop, with somebody in it who clicks."""

        def run(dialog) -> int:
            answer = self._next("exec", getattr(dialog, "text", "") or dialog.windowTitle)
            act = answer if callable(answer) else lambda shown: _button(shown, answer).click()
            QtCore.QTimer.singleShot(0, lambda: act(dialog))
            return int(cls._twin.exec(dialog))

        return run

    def _open(self, address) -> bool:
        self.opened.append(address.toString())
        return True


def _button(dialog, text: str):
    buttons = [item for item in dialog.buttons() if item.text.replace("&", "") == text]
    assert buttons, f"no button '{text}' in {[item.text for item in dialog.buttons()]}"
    return buttons[0]
