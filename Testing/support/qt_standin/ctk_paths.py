"""Widgets of CTK that choose files and folders."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal

from .ctk_widgets import stored
from .declare import stand_in
from .strict import emit, inner, strict


def _row(widget, *parts: QtWidgets.QWidget) -> None:
    layout = inner(QtWidgets.QHBoxLayout(widget))
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)


@stand_in(
    methods=["setCurrentPath", "browse", "addCurrentPathToHistory"],
    signals=["currentPathChanged(QString)", "validInputChanged(bool)"],
)
class ctkPathLineEdit(strict(QtWidgets.QWidget)):
    """A path that can be typed or browsed for."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._edit, button = inner(QtWidgets.QLineEdit()), inner(QtWidgets.QToolButton())
        button.setText("...")
        _row(self, self._edit, button)
        self._stored = {"settingKey": "", "nameFilters": [], "label": "", "showHistoryButton": True}
        self._edit.textChanged.connect(self._text_changed)
        button.clicked.connect(lambda _checked: self.browse())

    def _text_changed(self, text: str) -> None:
        emit(self, "currentPathChanged", text)
        emit(self, "validInputChanged", bool(text) and Path(text).exists())

    def setCurrentPath(self, path: str) -> None:
        """Absolute or relative; it need not exist."""
        self._edit.setText(path)

    def browse(self) -> None:
        """Ask for a file."""
        import qt

        path = qt.QFileDialog.getOpenFileName(self, "", self._edit.text(), ";;".join(self._stored["nameFilters"]))
        if path:
            self._edit.setText(path)

    def addCurrentPathToHistory(self) -> None:
        """The stand-in keeps no history."""

    currentPath = Property(str, lambda self: self._edit.text(), setCurrentPath)
    nameFilters = stored("nameFilters", "QStringList")
    settingKey = stored("settingKey", str)
    label = stored("label", str)
    showHistoryButton = stored("showHistoryButton", bool)


@stand_in(methods=["browse"], signals=["directoryChanged(QString)", "directorySelected(QString)"])
class ctkDirectoryButton(strict(QtWidgets.QWidget)):
    """A button that shows a folder and asks for another one."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, *arguments):
        super().__init__(*[item for item in arguments if not isinstance(item, str)])
        self._button = inner(QtWidgets.QPushButton())
        _row(self, self._button)
        self._stored = {"caption": "", "text": ""}
        self._folder = ""
        self._choose(next((item for item in arguments if isinstance(item, str)), "."))
        self._button.clicked.connect(lambda _checked: self.browse())

    def _choose(self, folder: str) -> None:
        folder = str(Path(folder).absolute())
        if folder != self._folder:
            self._folder = folder
            self._button.setText(folder)
            emit(self, "directoryChanged", folder)

    def browse(self) -> None:
        """Ask for a folder."""
        import qt

        folder = qt.QFileDialog.getExistingDirectory(self, self._stored["caption"], self._folder)
        if folder:
            self._choose(folder)
            emit(self, "directorySelected", self._folder)

    directory = Property(str, lambda self: self._folder, _choose)
    caption = stored("caption", str)
    text = stored("text", str)
