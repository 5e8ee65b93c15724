"""A finished registration as one HTML page that holds its pictures and opens anywhere."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import GeometryError
from ..core.image import Image, LabelMap
from ..core.io.files import check_writable
from ..core.transform import IDENTITY, Transform
from . import figures, tables
from .html import write_page
from .measures import DisplacementError, dice_by_label, displacement_error, foreground
from .views import make_views

if TYPE_CHECKING:
    from ..registration.result import Registration


def write_report(
    path: str | Path,
    fixed: Image,
    moving: Image,
    registration: Registration,
    labels: tuple[LabelMap, LabelMap] | None = None,
    truth: Transform | None = None,
    label_names: Mapping[int, str] | None = None,
) -> None:
    """Write the page; an existing file is replaced at the end, and left alone when anything fails.

    Args:
        path: of the .html file, in an existing folder.
        fixed: volume that was registered to.
        moving: volume that was registered.
        registration: what came out; `moved` lies on the fixed grid.
        labels: label maps of the fixed and of the moving volume, each on the grid of its volume.
        truth: the transform fixed -> moving that should have been found.
        label_names: what to call the label numbers.

    Raises:
        DependencyError: matplotlib is not installed.
        GeometryError: the fixed label map does not lie on the fixed grid.
        OutputError: the file cannot be written.
    """
    check_writable(path)
    if labels is not None and not labels[0].geometry.matches(fixed.geometry):
        raise GeometryError(
            f"The label map {labels[0].name} ({labels[0].geometry}) does not lie on the grid of the fixed volume "
            f"{fixed.name} ({fixed.geometry}). Resample it onto that grid."
        )
    overlap = None if labels is None else _overlap(labels, registration.forward)
    error = None if truth is None else _error(fixed, registration.forward, labels, truth)
    report = registration.report
    write_page(
        path,
        "registration.html",
        title=f"{moving.name} registered to {fixed.name}",
        subtitle=f"{report.model_title}, {datetime.datetime.now():%d %B %Y, %H:%M}",
        cards=tables.key_figures(report, overlap, error),
        warnings=report.warnings,
        **_pictures(fixed, moving, registration, truth),
        measurements=tables.measurement_rows(report, error),
        overlap=tables.dice_rows(overlap, label_names),
        settings=tables.settings_rows(report),
        volumes=tables.volume_rows(fixed, moving, registration.moved),
    )


def _pictures(fixed: Image, moving: Image, registration: Registration, truth: Transform | None) -> dict[str, Any]:
    """The three figures as PNG, and the distance in mm between the grid lines of the last."""
    views = make_views(fixed, moving, registration.moved, registration.forward, truth)
    return {
        "images": figures.images_figure(views),
        "agreement": figures.agreement_figure(views),
        "deformation": figures.deformation_figure(views),
        "grid_step": figures.grid_step(max(max(view.slice.size) for view in views)),
    }


def _overlap(labels: tuple[LabelMap, LabelMap], forward: Transform) -> dict[int, tuple[float, float]]:
    fixed, moving = labels
    before, after = (dice_by_label(fixed, t.resample(moving, fixed.geometry)) for t in (IDENTITY, forward))
    return {label: (before[label], after[label]) for label in before}


def _error(
    fixed: Image, forward: Transform, labels: tuple[LabelMap, LabelMap] | None, truth: Transform
) -> tuple[DisplacementError, DisplacementError]:
    inside = foreground(fixed) if labels is None else labels[0].array > 0
    before, after = (displacement_error(t, truth, fixed.geometry, inside) for t in (IDENTITY, forward))
    return before, after
