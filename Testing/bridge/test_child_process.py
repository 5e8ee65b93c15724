"""Child processes find the library, and nothing of the application's own."""

from __future__ import annotations

import os

from VoxelMorphLib.bridge.background.child_process import LIBRARY_FOLDER, child_options


def test_the_environment_is_ours_and_the_users(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/some/where")
    monkeypatch.setenv("ITK_AUTOLOAD_PATH", "/Slicer/lib/ITKFactories")
    environment = child_options({"OMP_NUM_THREADS": "3"})["env"]
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(LIBRARY_FOLDER), "/some/where"]
    assert environment["ITK_AUTOLOAD_PATH"] == ""  # its plug-in would bring MRML and VTK into the process
    assert environment["OMP_NUM_THREADS"] == "3" and environment["PATH"] == os.environ["PATH"]


def test_the_folder_of_models_is_the_same_in_every_process(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VXM_CACHE", "models")
    assert child_options({})["env"]["VXM_CACHE"] == str(tmp_path / "models")
    monkeypatch.delenv("VXM_CACHE")
    assert "VXM_CACHE" not in child_options({})["env"]
