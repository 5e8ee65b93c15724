"""The library's packages import only what lies below them, and heavy packages only where they belong."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import VoxelMorphLib
from support.imports import (
    LAYERS,
    LIBRARY,
    WITHOUT_TORCH,
    circles,
    external_violations,
    layer_violations,
    modules,
)

MODULE_FILE = LIBRARY.parent / "VoxelMorphSlicer.py"
HEAVY = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "h5py", "matplotlib", "jinja2", "slicer", "vtk")


def library_of(folder: Path, **files: str) -> Path:
    """A made-up library; `core__a="..."` is the text of core/a.py."""
    library = folder / "VoxelMorphLib"
    for name, text in {"__init__": "", **files}.items():
        path = library.joinpath(*name.split("___")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return library


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=LIBRARY.parent, capture_output=True, text=True, timeout=120)


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that are loaded after `statement` in a fresh process."""
    result = run_python(f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_every_package_of_the_library_has_a_layer():
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert packages == set(LAYERS)


def test_no_module_imports_a_higher_layer():
    assert layer_violations(LIBRARY) == []


@pytest.mark.parametrize(
    "statement",
    [
        "from ..networks import unet",
        "from ..networks.unet import Unet",
        "from .. import networks",
        "import VoxelMorphLib.networks.unet",
        "def late():\n    from ..networks.unet import Unet",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..networks.unet import Unet",
    ],
)
def test_an_import_of_a_higher_layer_is_found(tmp_path, statement):
    library = library_of(tmp_path, core___a=statement, networks___unet="class Unet: ...")
    assert len(layer_violations(library)) == 1


def test_an_import_of_a_lower_layer_is_allowed(tmp_path):
    library = library_of(tmp_path, core___a="A = 1", networks___unet="from ..core.a import A\nfrom ..core import a")
    assert layer_violations(library) == []


def test_packages_from_outside_are_imported_only_where_they_belong():
    assert external_violations(LIBRARY) == []


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("core___spatial", "import slicer"),
        ("core___spatial", "from vtk.util import numpy_support"),
        ("cli___register", "import qt"),
        ("bridge___volume_nodes", "def late():\n    import qt"),
        ("weights___load", "import h5py"),
        ("core___transform", "import SimpleITK as sitk"),
        ("registration___pipeline", "import nibabel"),
        ("bridge___nodes", "import torch"),
        ("core___metrics", "import pandas"),
        ("training___monitors___summary", "import jinja2"),
    ],
)
def test_a_package_in_the_wrong_place_is_found(tmp_path, file, statement):
    assert len(external_violations(library_of(tmp_path, **{file: statement}))) == 1


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("bridge___volume_nodes", "import slicer\nimport vtk"),
        ("core___io___images", "import SimpleITK as sitk"),
        ("weights___keras_file", "import json\nimport h5py"),
    ],
)
def test_a_package_in_its_place_is_allowed(tmp_path, file, statement):
    assert external_violations(library_of(tmp_path, **{file: statement})) == []


@pytest.mark.slow
def test_no_modules_import_each_other():
    assert circles(LIBRARY) == []


@pytest.mark.parametrize(
    "files",
    [
        {"core___a": "from .b import B", "core___b": "def late():\n    from .a import A"},
        {"core___a": "from . import b", "core___b": "from . import c", "core___c": "from .a import A"},
        {"core___a": "from . import A", "core_____init__": "from .a import A"},
    ],
)
def test_modules_that_import_each_other_are_found(tmp_path, files):
    assert len(circles(library_of(tmp_path, **files))) == 1


def test_importing_the_library_loads_nothing_heavy():
    assert loaded_by("import VoxelMorphLib") == set()


def test_a_public_name_loads_only_what_it_needs():
    assert loaded_by("from VoxelMorphLib import RegistrationOptions, VoxelMorphError") == set()
    assert loaded_by("from VoxelMorphLib import Geometry, Image") == {"numpy"}


@pytest.mark.parametrize("name", VoxelMorphLib.__all__)
def test_a_public_name_can_be_imported_and_completed(name):
    public = getattr(VoxelMorphLib, name)
    assert public is getattr(VoxelMorphLib, name)
    assert name in dir(VoxelMorphLib)


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="'VoxelMorphLib' has no attribute 'frobnicate'"):
        VoxelMorphLib.frobnicate  # noqa: B018, asking is the test


def test_editors_are_told_the_same_public_names_as_python():
    tree = ast.parse((LIBRARY / "__init__.py").read_text(encoding="utf-8"))
    told = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            told.update({alias.asname: (node.module, alias.name) for alias in node.names})
    homes = {name: (*home.split(":"), name)[:2] for name, home in VoxelMorphLib._HOMES.items()}
    assert told == homes


def test_the_library_itself_may_name_no_interface(tmp_path):
    library = library_of(tmp_path, cli___a="A = 1", core___b="B = 1", other="from .core.b import B")
    (library / "__init__.py").write_text("from .core.b import B\nfrom .cli.a import A", encoding="utf-8")
    assert [text.partition(" ")[2] for text in layer_violations(library)] == [
        "imports cli.a",
        "imports core.b",
    ]


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_modules_for_machines_without_torch_load_no_torch(name):
    assert "torch" not in loaded_by(f"import VoxelMorphLib.{name}")


@pytest.mark.slow
def test_every_module_can_be_imported_first():
    # The panel and its runner need the application's own Qt; the tests of Testing/gui import them.
    needs_qt = ("bridge.panel.", "bridge.background.runner")
    names = [f"VoxelMorphLib.{name}".rstrip(".") for name in modules(LIBRARY) if not name.startswith(needs_qt)]
    if importlib.util.find_spec("slicer") is None:
        names = [name for name in names if ".bridge" not in name]
    result = run_python(
        f"import importlib, sys\n"
        f"for name in {names}:\n"
        f"    for loaded in [n for n in sys.modules if n.startswith('VoxelMorphLib')]:\n"
        f"        del sys.modules[loaded]\n"
        f"    importlib.import_module(name)\n"
    )
    assert result.returncode == 0, result.stderr


def imported_by(statements: Iterable[ast.AST]) -> set[str]:
    """The packages that these statements import, those of the standard library left out."""
    statements = list(statements)
    names = [alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in statements if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_the_module_file_imports_only_slicer_when_slicer_starts():
    assert imported_by(ast.parse(MODULE_FILE.read_text(encoding="utf-8")).body) == {"slicer"}


@pytest.mark.parametrize("script", sorted((LIBRARY.parent / "CLI").glob("*.py")), ids=lambda path: path.stem)
def test_a_command_imports_only_the_library(script):
    assert imported_by(ast.walk(ast.parse(script.read_text(encoding="utf-8")))) == {"VoxelMorphLib"}
