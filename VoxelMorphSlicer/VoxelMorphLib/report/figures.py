"""The figures of a report as PNG: images, agreement and deformation of a registration, curves of a training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter

from .sheet import TEXT, Sheet, new_figure, png_of, png_of_pixels, write_letters
from .views import Bent, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

#: Name of a curve -> its (x, y) points.
Series = Mapping[str, Sequence[tuple[float, float]]]

_FOLDED, _OUTLINE_ON_GREY, _OUTLINE_ON_WHITE, _OUTLINE_ON_DARK = "#22dd55", "#4cc9f0", "#202020", "#e0e0e0"
_OUTLINE_LEVEL = 0.25
_TILE_MM = 20.0
_OVERVIEW_WIDTH, _OVERVIEW_TITLE = 10.5, 0.35  # inches
_GAP_PIXELS = 2
_TINT = 0.3  # opacity of a colour that means no change
#: What is compared with the fixed image, in words and as part of a view.
_TIMES = (("before", "moving"), ("after", "moved"))
_CURVES_WIDTH, _CURVES_HEIGHT, _MOST_CURVES = 5.2, 3.3, 12  # inches; more curves have no legend


def overview_figure(views: Sequence[View]) -> bytes:
    """Three slices before the registration over the same after it, as PNG: fixed green, moving magenta, equal grey."""
    times = [(title, name) for title, name in _TIMES if getattr(views[0], name) is not None]
    widths, heights = zip(*(view.slice.size for view in views))
    inches = _OVERVIEW_WIDTH / sum(widths)
    figure = new_figure(_OVERVIEW_WIDTH, len(times) * (max(heights) * inches + _OVERVIEW_TITLE))
    rows = figure.subplots(len(times), len(views), squeeze=False, gridspec_kw={"width_ratios": widths})
    for axes, (title, name) in zip(rows, times):
        for panel, view in zip(axes, views):
            picture = _over_each_other(view, getattr(view, name))
            panel.imshow(picture, extent=_extent(view), aspect="equal", interpolation="bilinear")
            panel.set_axis_off()
            write_letters(panel, view.slice.letters)
            panel.set_title(f"{view.slice.name}, {title}", color=TEXT, fontsize=11)
    figure.tight_layout(pad=0.4)
    return png_of(figure)


def thumbnail(views: Sequence[View], height: int = 96) -> bytes:
    """Fixed green, moved magenta, equal grey: the slices in a row in true proportions, as a small PNG.

    Args:
        views: of one pair; neither the moving image nor the transform is needed.
        height: of the highest slice, pixels.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    scale = height / max(view.slice.size[1] for view in views)
    row = np.zeros((height, 0, 3), np.uint8)
    for view in views:
        picture = _over_each_other(view, view.moved)
        columns, rows = (max(1, min(round(length * scale), 4 * height)) for length in view.slice.size)
        across, down = (np.arange(n) * size // n for n, size in zip((columns, rows), picture.shape[1::-1]))
        tile = np.zeros((height, columns + _GAP_PIXELS, 3), np.uint8)
        top = (height - rows) // 2
        tile[top : top + rows, :columns] = 255 * picture[down][:, across]
        row = np.concatenate([row, tile], axis=1)
    return png_of_pixels(row[:, :-_GAP_PIXELS])


def images_figure(views: Sequence[View]) -> bytes:
    """Fixed image, moving image by header position where it is known, and moved image, as PNG."""
    titles = {"fixed": "fixed", "moving": "moving, by header position", "moved": "moved"}
    shown = [name for name in titles if getattr(views[0], name) is not None]
    sheet = Sheet([v.slice for v in views], [titles[name] for name in shown])
    for row, view in enumerate(views):
        for column, name in enumerate(shown):
            axes = sheet.panel(row, column)
            _grey(axes, view, getattr(view, name))
            if column:
                _outline(axes, view, _OUTLINE_ON_GREY)
    return sheet.png()


def agreement_figure(views: Sequence[View]) -> bytes:
    """Difference fixed - moving and checkerboard of both, each before (where known) and after, as PNG."""
    times = [(title, name) for title, name in _TIMES if getattr(views[0], name) is not None]
    titles = [f"{what} {title}" for what in ("difference", "checkerboard") for title, _name in times]
    sheet = Sheet([v.slice for v in views], titles, bars=True)
    limit = min(_top(np.abs(v.fixed - getattr(v, times[0][1])) for v in views), 1)
    colours = _colours("RdBu_r", "linear", -limit, limit)
    for row, view in enumerate(views):
        for column, (_title, name) in enumerate(times):
            other = getattr(view, name)
            _coloured(sheet.panel(row, column), view, view.fixed - other, colours)
            _grey(sheet.panel(row, column + len(times)), view, _checkerboard(view, other))
    for column in range(len(times)):
        sheet.bar(column, colours, "fixed minus moving, share of the window")
    return sheet.png()


def deformation_figure(views: Sequence[View]) -> bytes:
    """Deformed grid, Jacobian determinant over the fixed image, displacement and, where the truth is known, error.

    Args:
        views: with `bent`.

    Returns:
        A PNG.
    """
    bent = [(row, view, view.bent) for row, view in enumerate(views) if view.bent is not None]
    errors = [_inside(view, each.error) for _row, view, each in bent if each.error is not None]
    titles = ["deformed grid on fixed", "local volume change", "displacement"] + ["error"] * bool(errors)
    sheet = Sheet([v.slice for v in views], titles, bars=True)
    limit = _jacobian_limit([each for _row, _view, each in bent])
    jacobian = _colours("RdBu_r", "log", 1 / limit, limit)
    displacement = _colours("viridis", "linear", 0, _top(each.displacement for _row, _view, each in bent))
    for row, view, each in bent:
        _grey(sheet.panel(row, 0), view, view.fixed, each)
        _volume_change(sheet.panel(row, 1), view, each.jacobian, jacobian)
        _coloured(sheet.panel(row, 2), view, each.displacement, displacement, _OUTLINE_ON_DARK)
    sheet.bar(1, jacobian, "Jacobian determinant; green: folded", _ratio_ticks(limit))
    sheet.bar(2, displacement, "mm")
    if errors:
        error = _colours("magma", "linear", 0, _top(errors), bad="black")
        for row, view, _each in bent:
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


def _over_each_other(view: View, other: np.ndarray) -> np.ndarray:
    """(rows, columns, 3): the fixed image green, the other one magenta, grey where both are equally bright."""
    return np.stack([other, view.fixed, other], axis=-1)


def _grey(axes: Axes, view: View, picture: np.ndarray, lines: Bent | None = None) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=_extent(view), aspect="auto", interpolation="bilinear")
    if lines is not None:
        _draw_grid(axes, view, lines)


def _volume_change(axes: Axes, view: View, jacobian: np.ndarray, colours: ScalarMappable) -> None:
    """The ratio in colour over the fixed image, which shows where little changes; folds are opaque."""
    axes.imshow(view.fixed, cmap="gray", vmin=0, vmax=1, extent=_extent(view), aspect="auto", interpolation="bilinear")
    folded = jacobian <= 0
    norm: Any = colours.norm
    strength = np.abs(np.log(np.where(folded, 1.0, jacobian))) / np.log(norm.vmax)
    opacity = np.where(folded, 1.0, np.clip(_TINT + 2 * strength, 0, 0.9))
    picture = np.where(folded, np.nan, jacobian)
    axes.imshow(picture, cmap=colours.cmap, norm=norm, extent=_extent(view), aspect="auto", alpha=opacity)
    _outline(axes, view, _OUTLINE_ON_GREY)


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


def _draw_grid(axes: Axes, view: View, bent: Bent) -> None:
    """Draw a regular grid of the moving image as it appears on the fixed image."""
    step = grid_step(max(view.slice.size))
    for position, colour in zip(np.moveaxis(bent.landing, -1, 0), ("#4cc9f0", "#ffb703")):
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


def _jacobian_limit(bent: Sequence[Bent]) -> float:
    """The largest volume ratio of the colour scale: holds 99.9 % of the voxels, kept within 1.25 to 5."""
    values = np.concatenate([each.jacobian.ravel() for each in bent])
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
