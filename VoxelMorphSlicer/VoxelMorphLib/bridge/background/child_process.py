"""How processes of the library are started and ended, whatever they compute."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...weights.folders import default_cache_folder

LIBRARY_FOLDER = Path(__file__).resolve().parents[3]


def python_command() -> list[str]:
    """The Python to start: Slicer's PythonSlicer only launches python-real, which is what must be ended."""
    return [shutil.which("python-real") or sys.executable]


def child_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Options of Popen for a process that finds the library, is ended with its children, and hears no Ctrl-C.

    Args:
        environment: variables that replace or extend this process's.
    """
    paths = [str(LIBRARY_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    python = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    # Slicer names a plug-in there that reads images from its own scene; other processes would load MRML and VTK by it.
    python["ITK_AUTOLOAD_PATH"] = ""
    if os.environ.get("VXM_CACHE"):  # may be relative to this process's folder
        python["VXM_CACHE"] = str(default_cache_folder().absolute())
    # The working folder comes first on sys.path of `python -m`: it must hold nothing but the library.
    return {"cwd": LIBRARY_FOLDER, "env": {**os.environ, **python, **environment}, **_own_group()}


def end_group(pid: int) -> None:
    """End a process that was started with `child_options`, and its children, at once; never waits."""
    if os.name == "nt":
        threading.Thread(target=_kill_tree, args=(pid,), daemon=True).start()
        return
    with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM when only zombies are left
        os.killpg(pid, signal.SIGKILL)


def _own_group() -> dict[str, Any]:
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _kill_tree(pid: int) -> None:
    """Windows has no process groups that can be ended; this takes a moment."""
    command = ["taskkill", "/T", "/F", "/PID", str(pid)]
    subprocess.run(command, capture_output=True, creationflags=subprocess.CREATE_NO_WINDOW)
