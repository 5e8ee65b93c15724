"""A matrix of values that cannot be used: each ends the command with exit code 2, one sentence, and no file."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.imports import LIBRARY
from support.refusal import refused
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.cli.common import run
from VoxelMorphLib.core import memory
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import write_image

GRID = a_geometry("RAS", (14, 12, 10), 2.0)
Make = Callable[[Path], Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a good volume in it."""
    write_image(a_blob_image(GRID), tmp_path / "good.nii.gz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def wrote(name: str, data: bytes | str) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return folder / name

    return make


def hdf5(end: int) -> bytes:
    """The superblock of an HDF5 file that claims to end at a byte, and nothing behind it."""
    return b"\x89HDF\r\n\x1a\n" + bytes(32) + struct.pack("<Q", end) + bytes(80)


def matlab(name: str, rows: int, numbers: int) -> bytes:
    return struct.pack("<5i", 0, rows, 1, 0, len(name) + 1) + name.encode() + b"\0" + np.ones(numbers).tobytes()


AFFINE = "AffineTransform_double_3_3"
TFM = "#Insight Transform File V1.0\n#Transform 0\nTransform: {}\nParameters: {}\nFixedParameters: {}\n"
LTA = "type = {}\nnxforms = {}\nmean = 0 0 0\nsigma = 1\n1 4 4\n{}\n"
ROWS = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1"

#: Files for --initialTransform by what they are, and what the sentence says.
TRANSFORMS: dict[str, tuple[Make, str]] = {
    "hdf5: text": (wrote("t.h5", "1 0 0 0\n" * 20), "t.h5 is not an HDF5 file"),
    "hdf5: a few bytes": (wrote("t.h5", b"\x89HDF"), "t.h5 is not an HDF5 file"),
    "hdf5: cut off": (wrote("t.h5", hdf5(10**6)), "t.h5 is truncated: 128 of 1000000 bytes"),
    "hdf5: nothing inside": (wrote("t.h5", hdf5(128)), "t.h5 is damaged"),
    "hdf5: random bytes inside": (
        wrote("t.h5", hdf5(128)[:48] + np.random.default_rng(0).bytes(80)),
        "t.h5 is damaged",
    ),
    "mat: a byte": (wrote("t.mat", b"\0"), "t.mat is damaged or not an ITK transform file"),
    "mat: no fixed part": (wrote("t.mat", matlab(AFFINE, 12, 12)), "t.mat is damaged"),
    "mat: 10^9 rows": (wrote("t.mat", matlab(AFFINE, 10**9, 12) + matlab("fixed", 3, 3)), "t.mat is damaged"),
    "mat: negative rows": (wrote("t.mat", matlab(AFFINE, -1, 12) + matlab("fixed", 3, 3)), "t.mat"),
    "mat: three numbers": (wrote("t.mat", matlab(AFFINE, 3, 3) + matlab("fixed", 3, 3)), "t.mat is damaged"),
    "mat: 100 numbers": (wrote("t.mat", matlab(AFFINE, 100, 100) + matlab("fixed", 3, 3)), "no linear transforms"),
    "mat: unknown transform": (wrote("t.mat", matlab("Bent_double_3_3", 12, 12) + matlab("fixed", 3, 3)), "t.mat"),
    "mat: foreign variables": (wrote("t.mat", matlab("a", 3, 3) + matlab("b", 3, 3)), "no linear transforms"),
    "mat: version 5": (wrote("t.mat", b"MATLAB 5.0".ljust(124) + b"\0\1IM" + bytes(64)), "none that ITK wrote"),
    "tfm: empty": (wrote("t.tfm", ""), "t.tfm is empty (0 bytes)"),
    "tfm: words": (wrote("t.tfm", "these are words\n" * 5), "t.tfm"),
    "tfm: binary": (wrote("t.tfm", bytes(range(256)) * 4), "t.tfm"),
    "tfm: few numbers": (wrote("t.tfm", TFM.format(AFFINE, "1 0 0", "0 0 0")), "t.tfm is damaged"),
    "tfm: no numbers": (wrote("t.tfm", TFM.format(AFFINE, "a b c", "0 0 0")), "t.tfm is damaged"),
    "tfm: unknown transform": (wrote("t.tfm", TFM.format("Bent_double_3_3", "1", "0")), "t.tfm holds a Bent, which"),
    "tfm: two dimensions": (wrote("t.tfm", TFM.format("AffineTransform_double_2_2", "1 0 0 1 0 0", "0 0")), "t.tfm"),
    "lta: words": (wrote("t.lta", "these are words\n"), "t.lta is not an LTA file"),
    "lta: two transforms": (wrote("t.lta", LTA.format(1, 2, ROWS)), "t.lta holds 2 transforms"),
    "lta: unknown type": (wrote("t.lta", LTA.format(14, 1, ROWS)), "t.lta has the LTA type 14"),
    "lta: type in words": (wrote("t.lta", LTA.format("one", 1, ROWS)), "t.lta is not an LTA file"),
    "lta: short matrix": (wrote("t.lta", LTA.format(1, 1, "1 0 0 0")), "t.lta is damaged"),
    "lta: matrix of words": (wrote("t.lta", LTA.format(1, 1, "a b c d\n" * 4)), "t.lta is damaged"),
    "lta: voxels without volumes": (wrote("t.lta", LTA.format(0, 1, ROWS)), "src volume info is missing"),
    "npz": (wrote("t.npz", b"PK"), "t.npz is not a NumPy archive of plain arrays, or is damaged"),
    "no extension": (wrote("transform", ROWS), "no transform format has the extension ''"),
    "picture": (wrote("t.png", b"\x89PNG"), "no transform format has the extension '.png'"),
}


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_transform_that_cannot_be_used(folder: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    make, words = TRANSFORMS[kind]
    make(folder)
    assert words in refused(folder, capsys, initialTransform=make(folder).name)


def labels(offset_mm: float) -> Make:
    def make(folder: Path) -> Path:
        affine = GRID.affine.copy()
        affine[:3, 3] += offset_mm
        grid = type(GRID)(GRID.shape, affine)
        write_image(LabelMap(np.ones(GRID.shape, np.uint8), grid), folder / "labels.nii.gz")
        return folder / "labels.nii.gz"

    return make


@pytest.mark.parametrize("offset_mm", [300.0, -1e4])
def test_labels_that_do_not_meet_the_moving_volume(folder, capsys, offset_mm):
    labels(offset_mm)(folder)
    said = refused(folder, capsys, movingLabels="labels.nii.gz", movedLabels="moved_labels.nii.gz")
    assert "The moving labels labels" in said
    assert "meet no voxel of the moving volume good" in said


def tensors(**content: object) -> Make:
    def make(folder: Path) -> Path:
        torch.save(content, folder / "w.pt")
        return folder / "w.pt"

    return make


CONFIG = {"inshape": (16, 16, 16), "nb_unet_features": [[4], [4]]}
WEIGHTS: dict[str, tuple[Make, str]] = {
    "strides of zero": (
        tensors(config=CONFIG, model_state={"a": torch.zeros(1).expand(10**5, 10**5)}),
        "would unpack to 40000 MB",
    ),
    "sparse": (tensors(config=CONFIG, model_state={"a": torch.zeros(4, 4).to_sparse()}), "w.pt"),
    "no tensors": (tensors(config=CONFIG, model_state={"a": 5}), "something else than named tensors"),
    "a list": (tensors(config=CONFIG, model_state=[1, 2]), "something else than named tensors"),
    "no configuration": (tensors(model_state={}), "is no VoxelMorph file"),
    "unknown configuration": (tensors(config={"x": 1}, model_state={}), "does not know (x)"),
    "features of words": (tensors(config={**CONFIG, "nb_unet_features": "many"}, model_state={}), "cannot be built"),
    "10^9 features": (tensors(config={**CONFIG, "nb_unet_features": [[10**9]]}, model_state={}), "numbers beyond 4096"),
    "400 digits": (tensors(config={**CONFIG, "int_steps": 10**400}, model_state={}), "numbers beyond 4096"),
    "negative steps": (tensors(config={**CONFIG, "int_steps": -3}, model_state={}), "w.pt"),
    "not a zip": (wrote("w.pt", b"PK\3\4 but not more"), "w.pt is damaged or no torch file"),
    "text": (wrote("w.pt", "weights\n"), "w.pt"),
    "empty": (wrote("w.pt", ""), "w.pt is empty"),
    "safetensors: text": (wrote("w.safetensors", "weights\n"), "w.safetensors"),
    "safetensors: a huge header": (wrote("w.safetensors", struct.pack("<Q", 2**60) + b"{}"), "w.safetensors"),
    "keras: nothing inside": (wrote("w.h5", hdf5(128)), "w.h5"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_cannot_be_used(folder: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    make, words = WEIGHTS[kind]
    assert words in refused(folder, capsys, model=make(folder))


@pytest.mark.parametrize("role", ["fixed", "moving"])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha", ".mgz", ".npz"])
def test_a_volume_beyond_the_memory_is_refused_before_it_is_read(folder, capsys, monkeypatch, extension, role):
    write_image(a_blob_image(GRID), folder / f"big{extension}")
    np.savez(folder / "tiny.npz", vol=np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    other = "moving" if role == "fixed" else "fixed"
    said = refused(folder, capsys, **{role: f"big{extension}", other: "tiny.npz"})
    assert re.search(r"big\S+ needs [0-9.e-]+ GiB of memory, but 9.3e-07 GiB are free", said)


def array_memory_error() -> BaseException:
    with pytest.raises(MemoryError) as raised:
        np.empty((10**6, 10**6, 10**5), np.int8)
    return raised.value


SHORTAGES = {
    "python": MemoryError(),
    "numpy": array_memory_error(),
    "torch": RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
    "ITK": RuntimeError("Exception thrown in SimpleITK: Failed to allocate memory for image."),
    "C++": RuntimeError("std::bad_alloc"),
    "a library": ImportError("libtorch_cpu.so: failed to map segment from shared object: Cannot allocate memory"),
    "the loader": ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    "threads": RuntimeError("can't start new thread"),
    "the system": OSError(errno.ENOMEM, "Cannot allocate memory"),
}


@pytest.mark.parametrize("kind", SHORTAGES)
def test_a_shortage_is_no_fault_of_the_program(kind, capsys):
    def command(_argv):
        raise SHORTAGES[kind]

    assert run(command, []) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: The memory or the number of threads that this computer allows does not suffice (")
    assert said.count("\n") == 1 and "fault of VoxelMorph" not in said


def test_any_error_of_a_full_memory_is_a_shortage(capsys, monkeypatch):
    def command(_argv):
        raise SystemError("error return without exception set")

    assert run(command, []) == 1
    monkeypatch.setattr(memory, "free_memory", lambda: 10**7)
    assert run(command, []) == 2
    assert "does not suffice (error return without exception set)" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names of any bytes")
def test_a_shell_without_utf8_is_told_what_to_set(folder):
    script = LIBRARY.parent / "CLI" / "VoxelMorphRegister.py"
    words = ["--fixed", "f\u00e9.nii", "--moving", "f\u00e9.nii", "--moved", "o.nii"]
    plain = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    child = subprocess.run([sys.executable, str(script), *words], env=plain, capture_output=True)
    assert child.returncode == 2
    assert b"cannot be named where Python reads no UTF-8. Set PYTHONUTF8=1." in child.stderr
