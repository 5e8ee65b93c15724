"""What pip installs: the library without Slicer's part, its data, its commands, and what it needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from support.shared_data import REPOSITORY
from versions import library_version

#: What the build reads.
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE.txt")
REQUIREMENTS = ("requirements.txt", "VoxelMorphSlicer/Resources/requirements.txt")
#: What the demo needs for its sample pair alone.
ONLY_HERE = {"nilearn"}
#: Run with the wheel alone on the path, so that nothing of the source tree is found.
LOOK = """
import json, sys
import VoxelMorphLib
heavy = [name for name in ("torch", "numpy", "SimpleITK") if name in sys.modules]
from pathlib import Path
from VoxelMorphLib import load_catalogue
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER
bundled = [entry.id for entry in load_catalogue().values() if entry.file and (BUNDLED_FOLDER / entry.file).is_file()]
print(json.dumps([VoxelMorphLib.__file__, VoxelMorphLib.__version__, heavy, bundled]))
"""


@pytest.fixture(scope="module")
def a_wheel(tmp_path_factory) -> Path:
    """The folder that an installed wheel of this tree gives; skips where the build's own package is missing."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    shutil.copytree(
        REPOSITORY / "VoxelMorphSlicer", tree / "VoxelMorphSlicer", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, tree / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run([*pip, "-w", str(folder), str(tree)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def metadata(a_wheel) -> Distribution:
    (path,) = a_wheel.glob("*.dist-info")
    return Distribution.at(path)


@pytest.mark.slow
def test_the_installed_library_works_without_the_source_tree(a_wheel):
    environment = {**os.environ, "PYTHONPATH": str(a_wheel), "VXM_CACHE": str(a_wheel / "cache")}
    shown = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, cwd=a_wheel, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    place, version, heavy, bundled = json.loads(shown.stdout)
    assert Path(place).is_relative_to(a_wheel)
    assert version == library_version()
    assert heavy == []
    assert {"hippocampus-T1", "hippocampus-T1-labels"} <= set(bundled)


@pytest.mark.slow
def test_the_wheel_holds_all_modules_but_those_of_slicer(a_wheel):
    def modules(root: Path) -> set[str]:
        return {path.relative_to(root).as_posix() for path in root.rglob("*.py")}

    source = {name for name in modules(REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphLib") if name[:7] != "bridge/"}
    assert modules(a_wheel / "VoxelMorphLib") == source
    assert (a_wheel / "VoxelMorphLib" / "report" / "templates" / "report.html").is_file()


@pytest.mark.slow
def test_the_metadata_name_version_commands_and_extras(metadata):
    assert metadata.version == library_version()
    commands = {entry.name: entry.value for entry in metadata.entry_points}
    scripts = {path.stem for path in (REPOSITORY / "VoxelMorphSlicer" / "CLI").glob("*.py")}
    assert set(commands) == scripts
    for value in commands.values():
        module, function = value.split(":")
        assert callable(getattr(import_module(module), function))
    assert set(metadata.metadata.get_all("Provides-Extra")) == {"train", "cluster"}


@pytest.mark.slow
def test_pip_installs_what_the_requirements_name(metadata):
    listed = "".join((REPOSITORY / name).read_text(encoding="utf-8") + "\n" for name in REQUIREMENTS)
    wanted = set(re.findall(r"^([A-Za-z][\w-]*)", listed, re.MULTILINE)) - ONLY_HERE
    found = {re.match(r"[\w-]+", requirement).group() for requirement in metadata.requires}

    def plain(names: set[str]) -> set[str]:
        return {name.lower().replace("_", "-") for name in names}

    assert plain(wanted) <= plain(found)
    assert plain(found) - plain(wanted) == {"distributed", "dask-jobqueue"}
