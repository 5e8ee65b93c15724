"""The stand-in serves any extension: it needs nothing of the one around it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: What the stand-in runs on, and the modules that it makes itself.
ALLOWED = {"PySide6", "shiboken6", "pytest", "numpy", "slicer", "vtk", "qt", "ctk", "slicer_standin"}


def imported_by(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_nothing_but_the_packages_that_it_runs_on_is_imported():
    imported = {name for path in PACKAGE.rglob("*.py") for name in imported_by(path)}
    assert imported <= ALLOWED
