"""Headers name a plain file beside them, or are refused: they must not bring other files' bytes into an image."""

from __future__ import annotations

import os

import pytest
from VoxelMorphLib.core.errors import VoxelMorphError
from VoxelMorphLib.core.io.images import read_image, read_image_geometry
from VoxelMorphLib.core.io.transforms import read_transform

SECRET = bytes(range(64))
META = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nspacings: 1 1 1\nencoding: raw\n"
LONG = f"Comment = {'x' * 9000}\n" * 9
ELSEWHERE = "{secret}", "../secret.raw", "sub/../../secret.raw", "sub\\..\\x", "..", "link.raw"

HEADERS = {
    **{f"meta {name}": ("a.mhd", f"{META}ElementDataFile = {name}\n") for name in ELSEWHERE},
    **{f"nrrd {name}": ("a.nhdr", f"{NRRD}data file: {name}\n") for name in ELSEWHERE},
    "meta twice": ("a.mhd", f"{META}ElementDataFile : {{secret}} = x\nElementDataFile = LOCAL\n"),
    "meta behind comments": (
        "a.mhd",
        LONG + META + "ElementDataFile = {secret}",
    ),
    "meta list": ("a.mhd", f"{META}ElementDataFile = LIST\n{{secret}}\n"),
    "meta pattern": ("a.mhd", f"{META}ElementDataFile = %s.raw 1 1 1\n"),
    "datafile": ("a.nhdr", f"{NRRD}datafile: {{secret}}\n"),
    "upper case": ("a.nhdr", f"{NRRD}DATA FILE: {{secret}}\n"),
    "in .nrrd": ("a.nrrd", f"{NRRD}Data File: {{secret}}\n\n"),
    "CRLF": ("a.nhdr", f"{NRRD}data file: {{secret}}\n".replace("\n", "\r\n")),
    "CR": ("a.nhdr", f"{NRRD}#\rdata file: {{secret}}\n"),
    "comments": ("a.nhdr", NRRD + "# words\n" * 20_000 + "data file: {secret}\n"),
    "many comments": ("a.nhdr", NRRD + "# words\n" * 200_000 + "data file: {secret}\n"),
    "two": ("a.nhdr", f"{NRRD}data file: good.raw\ndata file: {{secret}}\n"),
    "list": ("a.nhdr", f"{NRRD}data file: LIST\n{{secret}}\n"),
    "pattern": ("a.nhdr", f"{NRRD}data file: secret%d.raw 1 1 1\n"),
    "blank line before": ("a.nhdr", f"{NRRD}\ndata file: {{secret}}\n"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.raw").write_bytes(SECRET)
    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.raw").write_bytes(SECRET[::-1])
    (folder / "link.raw").symlink_to("../secret.raw")
    return folder


@pytest.mark.parametrize("kind", HEADERS)
def test_no_other_file_is_read(folder, kind):
    name, text = HEADERS[kind]
    path = folder / name
    path.write_bytes(text.replace("{secret}", str(folder.parent / "secret.raw")).encode())
    for read in (read_image, read_image_geometry, read_transform):
        with pytest.raises(VoxelMorphError, match=r"a\.(mhd|nhdr|nrrd)"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    ("name", "text"), [("a.mhd", META + "ElementDataFile = p.raw"), ("a.nhdr", NRRD + "data file: p.raw")]
)
def test_a_pipe_is_not_waited_for(folder, name, text):
    os.mkfifo(folder / "p.raw")
    (folder / name).write_text(f"{text}\n")
    with pytest.raises(VoxelMorphError, match=r"p.raw is no ordinary file"):
        read_image(folder / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mhd", META + "ElementDataFile = göod.raw"),
        ("a.nhdr", NRRD + "data file: göod.raw"),
        ("b.nhdr", NRRD + "note:=data file: x\n# data file: y\ndatafile: göod.raw"),
    ],
)
def test_a_plain_name_is_read_whatever_its_letters(folder, name, text):
    (folder / "good.raw").rename(folder / "göod.raw")
    (folder / name).write_text(f"{text}\n", encoding="utf-8")
    assert read_image(folder / name).array.ravel(order="F").tobytes() == SECRET[::-1]
