"""What was done of a row, kept beside its results, so that the next batch sees whether anything has changed since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.io.detached import data_file
from ..core.io.files import replacing
from ..core.io.paths import is_file, is_folder
from ..weights.catalogue import DEFAULT_MODEL
from ..weights.identity import model_identity
from .row import Row


@dataclass(frozen=True)
class Record:
    """What a finished row leaves.

    Args:
        fingerprint: of everything that its results depend on.
        outputs: size in bytes by file, relative to the output folder.
        measures, sentence, warnings, model: as of an `Outcome`.
    """

    fingerprint: str
    outputs: dict[str, int] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    sentence: str = ""
    warnings: tuple[str, ...] = ()
    model: str = ""

    def write(self, path: Path) -> None:
        """Write it; equal records give equal files.

        Raises:
            OutputError: it cannot be written.
        """
        with replacing(path) as scratch:
            scratch.write_text(json.dumps(vars(self), indent=1) + "\n", encoding="utf-8")

    def holds(self, fingerprint: str, outputs: set[str], folder: Path) -> bool:
        """Whether the row is done: nothing that it depends on has changed, and its files are as they were written."""
        if self.fingerprint != fingerprint or not outputs <= set(self.outputs):
            return False
        try:
            return all((folder / name).stat().st_size == size for name, size in self.outputs.items())
        except OSError:
            return False


def read_record(path: Path) -> Record | None:
    """The record of an earlier batch; None without one that can be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{**values, "warnings": tuple(values["warnings"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def fingerprint(row: Row, outputs: Mapping[str, str], weights_dir: Path | None, allow_fallback: bool) -> str:
    """Changes with the size or time of an input, with the model, an option, the outputs, or this program's version.

    Args:
        row: with absolute paths.
        outputs: kind -> file of what is written.
        weights_dir, allow_fallback: of the request.

    Raises:
        OSError: an input cannot be looked at.
    """
    inputs = {column: [_state(file) for file in _files(Path(path))] for column, path in sorted(row.files.items())}
    model = model_identity(row.model or DEFAULT_MODEL, weights_dir)
    content = [__version__, inputs, repr(model), sorted(row.options.items()), sorted(outputs.items()), allow_fallback]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _files(path: Path) -> list[Path]:
    """What is read of an input: the file, its voxels in a second one, or the files of a DICOM folder."""
    if is_folder(path):
        return sorted(Path(entry.path) for entry in os.scandir(path))
    return [path] if not is_file(path) or data_file(path) == path else [path, data_file(path)]


def _state(path: Path) -> tuple[Any, ...]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns
