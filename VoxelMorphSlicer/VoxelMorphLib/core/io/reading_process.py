"""A file is read by a process of its own, which a damaged one may end or keep busy for ever."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..errors import VoxelMorphError
from ..python_process import LIBRARY_FOLDER, python_environment

#: Seconds for the start of the process, and bytes of the file that even a slow disk gives in one more.
STARTING_S, BYTES_PER_S = 60.0, 5e6


def run_reader(
    command: Sequence[str],
    path: Path,
    error: type[VoxelMorphError],
    plain: str,
    again: str = "",
    answer: IO[bytes] | int = subprocess.DEVNULL,
) -> int:
    """The exit code of a child that reads a file.

    Args:
        command: that starts it.
        path: of the existing file.
        error: to be raised.
        plain: extension of a format that needs no such process.
        again: what else helps when it did not end, after a comma.
        answer: its standard output.

    Raises:
        VoxelMorphError: `error`, if the process cannot be started or does not end.
    """
    limit_s = STARTING_S + path.stat().st_size / BYTES_PER_S
    try:
        return subprocess.run(
            command,
            cwd=LIBRARY_FOLDER,
            env={**os.environ, **python_environment()},
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        ).returncode
    except subprocess.TimeoutExpired as cause:
        raise error(
            f"{path} was not read within {limit_s:.0f} s; it is damaged, or other programs keep the computer busy. Try "
            f"again when it is idle{again}."
        ) from cause
    except OSError as cause:
        raise error(
            f"{path} cannot be read, because no process for it can be started ({cause.strerror}). Close other "
            f"programs, or convert it to {plain}."
        ) from cause
