"""A finished registration as one HTML page that holds its pictures and opens anywhere."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import GeometryError
from ..core.image import Image, LabelMap
from ..core.io.files import check_writable, replacing
from ..core.transform import IDENTITY, Transform
from . import figures, markup, tables
from .measures import DisplacementError, dice_by_label, displacement_error, foreground
from .views import make_views

if TYPE_CHECKING:
    from ..registration.result import Registration

_CONVENTION = (
    "Slices follow the voxel planes of the fixed grid that lie nearest to the anatomical planes and pass through the "
    "middle of its contents; all are drawn to scale. Radiological convention: the patient's right is on the left. "
    "R right, L left, A anterior, P posterior, S superior, I inferior. Blue line: outline of the fixed image."
)
_AGREEMENT = (
    "Both images are scaled to the window of their 0.5 to 99.5 percentile. Difference: white where they agree, red "
    "where the fixed image is brighter, blue where it is darker; for images of different kinds read the checkerboard, "
    "whose edges run through where the alignment is right."
)
_DEFORMATION = (
    "Grid: a regular grid drawn on the moving image, one line every {step:g} mm, carried to the fixed image. Local "
    "volume change: Jacobian determinant of fixed to moving, above 1 where the moving image is larger; green where "
    "space folds. Displacement: distance between a point and its partner in the moving image, the affine part included."
)


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
    title = f"{moving.name} registered to {fixed.name}"
    body = [
        markup.heading(title, 1),
        markup.paragraph(f"{report.model_title}, {datetime.datetime.now():%d %B %Y, %H:%M}", quiet=True),
        markup.cards(tables.key_figures(report, overlap, error)),
        markup.warnings_box(report.warnings),
        *_pictures(fixed, moving, registration, truth),
        markup.heading("Measurements"),
        markup.table(("Quantity", "Before", "After"), tables.measurement_rows(report, error)),
        *_titled("Overlap of labels", ("Label", "Dice before", "Dice after"), tables.dice_rows(overlap, label_names)),
        *_titled("Model and settings", ("Item", "Value"), tables.settings_rows(report)),
        *_titled("Volumes", ("Volume", "Grid", "Intensities"), tables.volume_rows(fixed, moving, registration.moved)),
        markup.footer(tables.PURPOSE),
    ]
    with replacing(path) as file:
        file.write_bytes(markup.document(title, body).encode("utf-8", errors="xmlcharrefreplace"))


def _titled(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [markup.heading(title), markup.table(header, rows)] if rows else []


def _pictures(fixed: Image, moving: Image, registration: Registration, truth: Transform | None) -> list[str]:
    views = make_views(fixed, moving, registration.moved, registration.forward, truth)
    step = figures.grid_step(max(max(view.slice.size) for view in views))
    parts = (
        ("Images", figures.images_figure, "Fixed, moving and moved image in three planes", _CONVENTION),
        ("Agreement", figures.agreement_figure, "Differences and checkerboards before and after", _AGREEMENT),
        ("Deformation", figures.deformation_figure, "Grid, Jacobian, displacement", _DEFORMATION.format(step=step)),
    )
    return [
        markup.heading(title) + markup.picture(draw(views), alternative, caption)
        for title, draw, alternative, caption in parts
    ]


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
