"""Sheet: a matplotlib figure of slices at one scale in mm, with orientation letters and colour bars."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DependencyError
from .views import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

BACKGROUND, TEXT = "black", "#dfe5ec"
_WIDTH, _MARGIN, _GAP, _TITLE, _BAR, _DPI = 10.5, 0.42, 0.08, 0.36, 0.62, 120  # inches, and pixels per inch
_TALLEST = 14.0


def new_figure(width: float, height: float, background: str = BACKGROUND) -> Any:
    """An empty matplotlib figure that draws into memory.

    Args:
        width, height: inches.
        background: colour.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise _missing() from error
    figure = Figure(figsize=(width, height), facecolor=background)
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Any) -> bytes:
    """A figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def png_of_pixels(pixels: np.ndarray) -> bytes:
    """(rows, columns, 3), uint8, as PNG of that size.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise _missing() from error
    buffer = io.BytesIO()
    nothing: Any = {"Software": None}  # removes what matplotlib would write of itself
    imsave(buffer, np.ascontiguousarray(pixels), format="png", metadata=nothing)
    return buffer.getvalue()


def _missing() -> DependencyError:
    return DependencyError(
        "A report needs the package matplotlib, which is not installed. Install it (pip install matplotlib) or "
        "leave the report out."
    )


class Sheet:
    """One panel per slice and column; positions are in inches from the top left corner.

    Args:
        slices: one per row.
        titles: one per column.
        bars: whether to leave room for colour bars below the columns.

    Raises:
        DependencyError: matplotlib is not installed.
    """

    def __init__(self, slices: Sequence[Slice], titles: Sequence[str], bars: bool = False):
        self._slices, columns = slices, len(titles)
        widest = max(s.size[0] for s in slices)
        heights = [s.size[1] for s in slices]
        available = _WIDTH - _MARGIN - columns * _GAP
        self._inches_per_mm = min(available / columns / widest, _TALLEST / sum(heights))
        self._column = widest * self._inches_per_mm
        self._tops = [_TITLE + sum(heights[:row]) * self._inches_per_mm + row * _GAP for row in range(len(heights))]
        self._bottom = _TITLE + sum(heights) * self._inches_per_mm + (len(heights) - 1) * _GAP
        self._width = _MARGIN + columns * (self._column + _GAP)
        self._height = self._bottom + (_BAR if bars else _GAP)
        self._figure = new_figure(self._width, self._height)
        for column, title in enumerate(titles):
            self._text(self._left(column) + self._column / 2, _TITLE / 2, title, size=11)
        for slice_, top in zip(slices, self._tops):
            middle = top + slice_.size[1] * self._inches_per_mm / 2
            self._text(_MARGIN / 2, middle, _position_text(slice_), size=9, rotation=90)

    def _left(self, column: int) -> float:
        return _MARGIN + column * (self._column + _GAP)

    def _text(self, left: float, top: float, text: str, **style: Any) -> None:
        place = {"ha": "center", "va": "center", "color": TEXT}
        self._figure.text(left / self._width, 1 - top / self._height, text, **place, **style)

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        rectangle = (left / self._width, 1 - (top + height) / self._height, width / self._width, height / self._height)
        return self._figure.add_axes(rectangle)

    def panel(self, row: int, column: int) -> Axes:
        """Axes of a panel in mm, x to the right and y downwards from the top left corner of the slice."""
        slice_ = self._slices[row]
        width, height = slice_.size
        scale = self._inches_per_mm
        left = self._left(column) + (self._column - width * scale) / 2
        axes = self._axes(left, self._tops[row], width * scale, height * scale)
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        write_letters(axes, slice_.letters)
        return axes

    def bar(self, column: int, colours: ScalarMappable, caption: str, ticks: dict[float, str] | None = None) -> None:
        """Draw a horizontal colour bar below a column.

        Args:
            column: counted from 0.
            colours: colour scale of the panels above.
            caption: quantity and unit.
            ticks: value -> text; None leaves the choice to matplotlib.
        """
        axes = self._axes(self._left(column) + 0.1 * self._column, self._bottom + 0.1, 0.8 * self._column, 0.11)
        colour_bar = self._figure.colorbar(colours, cax=axes, orientation="horizontal")
        if ticks is not None:
            colour_bar.set_ticks(list(ticks), labels=list(ticks.values()))
            colour_bar.minorticks_off()
        colour_bar.outline.set_visible(False)
        axes.tick_params(colors=TEXT, labelsize=8, length=2, pad=2)
        axes.set_xlabel(caption, color=TEXT, fontsize=8.5, labelpad=2)

    def png(self) -> bytes:
        """The finished sheet as PNG; equal sheets give equal bytes."""
        return png_of(self._figure)


def _position_text(slice_: Slice) -> str:
    positive, negative = {"axial": ("S", "I"), "coronal": ("A", "P"), "sagittal": ("R", "L")}[slice_.name]
    letter = positive if slice_.position >= 0 else negative
    return f"{slice_.name}, {letter} {abs(slice_.position):.0f} mm"


def write_letters(axes: Axes, letters: Sequence[str]) -> None:
    """Write the anatomical directions of the left, right, top and bottom edge onto a picture."""
    places = (
        (0.015, 0.5, "left", "center"),
        (0.985, 0.5, "right", "center"),
        (0.5, 0.985, "center", "top"),
        (0.5, 0.015, "center", "bottom"),
    )
    for letter, (x, y, horizontal, vertical) in zip(letters, places):
        text = axes.text(x, y, letter, transform=axes.transAxes, ha=horizontal, va=vertical)
        text.set(color="#ffd54a", fontsize=9, fontweight="bold", family="monospace", zorder=5, path_effects=_outline())


def _outline() -> list[Any]:
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=1.5, foreground="black")]
