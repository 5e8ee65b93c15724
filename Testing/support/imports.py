"""Which module of the library imports what, in-function imports included, and which rules that breaks."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "VoxelMorphSlicer" / "VoxelMorphLib"

BELOW_INTERFACES = ("core", "networks", "synth", "weights", "registration", "apply", "evaluation", "report", "training")

#: For each package of the library the packages that it may import.
LAYERS = {
    **{package: BELOW_INTERFACES[: index + 1] for index, package in enumerate(BELOW_INTERFACES)},
    "worker": (*BELOW_INTERFACES, "worker"),
    "batch": (*BELOW_INTERFACES, "worker", "batch"),
    "cli": (*BELOW_INTERFACES, "worker", "batch", "cli"),
    "bridge": (*BELOW_INTERFACES, "worker", "batch", "cli", "bridge"),
}

#: What the library's own __init__ names as public; modules directly in the library may import nothing else of it.
PUBLIC = BELOW_INTERFACES

#: For each package from outside the modules that may import it, as patterns.
EXTERNAL = {
    "numpy": ("*",),
    "scipy": ("*",),
    "torch": (*(f"{package}.*" for package in BELOW_INTERFACES), "worker.*", "cli.*"),
    "SimpleITK": ("core.io.*", "registration.initialisation", "registration.reduced_image"),
    "nibabel": ("core.io.*",),
    "h5py": ("weights.keras*", "core.io.itk_hdf5"),
    "safetensors": ("weights.*",),
    "matplotlib": ("report.*",),
    "jinja2": ("report.html",),
    "lightning_fabric": ("training.*",),
    "tensorboard": ("training.*",),
    "tqdm": ("training.*", "cli.*"),
    "nilearn": ("cli.demo*",),
    **dict.fromkeys(("distributed", "dask_jobqueue", "cloudpickle"), ("batch.cluster",)),
    "slicer": ("bridge.*",),
    "vtk": ("bridge.*", "apply.surfaces"),
    "qt": ("bridge.panel.*", "bridge.background.runner"),
    "ctk": ("bridge.panel.*",),
}

#: Modules that are used where torch is not installed.
WITHOUT_TORCH = (
    "core.errors",
    "core.config",
    "core.options",
    "training.options",
    "training.recipes",
    "training.image_recipes",
    "training.synthmorph_recipes",
    "core.geometry",
    "core.image",
    "core.progress",
    "core.io.names",
    "core.io.image_lists",
    "core.pointwise_inverse",
    "core.series",
    "apply.apply",
    "cli.apply",
    "registration.presets",
    "registration.request",
    "batch.run",
    "batch.table_pairs",
    "batch.folder_pairs",
    "batch.pool",
    "cli.batch",
    "weights.catalogue",
)


@dataclass(frozen=True)
class Import:
    """One import statement's target.

    Args:
        importer: dotted name inside the library, e.g. "core.io.images"; a package has the name of its folder.
        target: dotted name; of the library's own modules without the library's name.
        internal: the target belongs to the library.
        line: of the statement.
    """

    importer: str
    target: str
    internal: bool
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def modules(library: Path) -> dict[str, Path]:
    """All modules of the library by dotted name; the library's own __init__ is ""."""
    return {_dotted(path, library): path for path in sorted(library.rglob("*.py"))}


def _dotted(path: Path, library: Path) -> str:
    return ".".join(part for part in path.relative_to(library).with_suffix("").parts if part != "__init__")


def imports(library: Path) -> list[Import]:
    """Every import of every module."""
    known = modules(library)
    return [found for name, path in known.items() for found in _imports_of(name, path, library.name, known)]


def _imports_of(name: str, path: Path, library: str, known: Iterable[str]) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for target in _targets(node, name, path, library):
            top, _, rest = target.partition(".")
            if top != library:
                yield Import(name, target, False, node.lineno)
            elif rest in known or "." not in rest:
                yield Import(name, rest, True, node.lineno)
            else:  # a name inside a module
                yield Import(name, rest.rpartition(".")[0], True, node.lineno)


def _targets(node: ast.AST, name: str, path: Path, library: str) -> list[str]:
    """Absolute dotted names; `from a import b` gives a.b when a belongs to the library, as b may be a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = [library, *filter(None, name.split("."))]
        package = package if path.name == "__init__.py" else package[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    inside = base.split(".")[0] == library
    return [f"{base}.{alias.name}" for alias in node.names] if inside else [base]


def layer_violations(library: Path) -> list[str]:
    """Imports of the library's own packages that LAYERS does not allow."""
    wrong = []
    for found in imports(library):
        package, target = found.importer.split(".")[0], found.target.split(".")[0]
        is_package = (library / target).is_dir() and target
        allowed = LAYERS.get(package, () if found.importer else PUBLIC)
        if found.internal and is_package and target not in allowed:
            wrong.append(str(found))
    return wrong


def external_violations(library: Path) -> list[str]:
    """Imports from outside that EXTERNAL does not allow; the standard library is free."""
    wrong = []
    for found in imports(library):
        top = found.target.split(".")[0]
        if found.internal or top in sys.stdlib_module_names:
            continue
        if not any(fnmatch(found.importer, pattern) for pattern in EXTERNAL.get(top, ())):
            wrong.append(str(found))
    return wrong


def circles(library: Path) -> list[list[str]]:
    """Chains of modules that import each other, each chain once, starting anywhere on it."""
    graph: dict[str, set[str]] = {name: set() for name in modules(library)}
    for found in imports(library):
        if found.internal and found.target in graph and found.target != found.importer:
            graph[found.importer].add(found.target)
    found_circles: list[list[str]] = []
    finished: set[str] = set()

    def visit(name: str, chain: list[str]) -> None:
        if name in chain:
            found_circles.append([*chain[chain.index(name) :], name])
        elif name not in finished:
            for target in sorted(graph[name]):
                visit(target, [*chain, name])
            finished.add(name)

    for name in graph:
        visit(name, [])
    return found_circles
