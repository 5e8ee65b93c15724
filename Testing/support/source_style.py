"""What a reader of Python sources trips over: public names without a docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Union

#: Methods by base class that torch and the standard library document.
DOCUMENTED_OUTSIDE = {"Module": ("forward",), "ArgumentParser": ("error",)}

Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Documentable = Union[ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef]


def undocumented(paths: Iterable[Path]) -> list[str]:
    """Modules, public classes, functions and methods that have no docstring and inherit none."""
    trees = {path: _tree(path) for path in paths}
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    wrong = []
    for path, tree in trees.items():
        wrong += [] if ast.get_docstring(tree) else [f"{path}: module"]
        for owner, node in _public(tree):
            if not ast.get_docstring(node) and not _inherits_docstring(owner, node.name, classes):
                wrong.append(f"{path}:{node.lineno} {node.name}")
    return wrong


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _public(owner: ast.Module | ast.ClassDef) -> Iterator[tuple[Documentable, Documentable]]:
    """(module or class, public class or function in it), classes inside classes included."""
    for node in owner.body:
        if isinstance(node, (ast.ClassDef, *Function)) and not node.name.startswith("_") and not _is_setter(node):
            yield owner, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _is_setter(node: Documentable) -> bool:
    return any(isinstance(item, ast.Attribute) and item.attr == "setter" for item in node.decorator_list)


def _inherits_docstring(owner: Documentable, method: str, classes: dict[str, ast.ClassDef]) -> bool:
    """A method of this name is documented in a base class, in the library or outside."""
    if not isinstance(owner, ast.ClassDef):
        return False
    names = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in owner.bases]
    if any(method in DOCUMENTED_OUTSIDE.get(name, ()) for name in names):
        return True
    for base in (classes[name] for name in names if name in classes and name != owner.name):
        here = [node for node in base.body if isinstance(node, Function) and node.name == method]
        if any(ast.get_docstring(node) for node in here) or _inherits_docstring(base, method, classes):
            return True
    return False
