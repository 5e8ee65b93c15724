"""The figures of a report as PNG: images, agreement and deformation of a registration, curves of a training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter

from .sheet import TEXT, Sheet, new_figure, png_of, write_letters
from .views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

#: Name of a curve -> its (x, y) points.
Series = Mapping[str, Sequence[tuple[float, float]]]

_FOLDED, _OUTLINE_ON_GREY, _OUTLINE_ON_WHITE, _OUTLINE_ON_DARK = "#22dd55", "#4cc9f0", "#202020", "#e0e0e0"
_OUTLINE_LEVEL = 0.25
_TILE_MM = 20.0
_OVERVIEW_WIDTH, _OVERVIEW_TITLE = 10.5, 0.35  # inches
_CURVES_WIDTH, _CURVES_HEIGHT, _MOST_CURVES = 5.2, 3.3, 12  # inches; more curves have no legend


def overview_figure(views: Sequence[View]) -> bytes:
    """Three slices before the registration over the same after it, as PNG: fixed green, moving magenta, equal grey."""
    widths, heights = zip(*(view.slice.size for view in views))
    inches = _OVERVIEW_WIDTH / sum(widths)
    figure = new_figure(_OVERVIEW_WIDTH, 2 * (max(heights) * inches + _OVERVIEW_TITLE))
    rows = figure.subplots(2, len(views), squeeze=False, gridspec_kw={"width_ratios": widths})
    for axes, title, name in zip(rows, ("before", "after"), ("moving", "moved")):
        for panel, view in zip(axes, views):
            other = getattr(view, name)
            picture = np.stack([other, view.fixed, other], axis=-1)
            panel.imshow(picture, extent=_extent(view), aspect="equal", interpolation="bilinear")
            panel.set_axis_off()
            write_letters(panel, view.slice.letters)
            panel.set_title(f"{view.slice.name}, {title}", color=TEXT, fontsize=11)
    figure.tight_layout(pad=0.4)
    return png_of(figure)


def images_figure(views: Sequence[View]) -> bytes:
    """Fixed image, moving image by header position, and moved image, as PNG."""
    sheet = Sheet([v.slice for v in views], ("fixed", "moving, by header position", "moved"))
    for row, view in enumerate(views):
        for column, picture in enumerate((view.fixed, view.moving, view.moved)):
            axes = sheet.panel(row, column)
            _grey(axes, view, picture)
            if column:
                _outline(axes, view, _OUTLINE_ON_GREY)
    return sheet.png()


def agreement_figure(views: Sequence[View]) -> bytes:
    """Difference fixed - moving and checkerboard of both, each before and after, as PNG."""
    titles = ("difference before", "difference after", "checkerboard before", "checkerboard after")
    sheet = Sheet([v.slice for v in views], titles, bars=True)
    limit = min(_top(np.abs(v.fixed - v.moving) for v in views), 1)
    colours = _colours("RdBu_r", "linear", -limit, limit)
    for row, view in enumerate(views):
        for column, other in enumerate((view.moving, view.moved)):
            _coloured(sheet.panel(row, column), view, view.fixed - other, colours)
            _grey(sheet.panel(row, column + 2), view, _checkerboard(view, other))
    for column in (0, 1):
        sheet.bar(column, colours, "fixed minus moving, share of the window")
    return sheet.png()


def deformation_figure(views: Sequence[View]) -> bytes:
    """Deformed grid, Jacobian determinant, displacement and, where the truth is known, error, as PNG."""
    errors = [_inside(v, v.error) for v in views if v.error is not None]
    titles = ["deformed grid on fixed", "local volume change", "displacement"] + ["error"] * bool(errors)
    sheet = Sheet([v.slice for v in views], titles, bars=True)
    limit = _jacobian_limit(views)
    jacobian = _colours("RdBu_r", "log", 1 / limit, limit)
    displacement = _colours("viridis", "linear", 0, _top(v.displacement for v in views))
    for row, view in enumerate(views):
        _grey(sheet.panel(row, 0), view, view.fixed, lines=True)
        _coloured(sheet.panel(row, 1), view, np.where(view.jacobian > 0, view.jacobian, np.nan), jacobian)
        _coloured(sheet.panel(row, 2), view, view.displacement, displacement, _OUTLINE_ON_DARK)
    sheet.bar(1, jacobian, "Jacobian determinant; green: folded", _ratio_ticks(limit))
    sheet.bar(2, displacement, "mm")
    if errors:
        error = _colours("magma", "linear", 0, _top(errors), bad="black")
        for row, view in enumerate(views):
            _coloured(sheet.panel(row, 3), view, errors[row], error, _OUTLINE_ON_DARK)
        sheet.bar(3, error, "mm from the true position")
    return sheet.png()


def curves_figure(panels: Mapping[str, Series], x_label: str = "epoch") -> bytes:
    """Curves in panels, two per row, as PNG.

    Args:
        panels: title of a panel -> its curves; panels without points are left out.
        x_label: label of the horizontal axis of all panels.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    filled = {title: series for title, series in panels.items() if any(series.values())}
    rows = max((len(filled) + 1) // 2, 1)
    figure = new_figure(2 * _CURVES_WIDTH, rows * _CURVES_HEIGHT, "white")
    for place, (title, series) in enumerate(filled.items(), 1):
        _draw_curves(figure.add_subplot(rows, 2, place), title, series, x_label)
    figure.tight_layout()
    return png_of(figure)


def grid_step(extent: float) -> float:
    """A round distance in mm that divides `extent` mm into 15 to 40 parts."""
    power = 10.0 ** math.floor(math.log10(extent / 15))
    return max(step * power for step in (1, 2, 5) if step * power <= extent / 15)


def _extent(view: View) -> tuple[float, float, float, float]:
    width, height = view.slice.size
    return 0, width, height, 0


def _grey(axes: Axes, view: View, picture: np.ndarray, lines: bool = False) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=_extent(view), aspect="auto", interpolation="bilinear")
    if lines:
        _draw_grid(axes, view)


def _coloured(
    axes: Axes, view: View, picture: np.ndarray, colours: ScalarMappable, outline: str = _OUTLINE_ON_WHITE
) -> None:
    norm: Any = colours.norm
    axes.imshow(picture, cmap=colours.cmap, norm=norm, extent=_extent(view), aspect="auto", interpolation="nearest")
    _outline(axes, view, outline)


def _smooth(view: View) -> np.ndarray:
    """The fixed image, smoothed so that noise makes no islands in its outline."""
    return gaussian_filter(view.fixed, 0.7)


def _inside(view: View, values: np.ndarray) -> np.ndarray:
    """`values` inside the outline of the fixed image, NaN outside, where errors mean nothing."""
    return np.where(binary_fill_holes(_smooth(view) > _OUTLINE_LEVEL), values, np.nan)


def _outline(axes: Axes, view: View, colour: str) -> None:
    """Draw the outline of the fixed image."""
    smooth = _smooth(view)
    if smooth.min() < _OUTLINE_LEVEL < smooth.max():
        axes.contour(*_pixel_centres(view), smooth, levels=[_OUTLINE_LEVEL], colors=colour, linewidths=0.7)


def _pixel_centres(view: View) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = view.fixed.shape
    width, height = view.slice.size
    return (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows


def _draw_grid(axes: Axes, view: View) -> None:
    """Draw a regular grid of the moving image as it appears on the fixed image."""
    step = grid_step(max(view.slice.size))
    for position, colour in zip(np.moveaxis(view.landing, -1, 0), ("#4cc9f0", "#ffb703")):
        levels = np.arange(math.ceil(position.min() / step), math.floor(position.max() / step) + 1) * step
        if levels.size:
            axes.contour(*_pixel_centres(view), position, levels=levels, colors=colour, linewidths=0.8, alpha=0.9)


def _checkerboard(view: View, other: np.ndarray) -> np.ndarray:
    tile = min(_TILE_MM, max(view.slice.size) / 8)
    across, down = (centres // tile for centres in _pixel_centres(view))
    return np.where((down[:, None] + across) % 2 == 0, view.fixed, other)


def _colours(name: str, scale: str, low: float, high: float, bad: str = _FOLDED) -> ScalarMappable:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    norm: Any = (LogNorm if scale == "log" else Normalize)(low, high)
    return ScalarMappable(norm, colormaps[name].with_extremes(bad=bad))


def _top(maps: Iterable[np.ndarray]) -> float:
    """The 99.9th percentile of all maps without NaN; at least 0.01, so that a colour bar has a range."""
    values = np.concatenate([m[np.isfinite(m)] for m in maps])
    return max(float(np.percentile(values, 99.9)), 0.01) if values.size else 0.01


def _jacobian_limit(views: Sequence[View]) -> float:
    """The largest volume ratio of the colour scale: holds 99.9 % of the voxels, kept within 1.25 to 5."""
    values = np.concatenate([v.jacobian.ravel() for v in views])
    spread = np.abs(np.log(values[values > 0]))
    return float(np.clip(np.exp(np.percentile(spread, 99.9)), 1.25, 5)) if spread.size else 5.0


def _ratio_ticks(limit: float) -> dict[float, str]:
    ratios = [r for r in (1, 1.1, 1.2, 1.5, 2, 3, 5) if r <= limit * 1.0001]
    chosen = [1, *(r for r in ratios if r in {ratios[-1], ratios[len(ratios) // 2]} and r > 1)]
    return {value: f"{value:.2g}" for r in chosen for value in (1 / r, r)}


def _draw_curves(axes: Axes, title: str, series: Series, x_label: str) -> None:
    for name, points in series.items():
        x, y = np.array(points, dtype=float).reshape(-1, 2).T
        axes.plot(x, y, label=name, linewidth=1.4, marker="o" if len(x) < 30 else None, markersize=3)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label, fontsize=9)
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    if 1 < len(series) <= _MOST_CURVES:
        axes.legend(fontsize=8)
