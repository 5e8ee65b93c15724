"""A pair whose transform is known, as files of everything that the evaluate command can measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.core.io.transforms import write_transform
from VoxelMorphLib.core.transform import DisplacementField

from support.volumes import CENTRE, a_blob_image, a_geometry, a_label_map, a_smooth_field

FIXED, MOVING = a_geometry("oblique", (26, 24, 20), 1.6), a_geometry("left-handed oblique", (30, 40, 18), 1.6)


def write_points(path: Path, points: np.ndarray) -> None:
    path.write_text("label,x,y,z\n" + "".join(f"p{i},{x},{y},{z}\n" for i, (x, y, z) in enumerate(points)))


@pytest.fixture(scope="session")
def files_of_a_pair(tmp_path_factory):
    """A pair whose transform is known, with everything that can be known of it."""
    folder = tmp_path_factory.mktemp("pair")
    forward = DisplacementField(a_smooth_field(FIXED), FIXED)
    inverse = forward.inverse()
    fixed, labels = a_blob_image(FIXED), a_label_map(FIXED)
    moving, moving_labels = inverse.resample(fixed, MOVING), inverse.resample(labels, MOVING)
    images = {"fixed": fixed, "moving": moving, "moved": forward.resample(moving, FIXED)}
    maps = {"fl": labels, "ml": moving_labels, "dl": forward.resample(moving_labels, FIXED)}
    for name, image in {**images, **maps}.items():
        write_image(image, folder / f"{name}.nii.gz")
    write_transform(forward, folder / "forward.h5")
    write_transform(inverse, folder / "inverse.nii.gz")
    points = CENTRE + np.random.default_rng(0).uniform(-6, 6, (4, 3))
    write_points(folder / "fp.csv", points)
    write_points(folder / "mp.csv", forward.apply_to_points(points) + (0, 0.3, 0.4))
    return folder


@pytest.fixture
def folder(files_of_a_pair, tmp_path, monkeypatch):
    """The files of the pair, in the working folder of the test."""
    for file in files_of_a_pair.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: Every file by its option.
ALL = {
    "fixed": "fixed.nii.gz",
    "moving": "moving.nii.gz",
    "moved": "moved.nii.gz",
    "fixedLabels": "fl.nii.gz",
    "movingLabels": "ml.nii.gz",
    "movedLabels": "dl.nii.gz",
    "transform": "forward.h5",
    "inverse": "inverse.nii.gz",
    "fixedPoints": "fp.csv",
    "movingPoints": "mp.csv",
}


def words(**files: str) -> list[str]:
    """Arguments of the command."""
    return [word for name, value in files.items() for word in (f"--{name}", str(value))]
