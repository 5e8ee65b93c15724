"""The pairs: files on their native grids, with labels or with a known truth."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.nifti import read_nifti
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import DisplacementField, Transform

#: Labels of the two OASIS brains that count, as in the README of the data.
OASIS = (2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 28, 31, 41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54)
OASIS = (*OASIS, 60, 63)
#: Voxels that the mask of the heads with known truth loses, and the seeds of those that are made here.
EROSION_VOX, SEEDS = 4, {"t2": 4000, "flair": 4001}


@dataclass(frozen=True)
class Truth:
    """Where a pair is known to correspond.

    Args:
        forward: fixed -> moving.
        inside: (I, J, K) bool on the fixed grid, where the error counts.
    """

    forward: Transform
    inside: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two images.

    Args:
        group, name: what it is called, `group/name`.
        fixed, moving: image files.
        fixed_labels, moving_labels: label maps on the grids of the images, where there are any.
        labels: those that count; None takes all that both maps have.
        truth: reads the known correspondence.
        multimodal: the images show different contrasts.
        prepare: writes the files, where they are made.
    """

    group: str
    name: str
    fixed: Path
    moving: Path
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    labels: tuple[int, ...] | None = None
    truth: Callable[[], Truth] | None = None
    multimodal: bool = False
    prepare: Callable[[], None] | None = None

    @property
    def title(self) -> str:
        """Unique among all pairs."""
        return f"{self.group}/{self.name}"


def find_pairs(data: Path, scratch: Path, patterns: list[str]) -> list[Pair]:
    """The pairs of the data folder whose group or `group/name` fits one of the patterns, such as "oasis*".

    Groups whose folder is absent have none.
    """
    wanted = patterns or ["*"]
    return [
        pair
        for group in GROUPS.values()
        for pair in group(data, scratch)
        if any(fnmatch(name, pattern) for name in (pair.group, pair.title) for pattern in wanted)
    ]


def _hippocampus(data: Path, scratch: Path) -> Iterator[Pair]:
    listed = data / "hippocampus" / "val_pairs.json"
    for names in json.loads(listed.read_text())["pairs"] if listed.is_file() else ():
        files = [
            data / "hippocampus" / kind / f"hippocampus_{c}.nii.gz" for kind in ("images", "labels") for c in names
        ]
        yield Pair("hippocampus", "-".join(names), *files)


def _labelled(
    group: str,
    folder: str,
    image: str,
    label: str,
    names: tuple[tuple[str, str], ...],
    data: Path,
    scratch: Path,
    labels: tuple[int, ...] | None = None,
) -> Iterator[Pair]:
    if (data / folder).is_dir():
        for pair in names:
            files = [data / folder / f"{name}_{kind}.nii.gz" for kind in (image, label) for name in pair]
            yield Pair(group, "-".join(pair), *files, labels)


def _multimodal(data: Path, scratch: Path) -> Iterator[Pair]:
    """Contrasts of one head, the moving one warped; of the truth every second voxel is stored, in hundredths of mm."""
    folder = data / "multimodal" / "study1"
    for known in json.loads((folder / "pairs.json").read_text()) if folder.is_dir() else ():
        name = Path(known["moving"]).name.partition(".")[0]
        truth = partial(_stored_truth, folder / known["truth"], folder / known["mask"])
        yield Pair("multimodal", name, folder / known["fixed"], folder / known["moving"], truth=truth, multimodal=True)


def _stored_truth(field: Path, mask: Path) -> Truth:
    stored = read_nifti(field)
    assert stored.geometry is not None
    forward = DisplacementField(stored.array.astype(np.float32) / 100, stored.geometry)
    return Truth(forward, binary_erosion(read_image(mask).array > 0, iterations=EROSION_VOX))


def _multicontrast(data: Path, scratch: Path) -> Iterator[Pair]:
    """Contrasts of one healthy head, the moving one warped when the pair is first used."""
    maker = data / "multicontrast" / "known.py"
    for contrast, seed in SEEDS.items() if maker.is_file() else ():
        name = f"t1-{contrast}-{seed}"
        fixed, moving, field, mask = (
            scratch / "multicontrast" / f"{name}_{kind}"
            for kind in ("fixed.nii.gz", "moving.nii.gz", "u.nrrd", "m.nii.gz")
        )
        prepare = partial(_make_known, maker, contrast, seed, (fixed, moving, field, mask))
        truth = partial(_written_truth, field, mask)
        yield Pair("multicontrast", name, fixed, moving, truth=truth, multimodal=True, prepare=prepare)


def _make_known(maker: Path, contrast: str, seed: int, files: tuple[Path, Path, Path, Path]) -> None:
    if files[-1].is_file():
        return
    spec = importlib.util.spec_from_file_location("known", maker)
    assert spec and spec.loader
    known = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(known)
    made = known.known("kirby113", "t1", contrast, seed)
    shape, spacing = made["fixed"].shape, made["spacing"]
    grid = Geometry.from_parts(shape, (spacing,) * 3, np.eye(3), -spacing * (np.array(shape) - 1) / 2)
    files[0].parent.mkdir(parents=True, exist_ok=True)
    write_image(Image(made["fixed"], grid), files[0])
    write_image(Image(made["moving"], grid), files[1])
    write_transform(DisplacementField(np.moveaxis(made["truth"], 0, -1) * np.float32(spacing), grid), files[2])
    write_image(Image(made["score_mask"].astype(np.uint8), grid), files[3])


def _written_truth(field: Path, mask: Path) -> Truth:
    return Truth(read_transform(field), read_image(mask).array > 0)


#: Of the folder `body` nothing is here: its two patients share no labels, and neither is there twice.
GROUPS: dict[str, Callable[[Path, Path], Iterator[Pair]]] = {
    "hippocampus": _hippocampus,
    "oasis30": partial(
        _labelled,
        "oasis30",
        "brain_oasis30",
        "t1",
        "nmm",
        (("1036", "1017"), ("1015", "1014"), ("1013", "1012")),
    ),
    "freesurfer": partial(
        _labelled, "freesurfer", "brain_freesurfer", "t1", "aseg", (("fs01", "fs02"), ("fs03", "fs04"))
    ),
    "oasis": partial(_labelled, "oasis", "brain", "t1", "aseg", (("oasis_b", "oasis_a"),), labels=OASIS),
    "mouse": partial(
        _labelled, "mouse", "mouse_brain", "t2", "labels", (("fvb1", "fvb2"), ("fvb3", "fvb4"), ("fvb2", "fvb3"))
    ),
    "multimodal": _multimodal,
    "multicontrast": _multicontrast,
    "slab": partial(_labelled, "slab", "t1_t2_partial", "t2", "t2_labels", (("sub01", "sub02"),)),
}
