"""Questions about files are answered, or refused in one sentence, and asked at one place."""

from __future__ import annotations

import ast
import errno
from pathlib import Path

import pytest
from support.repository import REPOSITORY
from VoxelMorphLib.core.errors import AccessError
from VoxelMorphLib.core.io.paths import entries, exists, expanded, is_file, is_folder
from VoxelMorphLib.weights.catalogue import catalogue_problems, load_catalogue
from VoxelMorphLib.weights.store import state

QUESTIONS = ("is_file", "is_dir", "exists", "expanduser", "iterdir")
#: These say the system's reason with the file that they are about, or look at folders of their own.
THEMSELVES = ("paths", "files", "locks", "companions", "collisions", "scratch", "detached", "python_process")


@pytest.fixture
def a_locked_folder(tmp_path, monkeypatch):
    """A folder that may not be entered, also where tests run as root."""
    locked, real = tmp_path / "locked", Path.stat

    def stat(self, **options):
        if locked in self.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, **options)

    def iterdir(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    locked.mkdir()
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(Path, "iterdir", iterdir)
    return locked


@pytest.mark.parametrize("question", [is_file, is_folder, exists])
def test_a_locked_folder_is_named(a_locked_folder, question):
    with pytest.raises(AccessError, match=r"locked.a.nii cannot be looked at \(Permission denied\). Allow reading"):
        question(a_locked_folder / "a.nii")
    with pytest.raises(AccessError, match="cannot be looked at"):
        entries(a_locked_folder)


@pytest.mark.parametrize("question", [is_file, is_folder, exists])
@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "absent/x"])
def test_names_that_nothing_can_have(tmp_path, question, name):
    assert question(tmp_path / name) is False


def test_homes(monkeypatch):
    monkeypatch.setenv("HOME", str(Path("x").absolute()))
    assert expanded("~/a") == Path("x").absolute() / "a"
    with pytest.raises(AccessError, match=r"~nobody-of-that-name/x: there is no home folder of that name"):
        expanded("~nobody-of-that-name/x")


@pytest.mark.parametrize("cache", ["locked/cache", "~nobody-of-that-name/cache"])
def test_a_locked_or_missing_home_leaves_the_models_of_the_extension(tmp_path, monkeypatch, a_locked_folder, cache):
    monkeypatch.setenv("VXM_CACHE", cache if cache.startswith("~") else str(tmp_path / cache))
    assert "optimise" in load_catalogue()
    assert len(catalogue_problems()) == 1
    assert {state(entry) for entry in load_catalogue().values()} == {"bundled", "to download"}


def test_no_other_place_asks_about_files():
    found = []
    for path in sorted((REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphLib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path.stem not in THEMSELVES else ():
            asks = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in QUESTIONS
            if asks and not node.args:
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []
