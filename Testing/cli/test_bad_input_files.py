"""A matrix of files that cannot be read or written: each row ends a command with one sentence before the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.refusal import listing, refused
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.cli.train import main as train
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import write_image

GRID = a_geometry("RAS", (14, 12, 10), 2.0)
BLOB = a_blob_image(GRID)
META = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nencoding: raw\n"
NEEDS_PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
Make = Callable[[Path], Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a good volume, one with a second file, links, and a secret beside the folder."""
    folder = tmp_path / "here"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.raw").write_bytes(bytes(range(64)))
    write_image(BLOB, folder / "good.nii.gz")
    write_image(BLOB, folder / "scan.mhd")
    (folder / "labels.nii").write_bytes(b"")
    write_image(LabelMap((BLOB.array > BLOB.array.mean()).astype(np.uint32), GRID), folder / "labels.nii")
    (folder / "dose.raw").write_bytes(b"somebody's")
    (folder / "link.nii.gz").symlink_to("good.nii.gz")
    (folder / "hard.nii.gz").hardlink_to(folder / "good.nii.gz")
    (folder / "ring").symlink_to("ring")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VXM_CACHE", str(folder / "cache"))
    return folder


def header(name: str, text: str) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(text.replace("{secret}", str(folder.parent / "secret.raw")).encode())
        return folder / name

    return make


def voxels(array: np.ndarray, name: str = "made.nrrd") -> Make:
    return lambda folder: write_image(Image(array, GRID), folder / name)


def a_pipe(name: str) -> Make:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return folder / name

    return make


#: What is read as moving volume -> words of the sentence.
READ = {
    "name of 5,000 characters": (lambda f: "x" * 5000 + ".nii", "cannot be opened (File name too long)"),
    "NUL": (lambda f: "a\0b.nii", "has a NUL character in its name"),
    "links in a ring": (lambda f: f / "ring", "cannot be opened (Too many levels of symbolic links)"),
    "folder in a file": (lambda f: f / "good.nii.gz" / "x.nii", "cannot be opened (Not a directory)"),
    "device": (lambda f: os.devnull, "is no ordinary file but a pipe or device"),
    **{
        f"MetaImage, {named}": (header("a.mhd", f"{META}ElementDataFile = {named}\n"), words)
        for named, words in {
            "{secret}": "not a plain name of a file beside it",
            "../secret.raw": "not a plain name of a file beside it",
            "sub/../../secret.raw": "not a plain name of a file beside it",
            "..": "not a plain name of a file beside it",
            "LIST\n{secret}": "spreads its voxels over several files",
            "%d.raw 1 1 1": "spreads its voxels over several files",
            "absent.raw": "absent.raw does not exist",
            "sub": "sub is a folder",
            "": "missing ['ElementDataFile']",
            "dose.raw": "is truncated or damaged",
        }.items()
    },
    "MetaImage, two names": (
        header("a.mhd", f"{META}ElementDataFile : {{secret}} = x\nElementDataFile = LOCAL\n"),
        "missing ['ElementDataFile']",
    ),
    "MetaImage, name behind comments": (
        header("a.mhd", f"Comment = {'x' * 9000}\n" * 9 + META + "ElementDataFile = {secret}"),
        "is not a MetaImage file or its header is damaged",
    ),
    **{
        f"NRRD, {line[:30]!r}": (header("a.nhdr", f"{NRRD}{line}\n"), words)
        for line, words in {
            "data file: {secret}": "not a plain name of a file beside it",
            "datafile: ../secret.raw": "not a plain name of a file beside it",
            "DATA FILE: {secret}": "not a plain name of a file beside it",
            "#\rData File: {secret}": "not a plain name of a file beside it",
            "\ndata file: {secret}": "not a plain name of a file beside it",
            "# words\n" * 20_000 + "data file: {secret}": "not a plain name of a file beside it",
            "# words\n" * 200_000 + "data file: {secret}": "has a header of more than",
            "data file: dose.raw\ndata file: {secret}": "names several files with voxels",
            "data file: LIST\n{secret}": "spreads its voxels over several files",
            "data file: absent.raw": "absent.raw does not exist",
        }.items()
    },
    "values of 1e30": (voxels(BLOB.array * np.float64(1e30)), "Scale them to numbers below 1e+18"),
    "float64 around 1e12": (voxels(BLOB.array + np.float64(1e12)), "which single precision hardly tells apart"),
    "constant": (voxels(np.full(GRID.shape, 7.0)), "is empty or constant"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_cannot_be_read(folder, capsys, kind):
    make, words = READ[kind]
    assert words in refused(folder, capsys, moving=make(folder))


@NEEDS_PIPES
def test_pipes_are_not_waited_for(folder, capsys):
    (folder / "p.mhd").write_text(f"{META}ElementDataFile = p.raw\n")
    a_pipe("p.raw")(folder)
    a_pipe("pipe.nii")(folder)
    assert "p.raw is no ordinary file" in refused(folder, capsys, moving="p.mhd")
    assert "pipe.nii is no ordinary file" in refused(folder, capsys, moving="pipe.nii")
    assert "pipe.nii is no ordinary file" in refused(folder, capsys, moved="pipe.nii")


#: Options -> words of the sentence.
WRITTEN = {
    "the moving volume": ({"report": "good.nii.gz"}, "which is also a file of --fixed"),
    "by another spelling": ({"moved": "sub/../good.nii.gz"}, "also a file of --fixed"),
    "by a link": ({"moved": "link.nii.gz"}, "also a file of --fixed"),
    "by a hard link": ({"moved": "hard.nii.gz"}, "also a file of --fixed"),
    "a mask": ({"fixedMask": "labels.nii", "moved": "labels.nii"}, "--moved would be written to labels.nii"),
    "voxels of an input": ({"moving": "scan.mhd", "moved": "scan.nhdr"}, "scan.raw"),
    "voxels of another header": ({"moved": "scan.nhdr"}, "would replace scan.raw, which scan.mhd needs"),
    "a foreign .raw": ({"moved": "dose.mhd"}, "would replace dose.raw, which does not belong to it"),
    "two of one name": ({"moved": "a.nii", "report": "./a.nii"}, "also a file of --moved"),
    "two with one .raw": (
        {"moved": "a.mhd", "movingLabels": "labels.nii", "movedLabels": "a.nhdr"},
        "--movedLabels would be written to a.raw, which is also a file of --moved",
    ),
    "transforms of one name": ({"forward": "a.h5", "inverse": "sub/../a.h5"}, "also a file of --forward"),
    "name of 5,000 characters": ({"moved": "x" * 5000 + ".nii"}, "cannot be written (File name too long)"),
    "name of 300 characters": ({"report": "x" * 300 + ".html"}, "cannot be written (File name too long)"),
    "NUL": ({"moved": "a\0b.nii"}, "has a NUL character in its name"),
    "links in a ring": ({"report": "ring"}, "cannot be written"),
    "a device": ({"report": os.devnull}, "is no ordinary file but a pipe or device"),
    "a folder": ({"report": "sub"}, "sub is a folder"),
    "in a file": ({"moved": "good.nii.gz/a.nii"}, "cannot be written"),
    "uint32 in .mgz": (
        {"movingLabels": "labels.nii", "movedLabels": "a.mgz"},
        "a.mgz: .mgz cannot hold voxels of type uint32",
    ),
    "no such user": ({"model": "vxm-dense-brain-T1-mse", "weightsDir": "~nobody-of-that-name"}, "is no folder"),
    "a model of 5,000 characters": ({"model": "x" * 5000}, "There is no model"),
    "a model with NUL": ({"model": "a\0b"}, "There is no model"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_cannot_be_written(folder, capsys, kind):
    options, words = WRITTEN[kind]
    assert words in refused(folder, capsys, **options)


@pytest.mark.parametrize("name", ["moved.mgz", "MOVED.MGH"])
def test_long_numbers_in_freesurfers_formats_are_known_before_the_work(folder, capsys, name):
    moving = voxels(BLOB.array.astype(np.int64))(folder)
    assert "cannot hold voxels of type int64" in refused(folder, capsys, moving=moving, moved=name)


@pytest.mark.parametrize(
    "array", [np.full(GRID.shape, 2**63, np.uint64), np.full(GRID.shape, 1e20), np.full(GRID.shape, -1e19)]
)
def test_labels_too_large_to_be_numbers(folder, capsys, array):
    labels = voxels(array, "huge.nrrd")(folder)
    said = refused(folder, capsys, movingLabels=labels, movedLabels="a.nrrd")
    assert "Give the labels numbers below 2^63" in said


#: Options of the train command -> words of the sentence.
TRAINED = {
    "no such user": (["--imageList", "~nobody-of-that-name/x"], "there is no home folder of that name"),
    "no such user, output": (
        ["--imageList", "sub", "--outputDir", "~nobody-of-that-name/x"],
        "there is no home folder of that name",
    ),
    "5,000 characters": (["--imageList", "x" * 5000], "does not exist"),
    "NUL": (["--imageList", "a\0b"], "does not exist"),
    "output in a file": (["--imageList", ".", "--outputDir", "good.nii.gz/x"], "cannot be made (Not a directory)"),
    "output of 5,000 characters": (["--imageList", ".", "--outputDir", "x" * 5000], "cannot be made"),
    "model over its list": (
        ["--imageList", "list.safetensors", "--model", "list.safetensors"],
        "--model would be written to list.safetensors, which is also a file of --imageList",
    ),
    "model as a device": (["--imageList", ".", "--model", "sub/../ring.safetensors"], "cannot be written"),
}


@pytest.mark.parametrize("kind", TRAINED)
def test_what_a_training_cannot_use(folder, capsys, kind):
    (folder / "list.safetensors").write_text("good.nii.gz\n")
    (folder / "ring.safetensors").symlink_to("ring.safetensors")
    arguments, words = TRAINED[kind]
    before = listing(folder)
    defaults = [] if "--outputDir" in arguments else ["--outputDir", str(folder / "out")]
    assert train([*arguments, *defaults, "--epochs", "1"]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert listing(folder) == before
