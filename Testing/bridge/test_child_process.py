"""Child processes find the library, and nothing of the application's own."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

from VoxelMorphLib.bridge.background import child_process
from VoxelMorphLib.bridge.background.child_process import LIBRARY_FOLDER, ChildProcess, child_options, python_command
from VoxelMorphLib.bridge.background.exchange import Exchange
from VoxelMorphLib.core.transform import IDENTITY
from VoxelMorphLib.registration.result import Registration, RegistrationReport
from VoxelMorphLib.worker.protocol import encode


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


def test_a_process_that_ends_while_a_line_is_begun_is_told_to_be_gone(monkeypatch):
    class SlowThread(threading.Thread):
        """Takes its time to begin where lines are written, as on a busy machine."""

        def start(self) -> None:
            if self._target.__name__ == "_write":
                process.exited_first = process._exited.wait(20)
                time.sleep(0.2)
            super().start()

    process = ChildProcess([*python_command(), "-c", "pass"])
    monkeypatch.setattr(child_process.threading, "Thread", SlowThread)
    process.send(lambda: None)
    assert process.exited_first and process.gone.wait(20)


def test_who_has_a_result_finds_its_files_gone(monkeypatch, tmp_path):
    exchange = Exchange(tmp_path)
    folder = exchange.folder / "1"
    folder.mkdir()
    left, nothing = [], Registration(None, IDENTITY, IDENTITY, RegistrationReport())
    monkeypatch.setattr("VoxelMorphLib.bridge.background.exchange.read_result", lambda _folder: nothing)
    monkeypatch.setattr(exchange, "events", SimpleNamespace(put=lambda _event: left.append(folder.exists())))
    exchange.hear(encode({"type": "result", "job": 1, "seconds": {}}))
    assert left == [False]
