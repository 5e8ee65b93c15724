"""The scripts that Slicer starts find the library in every layout, and start without anything heavy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from VoxelMorphLib import __version__

MODULE = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer"
COMMANDS = sorted(path.stem for path in (MODULE / "CLI").glob("*.py"))


def version_printed_by(script):
    run = subprocess.run([sys.executable, "-I", str(script), "--version"], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.strip(), run.stderr.strip()


LAYOUTS = {
    "source tree": ("VoxelMorphSlicer/CLI", "VoxelMorphSlicer"),
    "beside": ("tools", "tools"),
    "installed extension": ("cli-modules", "qt-scripted-modules"),
    "Visual Studio build tree": ("cli-modules/Release", "qt-scripted-modules"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_library_is_found(tmp_path, command, layout):
    scripts, library = (tmp_path / folder for folder in LAYOUTS[layout])
    for folder in (scripts, library):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(MODULE / "CLI" / f"{command}.py", scripts)
    (library / "VoxelMorphLib").symlink_to(MODULE / "VoxelMorphLib")
    assert version_printed_by(scripts / f"{command}.py") == (0, __version__, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_library_is_named(tmp_path, command):
    script = shutil.copy(MODULE / "CLI" / f"{command}.py", tmp_path)
    code, _, message = version_printed_by(script)
    assert code == 1
    assert message.startswith("Error: VoxelMorphLib is not in ") and "Traceback" not in message


@pytest.mark.parametrize("command", COMMANDS)
def test_no_plugin_of_the_application_is_loaded(tmp_path, command):
    package = tmp_path / "VoxelMorphLib"
    package.mkdir()
    (package / "__init__.py").write_text("import os, sys\nsys.exit(repr(os.environ['ITK_AUTOLOAD_PATH']))\n")
    script = shutil.copy(MODULE / "CLI" / f"{command}.py", tmp_path)
    environment = {**os.environ, "ITK_AUTOLOAD_PATH": "/Slicer/lib/ITKFactories"}
    child = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, env=environment)
    assert (child.returncode, child.stderr) == (1, "''\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_the_library_is_loaded_is_130(tmp_path, command):
    package = tmp_path / "VoxelMorphLib"
    package.mkdir()
    (package / "__init__.py").write_text("raise KeyboardInterrupt\n")
    script = shutil.copy(MODULE / "CLI" / f"{command}.py", tmp_path)
    child = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert (child.returncode, child.stdout, child.stderr) == (130, "", "")
