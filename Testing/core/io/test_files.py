"""Results appear complete or not at all, and what cannot be written is known before the work."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

import pytest
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.errors import GeometryError, ImageError, OutputError
from VoxelMorphLib.core.io.files import check_readable, check_writable, extension, naming, replacing
from VoxelMorphLib.core.io.images import read_image, write_image

IMAGE = a_blob_image(a_geometry())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("/b.c/a.NII.GZ", ".nii.gz"),
        ("sub-01.ses.2.nrrd", ".nrrd"),
        ("T1.Nrrd", ".nrrd"),
        ("a.gz", ".gz"),
        ("a", ""),
        (Path("x") / "y.h5", ".h5"),
    ],
)
def test_extensions(path, expected):
    assert extension(path) == expected


def test_a_good_folder_is_writable_and_stays_empty(tmp_path):
    assert check_writable(tmp_path / "x.nii", 1000) == tmp_path / "x.nii"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"the folder .*gone does not exist. Create it first"):
        check_writable(tmp_path / "gone" / "x.nii")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(OutputError, match=r"is a folder. Give the name of a file in it"):
        check_writable(tmp_path)


@pytest.mark.parametrize("error", [ImageError, OutputError, GeometryError])
def test_what_cannot_be_read_is_said_once(tmp_path, error):
    (tmp_path / "empty.nii").touch()
    for path, sentence in ((tmp_path, "is a folder. Choose"), (tmp_path / "empty.nii", "is empty (0 bytes). Export")):
        with pytest.raises(error, match=rf"^{re.escape(f'{path} {sentence}')}[^()]*$"):
            check_readable(path, error)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system that nobody may write to")
def test_a_read_only_folder_is_refused():
    with pytest.raises(OutputError, match=r"the folder /proc does not accept files \(.*\). Choose another folder"):
        check_writable("/proc/x.nii")


@pytest.fixture
def a_disk_with_one_megabyte(monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1_000_000))


def test_a_full_disk_is_noticed_before_writing(tmp_path, a_disk_with_one_megabyte):
    check_writable(tmp_path / "x.nii", 900_000)
    with pytest.raises(OutputError, match=r"needs about 5 MB but the disk has 1 MB left. Free some space"):
        check_writable(tmp_path / "x.nii", 5_000_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_volume_that_does_not_fit_is_not_begun(tmp_path, a_disk_with_one_megabyte):
    with pytest.raises(OutputError, match=r"needs about 4 MB"):
        write_image(a_blob_image(a_geometry("RAS", (100, 100, 100))), tmp_path / "x.nii")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mhd", ".mgz", ".npz"])
def test_a_disk_that_fills_up_leaves_the_older_file(tmp_path, monkeypatch, extension):
    path = write_image(IMAGE, tmp_path / f"x{extension}")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)  # Python 3.10 keeps os.replace where no test reaches it
    with pytest.raises(OutputError, match=r"could not be written: No space left on device. Free some space"):
        write_image(a_blob_image(a_geometry("LPS")), path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_error_while_writing_leaves_nothing(tmp_path):
    with (
        pytest.raises(OutputError, match=r"Input/output error. Check the folder"),
        replacing(tmp_path / "x.txt") as file,
    ):
        file.write_text("half")
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(KeyError), replacing(tmp_path / "x.txt") as file:
        file.write_text("half")
        raise KeyError("a mistake of ours")
    assert list(tmp_path.iterdir()) == []


def test_our_own_errors_pass_unchanged(tmp_path):
    with pytest.raises(OutputError, match=r"^cannot hold this$"), replacing(tmp_path / "x.txt"):
        raise OutputError("cannot hold this")


def test_files_are_replaced_and_companions_come_along(tmp_path):
    for text in ("old", "new"):
        with replacing(tmp_path / "x.txt") as file:
            file.write_text(text)
            file.with_name("x.raw").write_text(text)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"x.txt": "new", "x.raw": "new"}


def test_the_current_folder_needs_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(IMAGE, "x.nrrd")
    assert (read_image("x.nrrd").array == IMAGE.array).all()


def test_readable_files_are_not_changed(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    assert check_readable(tmp_path / "x", ImageError) == tmp_path / "x"


def test_naming_adds_the_file_once(tmp_path):
    with pytest.raises(GeometryError, match=r"^a.nii: sheared$"), naming("a.nii"):
        raise GeometryError("sheared")
    with pytest.raises(GeometryError, match=r"^a.nii is sheared$"), naming("a.nii"):
        raise GeometryError("a.nii is sheared")
