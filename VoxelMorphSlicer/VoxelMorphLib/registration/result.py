"""What a registration leaves: the moved image, both transforms, and a report of plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.config import Settings
from ..core.image import Image
from ..core.transform import Transform


@dataclass(frozen=True)
class RegistrationReport(Settings):
    """How a registration went, ready for JSON, attributes of nodes and tables.

    Args:
        model: id or file name of the model.
        model_title: what people call it.
        model_sha256: of the weights; empty where the model has none.
        device: that computed it, e.g. "cuda:0".
        precision: of the convolutions.
        affine: the start that ran: "none", "grid", "centre", "rigid" or "affine".
        fixed_mask, moving_mask: name of the mask and how much of the volume lies inside; empty where there was none.
        options: the `RegistrationOptions` as a dictionary.
        seconds: wall time of each stage.
        similarity_before, similarity_after: correlation of the intensities of fixed and moving (moved) image, -1 to 1.
        mutual_information_before, mutual_information_after: nats.
        folded_voxels, folded_percent: fixed voxels whose Jacobian determinant is not positive.
        jacobian_min, jacobian_max: extremes of the determinant of the whole map, affine part included; 1 keeps the
            volume.
        displacement_mean_mm, displacement_max_mm: of the deformable part.
        inverse_residual_mm, inverse_residual_p99_mm: mean and 99th percentile of the distances of fixed voxels from
            where forward and inverse bring them back to.
        warnings: sentences for the user.
        fixed, moving: the two grids in words.
    """

    model: str = ""
    model_title: str = ""
    model_sha256: str = ""
    device: str = "cpu"
    precision: str = "float32"
    affine: str = "none"
    fixed_mask: str = ""
    moving_mask: str = ""
    options: dict = field(default_factory=dict, hash=False)
    seconds: dict = field(default_factory=dict, hash=False)
    similarity_before: float = 0.0
    similarity_after: float = 0.0
    mutual_information_before: float = 0.0
    mutual_information_after: float = 0.0
    folded_voxels: int = 0
    folded_percent: float = 0.0
    jacobian_min: float = 1.0
    jacobian_max: float = 1.0
    displacement_mean_mm: float = 0.0
    displacement_max_mm: float = 0.0
    inverse_residual_mm: float = 0.0
    inverse_residual_p99_mm: float = 0.0
    warnings: tuple[str, ...] = ()
    fixed: str = ""
    moving: str = ""


@dataclass(frozen=True, eq=False)
class Registration:
    """The result of `register`.

    Args:
        moved: the moving image on the fixed grid.
        forward: fixed -> moving (pull): resamples moving images, labels and volumes onto the fixed grid.
        inverse: moving -> fixed: resamples fixed images onto the moving grid, and moves points of the moving image.
        report: figures about it.
    """

    moved: Image
    forward: Transform
    inverse: Transform
    report: RegistrationReport
