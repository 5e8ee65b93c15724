"""FreeSurfer's LTA maps moving to fixed; ours maps fixed to moving."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.volumes import a_geometry, rotation
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.transform import AffineTransform

nibabel = pytest.importorskip("nibabel")

FIXED, MOVING = a_geometry("left-handed oblique"), a_geometry("LPS", (11, 13, 8), 1.5)


def an_affine() -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((1, 2, 3), 20) * 0.95, (4, -3, 2)
    return AffineTransform(matrix)


def rows(matrix: np.ndarray) -> str:
    return "\n".join(" ".join(f"{value:.12f}" for value in row) for row in matrix)


def volume_info(which: str, geometry) -> str:
    """As FreeSurfer prints it; cras is the RAS of the voxel coordinate extent / 2, as in its MGH files."""
    header = nibabel.MGHImage(np.zeros(geometry.shape, np.float32), geometry.affine).header
    lines = [f"{which} volume info", "valid = 1  # volume info valid", "filename = /subjects/bert/mri/T1.mgz"]
    lines += [f"volume = {' '.join(map(str, geometry.shape))}"]
    lines += [f"voxelsize = {' '.join(f'{v:.15e}' for v in header['delta'])}"]
    lines += [f"{axis}ras   = {' '.join(f'{v:.15e}' for v in row)}" for axis, row in zip("xyz", header["Mdc"])]
    return "\n".join([*lines, f"cras   = {' '.join(f'{v:.15e}' for v in header['Pxyz_c'])}", ""])


def an_lta(folder, kind: int, matrix: np.ndarray):
    text = (
        "# transform file /subjects/bert/mri/transforms/x.lta\n# created by bert on Mon Jan 01\n\n"
        f"type      = {kind} # some kind\nnxforms   = 1\nmean      = 129.0 146.1 131.4\nsigma     = 10000.0000\n"
        f"1 4 4\n{rows(matrix)}\n{volume_info('src', MOVING)}{volume_info('dst', FIXED)}"
        "subject fsaverage\nfscale 0.150000\n"
    )
    (folder / "x.lta").write_text(text)
    return folder / "x.lta"


def test_a_ras_to_ras_file_is_the_inverse_of_ours(tmp_path):
    path = an_lta(tmp_path, 1, np.linalg.inv(an_affine().matrix))
    assert np.allclose(read_transform(path).matrix, an_affine().matrix, atol=1e-9)


def test_a_voxel_to_voxel_file_needs_both_volumes(tmp_path):
    inverse = np.linalg.inv(an_affine().matrix)
    voxels = FIXED.world_to_voxel_affine @ inverse @ MOVING.affine
    path = an_lta(tmp_path, 0, voxels)
    assert np.allclose(read_transform(path).matrix, an_affine().matrix, atol=1e-5)


def test_a_file_comes_back(tmp_path):
    for fixed, moving in ((None, None), (FIXED, None), (FIXED, MOVING)):
        path = write_transform(an_affine(), tmp_path / "x.lta", fixed, moving)
        assert np.abs(read_transform(path).matrix - an_affine().matrix).max() < 1e-12


def test_our_volume_info_is_that_of_freesurfer(tmp_path):
    """The written grids, read back through a voxel-to-voxel file, are the grids."""
    text = write_transform(an_affine(), tmp_path / "x.lta", FIXED, MOVING).read_text()
    voxels = FIXED.world_to_voxel_affine @ np.linalg.inv(an_affine().matrix) @ MOVING.affine
    lines = text.splitlines()
    lines[0], lines[5:9] = "type = 0", rows(voxels).splitlines()
    (tmp_path / "y.lta").write_text("\n".join(lines))
    assert np.allclose(read_transform(tmp_path / "y.lta").matrix, an_affine().matrix, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("type      = 1", "type      = 14", "has the LTA type 14; only 0 .voxel to voxel. and 1 .RAS to RAS. are read"),
        ("type      = 1", "kind      = 1", "is not an LTA file: 'type' is missing or not a number"),
        ("nxforms   = 1", "nxforms   = 2", "holds 2 transforms. Choose a file with a single one"),
        ("nxforms   = 1", "nxforms   = --", "'nxforms' is missing or not a number"),
        ("1 4 4", "1 3 3", "has no 4x4 matrix of numbers"),
        ("1 4 4\n", "1 4 4\n--- ", "has no 4x4 matrix of numbers"),
        ("1 4 4\n", "1 4 4\n9e999 ", "x.lta: An affine transform needs a 4x4|x.lta: The affine"),
    ],
)
def test_damaged_files(tmp_path, old, new, text):
    path = an_lta(tmp_path, 1, np.eye(4))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(GeometryError, match=text):
        read_transform(path)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("valid = 1", "valid = 0", "maps voxels but its src volume info is missing or not valid"),
        ("dst volume info", "dst", "maps voxels but its dst volume info is missing"),
        ("voxelsize = ", "voxelsize = 0 0 0 #", "x.lta: The voxel spacing"),
        ("cras ", "sarc ", "'cras' is missing or not a number"),
    ],
)
def test_damaged_volumes(tmp_path, old, new, text):
    path = an_lta(tmp_path, 0, np.eye(4))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(GeometryError, match=text):
        read_transform(path)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(2000)])
def test_what_is_no_lta_file(tmp_path, content):
    (tmp_path / "x.lta").write_bytes(content)
    with pytest.raises(GeometryError, match=r"is empty|is not an LTA file"):
        read_transform(tmp_path / "x.lta")


@pytest.mark.parametrize("filling", ["\n", " ", "\t\n", "1 4 4\n", "type = \n", "-", "1 ", "# \n"])
def test_long_files_of_nothing_are_refused_in_linear_time(tmp_path, filling):
    (tmp_path / "long.lta").write_text("type = 1\nnxforms = 1\n" + filling * 200_000)
    began = time.process_time()
    with pytest.raises(GeometryError, match=r"long\.lta"):
        read_transform(tmp_path / "long.lta")
    assert time.process_time() - began < 5
