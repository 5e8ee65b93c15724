"""Commands say everything, also what the console's encoding lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer"
#: Prints a file's name as result, as warning or as error.
PROGRAM = """
from VoxelMorphLib.cli import common, train
from VoxelMorphLib.core.errors import ConfigError

def command(_argv):
    {statement}
    print("done")

raise SystemExit(common.run(command, []))
"""
STATEMENTS = {
    "result": ('print("{name}")', 0),
    "warning": ('train._teller()("{name}")', 0),
    "progress": ('common.ConsoleProgress("{name}")(0.5, "{name}")', 0),
    "error": ('raise ConfigError("{name}")', 2),
}


@pytest.mark.parametrize("kind", STATEMENTS)
def test_a_name_that_the_console_cannot_show_ends_no_command(kind):
    statement, code = STATEMENTS[kind]
    program = PROGRAM.format(statement=statement.format(name="\\u03a9.nii.gz"))
    environment = {**os.environ, "PYTHONPATH": str(MODULE), "PYTHONIOENCODING": "cp1252"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    printed = run.stdout + run.stderr
    assert run.returncode == code, printed
    assert rb"\u03a9.nii.gz" in printed
