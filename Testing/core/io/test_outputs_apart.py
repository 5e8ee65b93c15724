"""Outputs destroy neither inputs, nor each other, nor files that belong to something else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import ImageError, OutputError
from VoxelMorphLib.core.io.collisions import check_apart
from VoxelMorphLib.core.io.files import check_readable, check_writable, replacing
from VoxelMorphLib.core.io.images import check_voxel_type, read_image, write_image
from VoxelMorphLib.core.python_process import LIBRARY_FOLDER

IMAGE = a_blob_image(a_geometry())


def test_a_link_stays_a_link_and_permissions_stay(tmp_path):
    kept = tmp_path / "kept.nrrd"
    kept.write_bytes(b"old")
    kept.chmod(0o600)
    link = tmp_path / "link.nrrd"
    link.symlink_to(kept)
    write_image(IMAGE, link)
    assert link.is_symlink()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert (read_image(kept).array == IMAGE.array).all()
    assert {file.name for file in tmp_path.iterdir()} == {"kept.nrrd", "link.nrrd"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_neither_replaced_nor_opened(tmp_path):
    pipe = tmp_path / "pipe.nrrd"
    os.mkfifo(pipe)
    for path in (pipe, Path(os.devnull)):
        with pytest.raises(OutputError, match="is no ordinary file but a pipe or device"):
            check_writable(path)
        with pytest.raises(ImageError, match="is no ordinary file but a pipe or device"):
            check_readable(path, ImageError)


@pytest.mark.parametrize("kind", [".NII.GZ", ".Nii", ".Nii.Gz", ".MHD", ".MHA", ".NRRD", ".Mgz"])
def test_extensions_in_another_case_are_written(tmp_path, kind):
    path = write_image(IMAGE, tmp_path / f"moved{kind}")
    assert path.is_file()
    assert (read_image(path).array == IMAGE.array).all()
    assert not list(tmp_path.glob(".vox*"))


def test_a_name_that_is_too_long_is_known_before_the_work(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be written \(File name too long\)"):
        check_writable(tmp_path / f"{'x' * 5000}.nrrd")
    assert list(tmp_path.iterdir()) == []


def test_messages_name_what_the_user_named(tmp_path):
    path = tmp_path / "moved.mgz"
    with pytest.raises(OutputError, match=f"^{path}: .mgz cannot hold voxels of type int64"), replacing(path) as file:
        write_image(IMAGE.with_array(IMAGE.array.astype(np.int64)), file)


@pytest.mark.parametrize(("name", "dtype"), [("a.MGH", "int64"), ("a.mgz", "uint32")])
def test_types_that_a_format_cannot_hold(name, dtype):
    with pytest.raises(OutputError, match=f"cannot hold voxels of type {dtype}"):
        check_voxel_type(name, np.dtype(dtype))
    check_voxel_type("a.nrrd", np.dtype(dtype))


@pytest.mark.parametrize("name", ["dose.mhd", "dose.nhdr"])
def test_a_foreign_file_of_voxels_is_not_replaced(tmp_path, name):
    (tmp_path / "dose.raw").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"would replace .*dose.raw, which does not belong to it"):
        check_writable(tmp_path / name)


def test_voxels_of_another_header_are_not_replaced(tmp_path):
    write_image(IMAGE, tmp_path / "scan.mhd")
    with pytest.raises(OutputError, match=r"would replace .*scan.raw, which scan.mhd needs"):
        check_writable(tmp_path / "scan.nhdr")
    write_image(IMAGE, tmp_path / "scan.mhd")  # its own


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ({"moving": "b.nii"}, {"report": "b.nii"}, r"--report would be written to .*b.nii, .*file of --moving"),
        ({"moving": "b.nii"}, {"moved": "sub/../b.nii"}, "also a file of --moving"),
        ({"moving": "b.nii"}, {"moved": "link.nii"}, "also a file of --moving"),
        ({"moving": "b.nii"}, {"moved": "hard.nii"}, "also a file of --moving"),
        ({"fixed": "scan.mhd"}, {"moved": "scan.nhdr"}, r"written to .*scan.raw, which is also a file of --fixed"),
        ({}, {"moved": "o.nii", "movedLabels": "o.nii"}, "also a file of --moved"),
        ({}, {"moved": "o.mhd", "movedLabels": "o.nhdr"}, r"--movedLabels would be written to .*o.raw"),
        ({}, {"moved": "o.raw", "movedLabels": "o.mhd"}, r"--movedLabels would be written to .*o.raw"),
    ],
)
def test_files_that_would_be_lost(tmp_path, inputs, outputs, words):
    write_image(IMAGE, tmp_path / "b.nii")
    write_image(IMAGE, tmp_path / "scan.mhd")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.nii").symlink_to("b.nii")
    (tmp_path / "hard.nii").hardlink_to(tmp_path / "b.nii")
    there, here = ({key: tmp_path / name for key, name in each.items()} for each in (inputs, outputs))
    with pytest.raises(OutputError, match=words):
        check_apart(there, here)


def test_files_apart_are_fine(tmp_path):
    write_image(IMAGE, tmp_path / "a.mhd")
    same = {"fixed": tmp_path / "a.mhd", "moving": tmp_path / "a.mhd", "model": "optimise", "initial": None}
    check_apart(same, {"moved": tmp_path / "b.mhd", "movedLabels": tmp_path / "c.mhd", "report": None})


@pytest.mark.slow
def test_header_and_voxels_are_of_one_writer(tmp_path):
    """Six processes write one .mhd, again and again."""
    code = (
        "import sys, numpy as np\nfrom VoxelMorphLib.core.geometry import Geometry\n"
        "from VoxelMorphLib.core.image import Image\nfrom VoxelMorphLib.core.io.images import write_image\n"
        "n = int(sys.argv[1])\nshape = (4, 4, 4 + n)\n"
        "for _ in range(12): write_image(Image(np.full(shape, n, np.uint8), Geometry(shape, np.eye(4))), sys.argv[2])"
    )
    path, env = tmp_path / "o.mhd", {**os.environ, "PYTHONPATH": str(LIBRARY_FOLDER)}
    writers = [subprocess.Popen([sys.executable, "-c", code, str(n), str(path)], env=env) for n in range(6)]
    while any(writer.poll() is None for writer in writers):
        pass
    assert [writer.returncode for writer in writers] == [0] * 6
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert (array == array.shape[0] - 4).all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o.mhd", "o.raw"]
