"""The report of a finished registration: one self-contained HTML page with pictures, measurements and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.config import RegistrationOptions
from ..core.image import Image, LabelMap
from ..core.io.files import check_writable
from ..core.options import options_of
from ..core.transform import IDENTITY, Transform
from ..weights.catalogue import load_catalogue
from .layout import Page, Table
from .measures import DisplacementError, dice_by_label, displacement_error, foreground
from .pictures import comparison_pictures
from .views import make_views

if TYPE_CHECKING:
    from ..registration.result import Registration, RegistrationReport

#: Table rows as text.
Rows = list[tuple[str, ...]]
#: Label -> Dice before and after, of the moved moving labels; then of the fixed labels that the inverse brings back.
Overlap = dict[int, tuple[float, ...]]
#: Label maps of the fixed and the moving volume.
Labels = tuple[LabelMap, LabelMap]
#: Displacement errors before and after.
Errors = tuple[DisplacementError, DisplacementError]

_DICE_HEADER = ("Label", "Dice before", "Dice after", "Fixed to moving, before", "Fixed to moving, after")
#: What the page calls the registration options, where their titles do not say enough beside what was done.
_OPTIONS = {
    "affine": "requested affine initialisation",
    "device": "requested device",
    "precision": "requested precision",
    "background": "value outside the moving volume",
    "budget_s": "time limit of the optimisation, s",
    "smoothness": "smoothness weight of the optimisation",
    "hyper": "regularisation weight of models trained for all weights",
}


def write_report(
    path: str | Path,
    fixed: Image,
    moving: Image,
    registration: Registration,
    labels: Labels | None = None,
    truth: Transform | None = None,
    label_names: Mapping[int, str] | None = None,
) -> None:
    """Write the report; an existing file is replaced last and kept when anything fails.

    Args:
        path: of the .html file, in an existing folder.
        fixed: fixed volume.
        moving: moving volume.
        registration: the result; `moved` lies on the fixed grid. Without seconds the page has no date either, so that
            equal results give equal pages.
        labels: label maps of the fixed and the moving volume, each on any grid in the space of its volume.
        truth: the true transform fixed -> moving, if known.
        label_names: label number -> name.

    Raises:
        DependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    check_writable(path)
    labels = None if labels is None else _on_grids(labels, fixed, moving)
    overlap = None if labels is None else _overlap(labels, registration)
    errors = None if truth is None else _errors(fixed, registration.forward, labels, truth)
    report = registration.report
    views = make_views(fixed, moving, registration.moved, registration.forward, truth)
    Page(
        title=f"{moving.name} registered to {fixed.name}",
        subtitle=report.model_title,
        cards=_key_figures(report, overlap, errors),
        alarm=report.worse,
        warnings=[warning for warning in report.warnings if warning != report.worse],
        pictures=comparison_pictures(views),
        tables=[
            Table("Measurements", ("Quantity", "Before", "After"), _measurement_rows(report, errors)),
            Table("Overlap of labels", _DICE_HEADER, _dice_rows(overlap, label_names)),
            Table("Model and settings", ("Item", "Value"), _settings_rows(report)),
            Table("Volumes", ("Volume", "Grid", "Intensities"), _volume_rows(fixed, moving, registration.moved)),
        ],
        dated=bool(report.seconds),
    ).write(path)


def _on_grids(labels: Labels, fixed: Image, moving: Image) -> Labels:
    """The label maps on the grids of their volumes."""
    on_fixed, on_moving = (_on_grid(each, image) for each, image in zip(labels, (fixed, moving)))
    return on_fixed, on_moving


def _on_grid(labels: LabelMap, image: Image) -> LabelMap:
    if labels.geometry.matches(image.geometry):
        return labels
    return LabelMap(IDENTITY.resample(labels, image.geometry).array, image.geometry, labels.name)


def _overlap(labels: Labels, registration: Registration) -> Overlap:
    """Of the labels that the fixed map has; NaN on the way back where the moving map lacks one."""
    fixed, moving = labels
    there = [dice_by_label(fixed, t.resample(moving, fixed.geometry)) for t in (IDENTITY, registration.forward)]
    back = [dice_by_label(moving, t.resample(fixed, moving.geometry)) for t in (IDENTITY, registration.inverse)]
    return {label: tuple(part.get(label, float("nan")) for part in (*there, *back)) for label in there[0]}


def _errors(fixed: Image, forward: Transform, labels: Labels | None, truth: Transform) -> Errors:
    inside = foreground(fixed) if labels is None else labels[0].array > 0
    before, after = (displacement_error(t, truth, fixed.geometry, inside) for t in (IDENTITY, forward))
    return before, after


def _key_figures(report: RegistrationReport, overlap: Overlap | None, errors: Errors | None) -> list[tuple[str, str]]:
    """Value and meaning of the most important results."""
    cards = [(f"{report.similarity_before:.3f} → {report.similarity_after:.3f}", "correlation")]
    if overlap:
        before, after, back_before, back_after = np.nanmean(list(overlap.values()), axis=0)
        cards.append((f"{before:.3f} → {after:.3f}", f"Dice, mean of {len(overlap)} labels"))
        cards.append((f"{back_before:.3f} → {back_after:.3f}", "Dice of fixed labels moved by the inverse"))
    if errors:
        cards.append((f"{errors[0].mean:.2f} → {errors[1].mean:.2f}", "mean error in mm"))
    cards.append((f"{report.folded_percent:.3g} %", "of the voxels are folded"))
    if report.seconds:
        cards.append((f"{report.seconds.get('total', 0):.1f} s", f"on {report.device}"))
    return cards


def _measurement_rows(report: RegistrationReport, errors: Errors | None) -> Rows:
    """Quantity, before, after."""
    information = (report.mutual_information_before, report.mutual_information_after)
    rows = [
        ("Correlation of the intensities (NCC)", f"{report.similarity_before:.4f}", f"{report.similarity_after:.4f}"),
        ("Local correlation", f"{report.local_similarity_before:.4f}", f"{report.local_similarity_after:.4f}"),
        ("Mutual information", *(f"{value:.4f} nats" for value in information)),
    ]
    if errors:
        for name, key in (("mean", "mean"), ("95th percentile", "percentile_95"), ("largest", "largest")):
            rows.append((f"Displacement error, {name}", *(f"{getattr(part, key):.2f} mm" for part in errors)))
    jacobian = f"{report.jacobian_min:.3f} to {report.jacobian_max:.3f}"
    rows += [
        ("Jacobian determinant, smallest to largest", "1", jacobian),
        ("Folded voxels (Jacobian determinant 0 or less)", "0 %", f"{report.folded_percent:.4g} %"),
        ("Displacement, mean (deformable part)", "", f"{report.displacement_mean_mm:.2f} mm"),
        ("Displacement, largest (deformable part)", "", f"{report.displacement_max_mm:.2f} mm"),
        ("Inverse consistency error, mean", "0 mm", f"{report.inverse_residual_mm:.3f} mm"),
        ("Inverse consistency error, 99th percentile", "0 mm", f"{report.inverse_residual_p99_mm:.3f} mm"),
    ]
    if report.landmarks:
        before, after = report.landmark_error_before_mm, report.landmark_error_after_mm
        rows.append((f"Landmark error, mean of {report.landmarks} pairs", f"{before:.2f} mm", f"{after:.2f} mm"))
    rows += [(f"Time: {stage}", "", f"{seconds:.2f} s") for stage, seconds in report.seconds.items()]
    return rows


def _dice_rows(overlap: Overlap | None, names: Mapping[int, str] | None) -> Rows:
    """Label, Dice before and after, and the same of the way back; the mean last."""
    if not overlap:
        return []
    names = names or {}
    rows = [
        (f"{label} {names[label]}" if label in names else f"{label}", *_cells(values))
        for label, values in overlap.items()
    ]
    return [*rows, ("mean", *_cells(np.nanmean(list(overlap.values()), axis=0)))]


def _cells(values: Iterable[float]) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.3f}" for value in values]


def _settings_rows(report: RegistrationReport) -> Rows:
    """Model with its origin, device and options."""
    rows = [("Model", f"{report.model_title}, id {report.model}"), *_provenance(report)]
    rows += [("Ran on", f"{report.device}, {report.precision}"), ("Affine initialisation used", report.affine)]
    if report.compared:
        rows.append(("Compared by", report.compared))
    if report.guides:
        rows.append(("Guided by", report.guides))
    rows += [
        (f"{role} mask, voxels outside were ignored", mask)
        for role, mask in (("Fixed", report.fixed_mask), ("Moving", report.moving_mask))
        if mask
    ]
    titles = {**{name: option.title for name, option in options_of(RegistrationOptions).items()}, **_OPTIONS}
    return rows + [(titles.get(name, name).capitalize(), _value(value)) for name, value in report.options.items()]


def _volume_rows(fixed: Image, moving: Image, moved: Image) -> Rows:
    """Name, grid and intensity range of the three volumes."""
    return [
        (f"{role}: {image.name}", _grid(image), f"{image.array.min():.4g} to {image.array.max():.4g}")
        for role, image in (("Fixed", fixed), ("Moving", moving), ("Moved", moved))
    ]


def _grid(image: Image) -> str:
    centre = ", ".join(f"{value:.1f}" for value in image.geometry.centre)
    tilt = np.degrees(np.arccos(np.clip(np.abs(image.geometry.direction).max(axis=0).min(), 0, 1)))
    oblique = f", oblique by {tilt:.1f}°" if tilt > 0.05 else ""
    return f"{image.geometry}{oblique}, centre at RAS ({centre}) mm"


def _value(value: object) -> str:
    return "automatic" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _provenance(report: RegistrationReport) -> Rows:
    entry = load_catalogue().get(report.model)
    if entry is None:
        checksum = f", SHA-256 {report.model_sha256}" if report.model_sha256 else ""
        return [("Weights", f"a file of the user's own, not in the catalogue{checksum}")]
    known = (
        ("Licence", entry.licence),
        ("Please cite", entry.citation),
        ("Trained on", None if entry.file is None else f"{entry.anatomy}, {entry.modality}"),
        ("SHA-256 of the weights", report.model_sha256),
    )
    return [(name, text) for name, text in known if text]
