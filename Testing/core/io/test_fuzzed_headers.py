"""A file with damaged bytes is a valid image or one of our errors, never anything else."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.core.errors import VoxelMorphError
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.io.images import read_image, write_image
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField, Transform

GEOMETRY = a_geometry("left-handed oblique", (6, 5, 4))
#: NIfTI headers take 352 bytes, those of the others less.
HEADER_BYTES = 420

#: A place, and what happens there: new bytes, removed bytes, or more bytes.
CHANGES = st.lists(
    st.tuples(
        st.integers(0, HEADER_BYTES - 1),
        st.sampled_from(["replace", "remove", "insert"]),
        st.one_of(
            st.binary(min_size=1, max_size=4), st.sampled_from([b"\xff\xff", b"\0\0", b"9999", b"-1", b"nan", b"\n\n"])
        ),
    ),
    min_size=1,
    max_size=6,
)
FUZZED = settings(
    max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def damaged(content: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    is_compressed = content[:2] == b"\x1f\x8b"
    changed = bytearray(gzip.decompress(content) if is_compressed else content)
    for place, what, new in changes:
        end = place if what == "insert" else place + len(new)
        changed[place:end] = b"" if what == "remove" else new
    return gzip.compress(bytes(changed), 1) if is_compressed else bytes(changed)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha", ".mgz", ".npz"])
@FUZZED
@given(changes=CHANGES)
def test_damaged_images(folder, extension, changes):
    path = folder / f"x{extension}"
    content = damaged(write_image(a_blob_image(GEOMETRY), path).read_bytes(), changes)
    path.write_bytes(content)
    try:
        image = read_image(path)
    except VoxelMorphError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(image, Image)
        assert image.array.nbytes <= 1100 * len(content)


@pytest.mark.slow
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mgz", ".tfm", ".lta"])
@FUZZED
@given(changes=CHANGES)
def test_damaged_transforms(folder, extension, changes):
    path = folder / f"x{extension}"
    field = DisplacementField(a_smooth_field(GEOMETRY), GEOMETRY)
    transform = AffineTransform(GEOMETRY.affine) if extension == ".lta" else field
    path.write_bytes(damaged(write_transform(transform, path, GEOMETRY, GEOMETRY).read_bytes(), changes))
    try:
        assert isinstance(read_transform(path), Transform)
    except VoxelMorphError as error:
        assert str(error)
