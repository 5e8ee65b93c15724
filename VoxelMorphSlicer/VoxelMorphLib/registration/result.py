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
        compared: how an optimisation compared the images, and why so; empty where nothing was optimised.
        fixed_mask, moving_mask: name of the mask and how much of the volume lies inside; empty where there was none.
        options: the `RegistrationOptions` as a dictionary.
        seconds: wall time of each stage.
        similarity_before, similarity_after: correlation of the intensities of fixed and moving (moved) image, where
            both show something, -1 to 1.
        mutual_information_before, mutual_information_after: nats, at the same places.
        local_similarity_before, local_similarity_after: correlation in small windows, 0 to 1; see `verdict`.
        overlap_before, overlap_after: share of the fixed volume where the moving one shows something, 0 to 1.
        folded_voxels, folded_percent: fixed voxels where the Jacobian determinant, which is measured on the grid of
            the field, is not positive.
        jacobian_min, jacobian_max: extremes of the determinant of the whole map, affine part included; 1 keeps the
            volume.
        log_jacobian_std: standard deviation of the logarithm of the determinant in the contents of the fixed image.
        folded_contents_percent: share of these contents that is folded.
        displacement_mean_mm, displacement_max_mm: of the deformable part.
        inverse_residual_mm, inverse_residual_p99_mm: mean and 99th percentile of the distances of fixed voxels from
            where forward and inverse bring them back to.
        landmarks: number of pairs that were given.
        landmark_error_before_mm, landmark_error_after_mm: mean distance of where the fixed ones come to from the moving
            ones; 0 without landmarks.
        guides: what pulled beside the images, in words; empty where nothing did.
        worse: what is worse than before the registration, or implausible, and what to change; empty where nothing is.
            It is also the first of the warnings.
        warnings: sentences for the user.
        fixed, moving: the two grids in words.
    """

    model: str = ""
    model_title: str = ""
    model_sha256: str = ""
    device: str = "cpu"
    precision: str = "float32"
    affine: str = "none"
    compared: str = ""
    fixed_mask: str = ""
    moving_mask: str = ""
    options: dict = field(default_factory=dict, hash=False)
    seconds: dict = field(default_factory=dict, hash=False)
    similarity_before: float = 0.0
    similarity_after: float = 0.0
    mutual_information_before: float = 0.0
    mutual_information_after: float = 0.0
    local_similarity_before: float = 0.0
    local_similarity_after: float = 0.0
    overlap_before: float = 1.0
    overlap_after: float = 1.0
    folded_voxels: int = 0
    folded_percent: float = 0.0
    jacobian_min: float = 1.0
    jacobian_max: float = 1.0
    log_jacobian_std: float = 0.0
    folded_contents_percent: float = 0.0
    displacement_mean_mm: float = 0.0
    displacement_max_mm: float = 0.0
    inverse_residual_mm: float = 0.0
    inverse_residual_p99_mm: float = 0.0
    landmarks: int = 0
    landmark_error_before_mm: float = 0.0
    landmark_error_after_mm: float = 0.0
    guides: str = ""
    worse: str = ""
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
