"""A picture of the application: a module's panel at the left, slice views in Slicer's colours at the right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6 import QtCore, QtGui

#: Bars of the slice views by their layout name.
COLOURS = {"Red": "#f34a33", "Yellow": "#edd54c", "Green": "#6eb04b"}
_BAR_HEIGHT = 20
_GAP = 2


def window_picture(path: Path, panel: QtGui.QPixmap, views: dict[str, np.ndarray], texts: dict[str, str]) -> None:
    """Write a PNG.

    Args:
        path: where to.
        panel: from `Panel.picture`.
        views: (height, width, 3) uint8 by layout name, all of one size, from `SliceView.picture`; stacked.
        texts: what the bar of each view says.
    """
    height, width = next(iter(views.values())).shape[:2]
    total = len(views) * (height + _BAR_HEIGHT) + (len(views) - 1) * _GAP
    image = QtGui.QImage(panel.width() + _GAP + width, max(total, panel.height()), QtGui.QImage.Format_RGB32)
    image.fill(panel.toImage().pixelColor(0, 0))
    painter = QtGui.QPainter(image)
    painter.drawPixmap(0, 0, panel)
    left = panel.width() + _GAP
    painter.fillRect(left, 0, width, image.height(), QtGui.QColor("black"))
    for index, (name, pixels) in enumerate(views.items()):
        top = index * (height + _BAR_HEIGHT + _GAP)
        bar = QtCore.QRect(left, top, width, _BAR_HEIGHT)
        painter.fillRect(bar, QtGui.QColor(COLOURS[name]))
        painter.drawText(bar.adjusted(6, 0, 0, 0), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, texts.get(name, ""))
        painter.drawImage(left, top + _BAR_HEIGHT, _image(pixels))
    painter.end()
    image.save(str(path))


def _image(pixels: np.ndarray) -> QtGui.QImage:
    height, width = pixels.shape[:2]
    return QtGui.QImage(np.ascontiguousarray(pixels).tobytes(), width, height, 3 * width, QtGui.QImage.Format_RGB888)
