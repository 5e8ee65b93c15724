"""What is written twice is the same file to the last byte, whatever the clock says."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.core.io.images import IMAGE_EXTENSIONS, write_image
from VoxelMorphLib.core.io.transforms import WRITABLE, write_transform
from VoxelMorphLib.core.io.volumes import write_volume
from VoxelMorphLib.core.series import Series
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField

GRID = a_geometry("oblique")
FIELD = DisplacementField(a_smooth_field(GRID).astype(np.float32), GRID)


@pytest.fixture
def written_twice(tmp_path, monkeypatch):
    """The bytes of the files that `write` makes under the same name, in two years."""

    def written(write, name):
        contents = []
        for number, seconds in enumerate((1.0e9, 1.5e9)):
            folder = tmp_path / str(number)
            folder.mkdir()
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda now=seconds: now)
                write(folder / name)
            contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
        return contents

    return written


@pytest.mark.parametrize("extension", IMAGE_EXTENSIONS)
def test_images(written_twice, extension):
    first, second = written_twice(lambda path: write_image(a_blob_image(GRID), path), f"image{extension}")
    assert first and first == second


@pytest.mark.parametrize("extension", WRITABLE)
def test_transforms(written_twice, extension):
    bent = "affine" if WRITABLE[extension] == ("affine",) else "field"
    transform = AffineTransform(np.diag([1.1, 1, 1, 1])) if bent == "affine" else FIELD
    first, second = written_twice(lambda path: write_transform(transform, path, GRID, GRID), f"transform{extension}")
    assert first and first == second


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_series(written_twice, extension):
    series = Series(np.stack([a_blob_image(GRID, seed).array for seed in range(2)], axis=-1), GRID)
    first, second = written_twice(lambda path: write_volume(series, path), f"series{extension}")
    assert first and first == second
