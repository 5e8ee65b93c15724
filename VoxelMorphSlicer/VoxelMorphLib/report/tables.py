"""The numbers of a finished registration as rows of text with units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..core.image import Image
from .measures import DisplacementError

if TYPE_CHECKING:
    from ..registration.result import RegistrationReport

Rows = list[tuple[str, ...]]
Overlap = dict[int, tuple[float, float]]

_OPTIONS = {
    "affine": "affine start asked for",
    "device": "device asked for",
    "precision": "precision asked for",
    "interpolation": "interpolation",
    "background": "value outside the moving volume",
    "budget_s": "time budget of an optimisation, s",
    "smoothness": "weight of the smoothness of an optimisation",
    "hyper": "regularity of a model trained for all values of it",
    "seed": "random seed",
}


def key_figures(
    report: RegistrationReport, overlap: Overlap | None, error: tuple[DisplacementError, DisplacementError] | None
) -> list[tuple[str, str]]:
    """(value, meaning) of what a reader looks for first."""
    figures = [
        (f"{report.similarity_before:.3f} → {report.similarity_after:.3f}", "correlation"),
    ]
    if overlap:
        before, after = np.mean(list(overlap.values()), axis=0)
        figures.append((f"{before:.3f} → {after:.3f}", f"Dice, mean of {len(overlap)} labels"))
    if error:
        figures.append((f"{error[0].mean:.2f} → {error[1].mean:.2f}", "mean error in mm"))
    figures.append((f"{report.folded_percent:.3g} %", "of the voxels are folded"))
    figures.append((f"{report.seconds.get('total', 0):.1f} s", f"on {report.device}"))
    return figures


def measurement_rows(report: RegistrationReport, error: tuple[DisplacementError, DisplacementError] | None) -> Rows:
    """Quantity, before, after."""
    information = (report.mutual_information_before, report.mutual_information_after)
    rows = [
        ("Correlation of the intensities (NCC)", f"{report.similarity_before:.4f}", f"{report.similarity_after:.4f}"),
        ("Mutual information", *(f"{value:.4f} nats" for value in information)),
    ]
    if error:
        for name, key in (("mean", "mean"), ("95th percentile", "percentile_95"), ("largest", "largest")):
            rows.append((f"Displacement error, {name}", *(f"{getattr(part, key):.2f} mm" for part in error)))
    jacobian = f"{report.jacobian_min:.3f} to {report.jacobian_max:.3f}"
    rows += [
        ("Jacobian determinant, smallest to largest", "1", jacobian),
        ("Folded voxels (Jacobian determinant 0 or less)", "0 %", f"{report.folded_percent:.4g} %"),
        ("Displacement, mean (deformable part)", "", f"{report.displacement_mean_mm:.2f} mm"),
        ("Displacement, largest (deformable part)", "", f"{report.displacement_max_mm:.2f} mm"),
        ("Forward followed by inverse, mean error", "0 mm", f"{report.inverse_residual_mm:.3f} mm"),
        ("Forward followed by inverse, 99th percentile", "0 mm", f"{report.inverse_residual_p99_mm:.3f} mm"),
    ]
    rows += [(f"Time: {stage}", "", f"{seconds:.2f} s") for stage, seconds in report.seconds.items()]
    return rows


def dice_rows(overlap: Overlap | None, names: Mapping[int, str] | None) -> Rows:
    """Label, Dice before, Dice after; the mean last."""
    if not overlap:
        return []
    names = names or {}
    rows = [
        (f"{label} {names[label]}" if label in names else f"{label}", f"{before:.3f}", f"{after:.3f}")
        for label, (before, after) in overlap.items()
    ]
    before, after = np.mean(list(overlap.values()), axis=0)
    return [*rows, ("mean", f"{before:.3f}", f"{after:.3f}")]


def settings_rows(report: RegistrationReport) -> Rows:
    """What was run, under which licence, and how."""
    rows = [("Model", f"{report.model_title}, id {report.model}"), *_provenance(report)]
    rows += [("Ran on", f"{report.device}, {report.precision}"), ("Affine start used", report.affine)]
    rows += [
        (f"{role} mask, only its inside was looked at", mask)
        for role, mask in (("Fixed", report.fixed_mask), ("Moving", report.moving_mask))
        if mask
    ]
    return rows + [(_OPTIONS.get(name, name).capitalize(), _value(value)) for name, value in report.options.items()]


def volume_rows(fixed: Image, moving: Image, moved: Image) -> Rows:
    """Name, grid, intensities of the three volumes."""
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
    from ..weights.catalogue import load_catalogue

    entry = load_catalogue().get(report.model)
    if entry is None:
        checksum = f", SHA-256 {report.model_sha256}" if report.model_sha256 else ""
        return [("Weights", f"a file of the user's own, not in the catalogue{checksum}")]
    known = (("Licence", entry.licence), ("Please cite", entry.citation), ("Trained on", _trained_on(entry)))
    known += (("SHA-256 of the weights", report.model_sha256),)
    return [(name, text) for name, text in known if text]


def _trained_on(entry) -> str | None:
    return None if entry.file is None else f"{entry.anatomy}, {entry.modality}"
