"""How to start a child process of the library with the Python that runs this one, inside Slicer too."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

LIBRARY_FOLDER = Path(__file__).resolve().parents[2]


def python_command() -> list[str]:
    """The Python to start: Slicer's PythonSlicer only launches python-real, which is what must be ended."""
    return [shutil.which("python-real") or sys.executable]


def python_environment() -> dict[str, str]:
    """Variables by which a child finds the library, prints UTF-8 and loads no plug-in of Slicer."""
    paths = [str(LIBRARY_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        # Slicer names a plug-in there that reads images from its own scene; other processes would load MRML and VTK.
        "ITK_AUTOLOAD_PATH": "",
    }
