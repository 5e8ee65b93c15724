"""One registered pair, in any combination of what is known of it, read from files and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import ConfigError, GeometryError, ImageError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.landmarks import LandmarkPairs
from ..core.transform import IDENTITY, Transform
from ..registration.overlap import overlaps
from .rows import Row

#: What can be known of a pair: names of options and of columns in a list of pairs.
FILES = {
    "fixed": "fixed volume",
    "moving": "moving volume as it was",
    "moved": "moving volume after the registration, in the space of the fixed one",
    "fixedLabels": "label map of the fixed volume",
    "movingLabels": "label map of the moving volume as it was",
    "movedLabels": "label map after the registration, in the space of the fixed volume",
    "transform": "transform fixed to moving, which resamples moving volumes",
    "inverse": "transform moving to fixed",
    "fixedPoints": "landmarks of the fixed volume (.mrk.json, .fcsv, .csv)",
    "movingPoints": "the same landmarks in the moving volume",
}
#: What cannot be measured alone, and what it needs: one of these.
_NEEDS = {
    "moving": ("fixed",),
    "moved": ("fixed",),
    "fixedLabels": ("movedLabels", "movingLabels"),
    "movingLabels": ("fixedLabels",),
    "movedLabels": ("fixedLabels",),
    "fixedPoints": ("movingPoints",),
    "movingPoints": ("fixedPoints",),
    "inverse": ("transform",),
}
_MEASURED = ("moving", "moved", "fixedLabels", "transform", "fixedPoints")


@dataclass(frozen=True, eq=False)
class Subject:
    """A pair to be measured; whatever is None is not known, and nothing that needs it is measured.

    Args:
        name: of the pair.
        fixed, moving, moved: volumes; `moved` on any grid in the fixed space.
        fixed_labels, moving_labels, moved_labels: label maps in the same spaces, on any grid.
        forward: fixed -> moving.
        inverse: moving -> fixed.
        landmarks: of both volumes.
        label_names: that the files of the label maps hold.
        provenance: rows about how the result was made.
    """

    name: str = ""
    fixed: Image | None = None
    moving: Image | None = None
    moved: Image | None = None
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None
    moved_labels: LabelMap | None = None
    forward: Transform | None = None
    inverse: Transform | None = None
    landmarks: LandmarkPairs | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    provenance: tuple[Row, ...] = ()

    @property
    def fixed_grid(self) -> Geometry | None:
        """Of the fixed volume or its label map."""
        known = self.fixed if self.fixed is not None else self.fixed_labels
        return None if known is None else known.geometry

    @property
    def moving_grid(self) -> Geometry | None:
        """Of the moving volume or its label map."""
        known = self.moving if self.moving is not None else self.moving_labels
        return None if known is None else known.geometry

    def check(self) -> None:
        """Refuse what would be measured without meaning.

        Raises:
            GeometryError: grids that do not meet, or a transform that leads from one volume past the other.
            ImageError: a volume with NaN or infinity.
        """
        for image in (self.fixed, self.moving, self.moved):
            if image is not None:
                _check_finite(image)
        for one, other in (
            (self.fixed, self.moved),
            (self.fixed, self.fixed_labels),
            (self.moving, self.moving_labels),
            (self.fixed_labels, self.moved_labels),
        ):
            if one is not None and other is not None and not overlaps(one.geometry, other.geometry, IDENTITY):
                raise GeometryError(
                    f"{other.name} ({other.geometry}) and {one.name} ({one.geometry}) do not meet in the patient. Give "
                    "files of the same space, or resample one onto the grid of the other."
                )
        self._check_reach(self.forward, self.fixed_grid, self.moving_grid, "transform", "fixed", "moving")
        self._check_reach(self.inverse, self.moving_grid, self.fixed_grid, "inverse transform", "moving", "fixed")

    def _check_reach(
        self,
        transform: Transform | None,
        start: Geometry | None,
        end: Geometry | None,
        what: str,
        role: str,
        other: str,
    ) -> None:
        if transform is None or start is None or end is None or overlaps(start, end, transform):
            return
        raise GeometryError(
            f"The {what} leads no voxel of the {role} volume ({start}) into the {other} one ({end}). It is of another "
            f"pair, or leads the other way: it must map points of the {role} volume to the {other} one."
        )


def check_files(files: Mapping[str, Path]) -> None:
    """Refuse combinations of files of which nothing can be measured, before they are read.

    Args:
        files: by the names in `FILES`.

    Raises:
        ConfigError: as said.
    """
    for name in files:
        needed = _NEEDS.get(name, ())
        if needed and not any(other in files for other in needed):
            wanted = " or ".join(f"--{other}" for other in needed)
            raise ConfigError(f"--{name} cannot be measured alone. Give {wanted} too, or leave it out.")
    if not any(name in files for name in _MEASURED):
        raise ConfigError(
            "There is nothing to measure. Give --fixed with --moved, --fixedLabels with --movedLabels, --fixedPoints "
            "with --movingPoints, or a --transform; --pairs or --scans for many."
        )


def read_subject(name: str, files: Mapping[str, Path]) -> Subject:
    """Read and check a pair.

    Args:
        name: of the pair.
        files: by the names in `FILES`.

    Raises:
        ConfigError, ImageError, GeometryError: as `check_files` and `Subject.check`, or a file cannot be read.
    """
    from ..core.io.images import read_image, read_label_map
    from ..core.io.points import read_landmark_pairs
    from ..core.io.positions import warn_of_mixed_positions
    from ..core.io.transforms import read_transform

    check_files(files)
    images = {name: read_image(files[name]) for name in ("fixed", "moving", "moved") if name in files}
    label_files = [name for name in ("fixedLabels", "movingLabels", "movedLabels") if name in files]
    labels = {name: read_label_map(files[name]) for name in label_files}
    warn_of_mixed_positions(files[name] for name in (*images, *labels))
    known = Subject(
        name,
        fixed=images.get("fixed"),
        moving=images.get("moving"),
        moved=images.get("moved"),
        fixed_labels=labels.get("fixedLabels"),
        moving_labels=labels.get("movingLabels"),
        moved_labels=labels.get("movedLabels"),
        label_names=names_in([files[name] for name in label_files]),
    )
    grids = known.fixed_grid, known.moving_grid
    points = [files[name] for name in ("fixedPoints", "movingPoints") if name in files]
    subject = Subject(
        **{
            **vars(known),
            "forward": read_transform(files["transform"], *grids) if "transform" in files else None,
            "inverse": read_transform(files["inverse"], *reversed(grids)) if "inverse" in files else None,
            "landmarks": read_landmark_pairs(*points) if points else None,
        }
    )
    subject.check()
    return subject


def names_in(paths: list[Path]) -> dict[int, str]:
    """Names of labels that the headers of their files hold; those of the first file come first."""
    from ..core.io.label_names import segment_names

    names: dict[int, str] = {}
    for path in paths:
        names = {**segment_names(path), **names}
    return names


def _check_finite(image: Image) -> None:
    if image.array.dtype.kind != "f":
        return
    bad = int(image.array.size - np.isfinite(image.array).sum())
    if bad:
        raise ImageError(f"{image.name} holds {bad} NaN or infinite voxels. Replace them, e.g. by 0, and try again.")
