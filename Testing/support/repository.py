"""What git tracks, and texts in it that belong to one machine or to unfinished work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .shared_data import REPOSITORY

_FOLDERS = ("home", "Users", "root", "tmp", "opt", "mnt", "srv", "work")
_ABSOLUTE = re.compile(r"(?:^|[\s\"'`(=:])/(?:" + "|".join(_FOLDERS) + r")/?(?=[\w.]|$)", re.MULTILINE)
_WORDS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + r"Error\(\)", "<<<<" + "<<<", ">>>>" + ">>>")
_LEFTOVER = re.compile(r"(?<!\w)(?:" + "|".join(_WORDS) + r")(?!\w)")


def tracked_files() -> list[Path]:
    """All files under version control that exist; skips the test where the sources are no git checkout."""
    try:
        result = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{REPOSITORY} is no git checkout, or git is not installed")
    return [path for path in (REPOSITORY / name for name in result.stdout.split("\0") if name) if path.is_file()]


def absolute_paths(path: Path) -> list[str]:
    """Places in a text file that name a folder of somebody's machine."""
    return _hits(path, _ABSOLUTE)


def leftovers(path: Path) -> list[str]:
    """Places in a text file that say that something is unfinished."""
    return _hits(path, _LEFTOVER)


def _hits(path: Path, pattern: re.Pattern[str]) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    return [f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()}" for match in pattern.finditer(text)]
