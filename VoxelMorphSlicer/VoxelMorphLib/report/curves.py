"""Curves over the epochs of a training, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .sheet import new_figure, png_of

#: Name of a curve -> its (x, y) points.
Series = Mapping[str, Sequence[tuple[float, float]]]

_PANEL, _HEIGHT, _MOST = 5.2, 3.3, 12  # inches, and curves that a legend can name


def curves_figure(panels: Mapping[str, Series], x_label: str = "epoch") -> bytes:
    """One panel per title, side by side in rows of two, each with its curves.

    Args:
        panels: title -> curves; panels without points are left out.
        x_label: of all panels.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    filled = {title: series for title, series in panels.items() if any(series.values())}
    rows = max((len(filled) + 1) // 2, 1)
    figure = new_figure(2 * _PANEL, rows * _HEIGHT, "white")
    for place, (title, series) in enumerate(filled.items(), 1):
        _draw(figure.add_subplot(rows, 2, place), title, series, x_label)
    figure.tight_layout()
    return png_of(figure)


def _draw(axes, title: str, series: Series, x_label: str) -> None:
    for name, points in series.items():
        x, y = np.array(points, dtype=float).reshape(-1, 2).T
        axes.plot(x, y, label=name, linewidth=1.4, marker="o" if len(x) < 30 else None, markersize=3)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label, fontsize=9)
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    if 1 < len(series) <= _MOST:
        axes.legend(fontsize=8)
