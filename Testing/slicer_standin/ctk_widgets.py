"""Widgets of CTK, drawn with plain Qt."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .declare import stand_in
from .strict import emit, inner, strict

_HEADER_HEIGHT = 24
_UNLIMITED = 16777215
#: Of QDir::Filter.
_DIRS, _FILES = 0x001, 0x002


def stored(name: str, kind: type | str):
    """A property that the stand-in keeps and does nothing with."""
    return Property(kind, lambda self: self._stored[name], lambda self, value: self._stored.__setitem__(name, value))


@stand_in(signals=["contentsCollapsed(bool)"])
class ctkCollapsibleButton(strict(QtWidgets.QAbstractButton)):
    """A section with a title; `checked` is the opposite of `collapsed`."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments):
        text = next((item for item in arguments if isinstance(item, str)), "")
        super().__init__(*[item for item in arguments if not isinstance(item, str)])
        self._hidden_by_us = []
        self.text = text
        self.setContentsMargins(0, _HEADER_HEIGHT, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.checkable = True
        self.checked = True
        self.toggled.connect(self._show_contents)

    def _show_contents(self, shown: bool) -> None:
        if shown:
            parts, self._hidden_by_us = self._hidden_by_us, []
        else:
            parts = [item for item in self.children() if item.isWidgetType() and not item.isHidden()]
            self._hidden_by_us += parts
        for part in parts:
            part.setVisible(shown)
        self.maximumHeight = _UNLIMITED if shown else _HEADER_HEIGHT
        emit(self, "contentsCollapsed", not shown)

    def _after_load(self) -> None:
        """The loader sets `collapsed` before there is anything to hide."""
        if self.collapsed:
            self._show_contents(False)

    collapsed = Property(bool, lambda self: not self.isChecked(), lambda self, value: self.setChecked(not value))

    def paintEvent(self, _event):
        """A bar with the title and an arrow: down over what is shown, to the right where it is folded away."""
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), _HEADER_HEIGHT - 2)
        painter.fillRect(bar, QtGui.QColor("#d8dee6"))
        option = QtWidgets.QStyleOption()
        option.initFrom(self)
        option.rect = QtCore.QRect(6, 4, 14, 14)
        arrow = QtWidgets.QStyle.PE_IndicatorArrowDown if self.checked else QtWidgets.QStyle.PE_IndicatorArrowRight
        QtWidgets.QWidget.style(self).drawPrimitive(arrow, option, painter)
        painter.setPen(option.palette.color(QtGui.QPalette.WindowText))
        painter.drawText(bar.adjusted(26, 0, 0, 0), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self.text)
        painter.end()


@stand_in(
    methods=["setValue", "reset", "setDecimals", "setSpinBoxVisible"],
    signals=["valueChanged(double)", "valueIsChanging(double)", "decimalsChanged(int)"],
)
class ctkSliderWidget(strict(QtWidgets.QWidget)):
    """A slider with a spin box; minimum and maximum are properties only, not methods."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        layout = inner(QtWidgets.QHBoxLayout(self))
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = inner(QtWidgets.QSlider(QtCore.Qt.Horizontal))
        self._spin = inner(QtWidgets.QDoubleSpinBox())
        self._spin.setRange(0, 99)
        self._spin.setKeyboardTracking(False)
        self._stored = {"pageStep": 10.0, "tracking": True, "tickInterval": 0.0}
        for part in (self._slider, self._spin):
            layout.addWidget(part)
        self._slider.valueChanged.connect(self._slider_moved)
        self._spin.valueChanged.connect(self._spin_changed)
        self._fit_slider()

    def _fit_slider(self) -> None:
        """The slider counts single steps from the minimum."""
        blocked = QtCore.QSignalBlocker(self._slider)
        step = max(self._spin.singleStep(), 1e-12)
        self._slider.setRange(0, int(min((self._spin.maximum() - self._spin.minimum()) / step, 2**30)))
        self._slider.setValue(round((self._spin.value() - self._spin.minimum()) / step))
        blocked.unblock()

    def _slider_moved(self, steps: int) -> None:
        self._spin.setValue(self._spin.minimum() + steps * self._spin.singleStep())

    def _spin_changed(self, value: float) -> None:
        self._fit_slider()
        emit(self, "valueIsChanging", value)
        emit(self, "valueChanged", value)

    def _set(self, setter: str, value: float) -> None:
        getattr(self._spin, setter)(min(max(value, -1e300), 1e300))
        self._fit_slider()

    def setValue(self, value: float) -> None:
        """Within minimum and maximum, rounded to `decimals`."""
        self._spin.setValue(value)

    def reset(self) -> None:
        """To the minimum."""
        self._spin.setValue(self._spin.minimum())

    def setDecimals(self, count: int) -> None:
        """Digits after the point."""
        self._spin.setDecimals(count)
        emit(self, "decimalsChanged", count)

    def setSpinBoxVisible(self, visible: bool) -> None:
        """Show or hide the spin box."""
        self._spin.setVisible(visible)

    value = Property(float, lambda self: self._spin.value(), setValue)
    minimum = Property(float, lambda self: self._spin.minimum(), lambda self, value: self._set("setMinimum", value))
    maximum = Property(float, lambda self: self._spin.maximum(), lambda self, value: self._set("setMaximum", value))
    singleStep = Property(
        float, lambda self: self._spin.singleStep(), lambda self, value: self._set("setSingleStep", value)
    )
    decimals = Property(int, lambda self: self._spin.decimals(), setDecimals)
    suffix = Property(str, lambda self: self._spin.suffix(), lambda self, text: self._spin.setSuffix(text))
    prefix = Property(str, lambda self: self._spin.prefix(), lambda self, text: self._spin.setPrefix(text))
    spinBoxVisible = Property(bool, lambda self: not self._spin.isHidden(), setSpinBoxVisible)
    pageStep = stored("pageStep", float)
    tickInterval = stored("tickInterval", float)
    tracking = stored("tracking", bool)


@stand_in(
    methods=["setCurrentPath", "browse", "addCurrentPathToHistory", "retrieveHistory"],
    signals=["currentPathChanged(QString)", "validInputChanged(bool)"],
)
class ctkPathLineEdit(strict(QtWidgets.QWidget)):
    """A line for a path with a button that browses; without filters it browses for a file."""

    Dirs, Files = _DIRS, _FILES
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        layout = inner(QtWidgets.QHBoxLayout(self))
        layout.setContentsMargins(0, 0, 0, 0)
        self._line, button = inner(QtWidgets.QLineEdit()), inner(QtWidgets.QToolButton())
        button.setText("...")
        self._stored = {"filters": _DIRS | _FILES, "settingKey": "", "nameFilters": []}
        for part in (self._line, button):
            layout.addWidget(part)
        self._line.textChanged.connect(self._tell)
        self._valid = False
        button.clicked.connect(self.browse)

    def setCurrentPath(self, path: str) -> None:
        """As if it had been typed."""
        self._line.setText(path)

    def _tell(self, text: str) -> None:
        """A path is told only where it is valid, which an empty one is not (ctkPathLineEdit.cxx)."""
        was_valid, self._valid = self._valid, bool(text)
        if self._valid:
            emit(self, "currentPathChanged", text)
        if was_valid != self._valid:
            emit(self, "validInputChanged", self._valid)

    def browse(self) -> None:
        """Ask for a path."""
        dialog = QtWidgets.QFileDialog
        wants_file = self._stored["filters"] & _FILES
        chosen = dialog.getOpenFileName(self)[0] if wants_file else dialog.getExistingDirectory(self)
        self.setCurrentPath(chosen or self._line.text())

    def addCurrentPathToHistory(self) -> None:
        """The stand-in has no history."""

    retrieveHistory = addCurrentPathToHistory
    currentPath = Property(str, lambda self: self._line.text(), setCurrentPath)
    filters = stored("filters", int)
    settingKey = stored("settingKey", str)
    nameFilters = stored("nameFilters", "QStringList")
