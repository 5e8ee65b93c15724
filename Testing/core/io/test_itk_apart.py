"""Transform files that would crash this process: read by another one, or without ITK; the answer is one sentence."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.volumes import a_geometry, a_smooth_field
from VoxelMorphLib.core.errors import GeometryError, OutputError
from VoxelMorphLib.core.io import itk_apart, reading_process
from VoxelMorphLib.core.io.files import check_readable, check_writable
from VoxelMorphLib.core.io.transforms import read_transform, write_transform
from VoxelMorphLib.core.python_process import LIBRARY_FOLDER
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField


def a_child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "is damaged: reading it ends in a crash"),
        ("print('no answer')", "is damaged"),
        ("""print('[{"shape": [3, 3, 3], "affine": [[1]]}]')""", "is damaged"),
        ("""print('[{"shape": [3, 3, 3], "affine": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]')""", "is damaged"),
        ("""print('[{"error": "it is 2-D"}]')""", "it is 2-D"),
        ("import time; time.sleep(60)", "was not read within 1 s"),
    ],
)
def test_whatever_the_child_does_is_one_sentence(tmp_path, monkeypatch, code, words):
    if "sleep" in code:
        monkeypatch.setattr(reading_process, "STARTING_S", 1.0)
    (tmp_path / "x.h5").write_bytes(b"anything")
    with pytest.raises(GeometryError, match=words):
        itk_apart.read_apart(tmp_path / "x.h5", command=a_child(code))


def test_a_child_that_cannot_be_started_is_told(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"anything")
    with pytest.raises(GeometryError, match="no process for it can be started"):
        itk_apart.read_apart(tmp_path / "x.h5", command=[str(tmp_path / "nothing")])


def test_hdf5_is_never_read_in_this_process(tmp_path, monkeypatch):
    field = DisplacementField(a_smooth_field(a_geometry("RAS")), a_geometry("RAS"))
    path = write_transform(field.compose(AffineTransform(np.diag([1, 2, 1, 1.0]))), tmp_path / "x.h5")
    monkeypatch.setattr(sitk, "ReadTransform", lambda _path: pytest.fail("read here"))
    first, second = read_transform(path).transforms
    assert np.array_equal(first.array, field.array)
    assert np.allclose(second.matrix, np.diag([1, 2, 1, 1]))


@pytest.mark.parametrize("relative", [False, True])
def test_sentences_of_the_child_name_the_file_as_it_was_given(tmp_path, monkeypatch, relative):
    sitk.WriteTransform(sitk.BSplineTransform(3), str(tmp_path / "b.h5"))
    monkeypatch.chdir(tmp_path)
    path = "b.h5" if relative else tmp_path / "b.h5"
    with pytest.raises(GeometryError) as raised:
        read_transform(path)
    assert str(raised.value).startswith(f"{path} holds a BSplineTransform")


def matlab(*variables: tuple[str, int, bytes], kind: int = 0) -> bytes:
    """A MATLAB 4 file; each variable has a name, a number of rows and its content."""
    return b"".join(
        struct.pack("<5i", kind, rows, 1, 0, len(name) + 1) + name.encode() + b"\0" + content
        for name, rows, content in variables
    )


IDENTITY = np.append(np.eye(3).ravel(), [1.0, 2.0, 3.0]).tobytes()
CENTRE = np.zeros(3).tobytes()
GOOD = ("AffineTransform_double_3_3", 12, IDENTITY), ("fixed", 3, CENTRE)
MATLAB = {
    "more rows than it holds": matlab(("AffineTransform_double_3_3", 10**9, IDENTITY), GOOD[1]),
    "negative rows": matlab(("AffineTransform_double_3_3", -5, IDENTITY), GOOD[1]),
    "two parameters": matlab(("AffineTransform_double_3_3", 2, IDENTITY[:16]), GOOD[1]),
    "unknown kind of numbers": matlab(*GOOD, kind=90),
    "another machine": matlab(*GOOD, kind=4000),
    "no centre": matlab(GOOD[0]),
    "foreign variables": matlab(GOOD[0], ("other", 3, CENTRE)),
    "unknown transform": matlab(("Nonsense_double_3_3", 12, IDENTITY), GOOD[1]),
    "NaN": matlab(("AffineTransform_double_3_3", 12, np.full(12, np.nan).tobytes()), GOOD[1]),
    "cut off": matlab(*GOOD)[:-9],
    "text": b"1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    "version 5": b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49) + bytes(64),
}


def test_matlab_files_of_itk_are_read(tmp_path):
    (tmp_path / "good.mat").write_bytes(matlab(*GOOD))
    assert np.allclose(read_transform(tmp_path / "good.mat").matrix[:3, 3], [-1, -2, 3])
    euler = sitk.Euler3DTransform((10, 20, 30), 0.1, 0.2, 0.3, (4, 5, 6))
    sitk.WriteTransform(euler, str(tmp_path / "euler.mat"))
    mapped = np.array(euler.TransformPoint((7, 8, 9))) * (-1, -1, 1)
    assert np.allclose(read_transform(tmp_path / "euler.mat").apply_to_points(np.array([-7, -8, 9])), mapped)


@pytest.mark.parametrize("kind", MATLAB)
def test_damaged_matlab_files_are_refused_before_itk(tmp_path, kind):
    (tmp_path / "bad.mat").write_bytes(MATLAB[kind])
    with pytest.raises(GeometryError, match=r"bad\.mat"):
        read_transform(tmp_path / "bad.mat")


@pytest.mark.parametrize("seed", range(60))
def test_mutated_matlab_files_give_a_transform_or_a_sentence(tmp_path, seed):
    random = np.random.default_rng(seed)
    data = np.frombuffer(matlab(*GOOD), np.uint8).copy()
    data[random.integers(0, len(data), 3)] = random.integers(0, 256, 3)
    (tmp_path / "m.mat").write_bytes(data.tobytes())
    try:
        assert read_transform(tmp_path / "m.mat").matrix.shape == (4, 4)
    except GeometryError as error:
        assert "m.mat" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names of any bytes")
def test_names_that_are_not_utf8_never_reach_itk(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tfm")
    Path(name).touch()
    with pytest.raises(GeometryError, match=r"caf\\udce9\.tfm has a name that is not UTF-8"):
        check_readable(name, GeometryError)
    with pytest.raises(OutputError, match="is not UTF-8"):
        check_writable(name)


def test_the_child_loads_neither_torch_nor_nibabel():
    code = "import sys, VoxelMorphLib.core.io.itk_child; sys.exit(any(n in sys.modules for n in ('torch', 'nibabel')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=LIBRARY_FOLDER).returncode == 0
