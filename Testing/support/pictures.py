"""Pictures as arrays: put together, written small, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

#: Largest size of a picture that is kept in the repository.
LARGEST_BYTES = 300_000


def from_pixmap(pixmap) -> np.ndarray:
    """(height, width, 3), uint8, of a QPixmap."""
    return from_image(pixmap.toImage())


def from_image(image) -> np.ndarray:
    """(height, width, 3), uint8, of a QImage."""
    from PySide6 import QtGui

    image = image.convertToFormat(QtGui.QImage.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def beside(pictures: Sequence[np.ndarray], gap: int = 4, colour: int = 40) -> np.ndarray:
    """Pictures from left to right, filled up below to one height."""
    height = max(picture.shape[0] for picture in pictures)
    space = np.full((height, gap, 3), colour, np.uint8)
    parts = [space]
    for picture in pictures:
        below = np.full((height - picture.shape[0], *picture.shape[1:]), colour, np.uint8)
        parts += [np.concatenate([picture, below]), space]
    return np.concatenate(parts[1:-1], axis=1)


def stacked(pictures: Sequence[np.ndarray], gap: int = 4, colour: int = 40) -> np.ndarray:
    """Pictures of one width from top to bottom."""
    space = np.full((gap, pictures[0].shape[1], 3), colour, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, space)][:-1])


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture with a line of text in its upper left corner."""
    from PySide6 import QtCore, QtGui

    rows = np.ascontiguousarray(picture)
    height, width = rows.shape[:2]
    image = QtGui.QImage(rows.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
    painter = QtGui.QPainter(image)
    font = painter.font()
    font.setPixelSize(15)
    font.setBold(True)
    painter.setFont(font)
    box = painter.boundingRect(6, 6, width, height, QtCore.Qt.AlignLeft, text)
    painter.fillRect(box.adjusted(-4, -2, 4, 2), QtGui.QColor(0, 0, 0, 170))
    painter.setPen(QtGui.QColor("#ffd54a"))
    painter.drawText(box, QtCore.Qt.AlignLeft, text)
    painter.end()
    return from_image(image)


def write_png(picture: np.ndarray, path: Path) -> None:
    """Write with 64 shades per colour and a table of 256 colours, which nobody sees and which makes files small."""
    from PySide6 import QtGui

    height, width = picture.shape[:2]
    indices, colours = in_few_colours(picture // 4 * 4 + picture // 64)
    image = QtGui.QImage(indices.data, width, height, width, QtGui.QImage.Format_Indexed8)
    image.setColorTable([QtGui.qRgb(*colour) for colour in colours.tolist()])
    assert image.save(str(path), "PNG", 0), f"{path} was not written"


def in_few_colours(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of each pixel, (height, width), and the at most 256 colours, (colours, 3); all of them uint8."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    image, fewer = vtk.vtkImageData(), vtk.vtkImageQuantizeRGBToIndex()
    image.SetDimensions(picture.shape[1], picture.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(picture).reshape(-1, 3), deep=True))
    fewer.SetInputData(image)
    fewer.SetNumberOfColors(256)
    fewer.Update()
    indices = vtk_to_numpy(fewer.GetOutput().GetPointData().GetScalars()).astype(np.uint8)
    table = fewer.GetLookupTable()
    colours = [table.GetTableValue(index)[:3] for index in range(table.GetNumberOfTableValues())]
    return indices.reshape(picture.shape[:2]), np.round(np.multiply(colours, 255)).astype(np.uint8)


def is_drawn(picture: np.ndarray) -> bool:
    """Whether there is anything to see: several shades, neither nearly all of one nor noise."""
    _values, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    return len(counts) > 16 and counts.max() < 0.99 * counts.sum()
