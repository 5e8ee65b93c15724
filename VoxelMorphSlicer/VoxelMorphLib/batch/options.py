"""BatchOptions: what a batch leaves of every pair, and how many processes work on it."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.config import Settings
from ..core.options import option

IMAGE_FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mgz")
TRANSFORM_FORMATS = (".h5", ".tfm", ".nii.gz", ".nrrd", ".mha", ".mgz", ".npz")
#: More processes than any computer or cluster has.
MOST_WORKERS = 4096


@dataclass(frozen=True)
class BatchOptions(Settings):
    """What holds for all pairs of a batch, beside how each is registered."""

    moved: bool = option(True, "write the moved volume", title="Moved volume", group="Outputs")
    forward: bool = option(
        True,
        "write the transform that places the moving volume onto the fixed one, from points of the fixed volume to "
        "points of the moving one",
        title="Transform, moving to fixed",
        group="Outputs",
    )
    inverse: bool = option(
        True, "write the transform of the opposite direction", title="Transform, fixed to moving", group="Outputs"
    )
    moved_labels: bool = option(
        True,
        "write the moved label map of pairs that have movingLabels",
        title="Moved label map",
        group="Outputs",
    )
    report: bool = option(
        False, "write a page with pictures for every pair; the summary is always written", group="Outputs"
    )
    thumbnails: bool = option(
        True, "draw a small picture of every pair for the summary", title="Small pictures", group="Outputs"
    )
    image_format: str = option(
        ".nii.gz", "ending of moved volumes and label maps", IMAGE_FORMATS, title="Format of volumes", group="Outputs"
    )
    transform_format: str = option(
        ".h5", "ending of transforms", TRANSFORM_FORMATS, title="Format of transforms", group="Outputs"
    )
    workers: int = option(
        1,
        "processes that register side by side, each with its own model and its share of the processor",
        title="Processes",
        low=1,
        high=MOST_WORKERS,
        group="Computation",
    )
