"""The register command with bad input: it must refuse, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from VoxelMorphLib.cli.register import main


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *extra: str, **files: object) -> str:
    """Run the command; it must fail with one sentence and leave `folder` alone. Returns the sentence."""
    good = folder / "good.nii.gz"
    named = {"fixed": good, "moving": good, "moved": folder / "moved.nii.gz", "budget": 1, **files}
    before = listing(folder)
    argv = [part for name, value in named.items() if value is not None for part in (f"--{name}", str(value))]
    code = main([*argv, *extra])
    printed = capsys.readouterr().err
    assert code == 2, printed
    assert printed.startswith("Error: ")
    assert printed.count("\n") == 1
    assert printed.rstrip().endswith((".", "?"))
    assert listing(folder) == before
    return printed
