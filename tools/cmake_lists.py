"""The file lists in the module's CMake files: what they name, what the disk holds, and writing one from the other."""

from __future__ import annotations

import re
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "VoxelMorphSlicer"


def files_on_disk(module: Path = MODULE) -> dict[tuple[str, str], list[str]]:
    """What each list must name, by (CMake file, list name); paths are relative to `module`, commands have no suffix."""
    library = _files_in(module / "VoxelMorphLib")
    scripts = [*module.glob("*.py"), *(path for path in library if path.suffix == ".py")]
    resources = [path for path in library if path.suffix != ".py"] + _files_in(module / "Resources")
    commands = (module / "CLI").glob("*.xml")
    return {
        ("CMakeLists.txt", "MODULE_PYTHON_SCRIPTS"): sorted(path.relative_to(module).as_posix() for path in scripts),
        ("CMakeLists.txt", "MODULE_PYTHON_RESOURCES"): sorted(
            path.relative_to(module).as_posix() for path in resources
        ),
        ("CLI/CMakeLists.txt", "MODULE_CLIS"): sorted(path.stem for path in commands),
    }


def _files_in(folder: Path) -> list[Path]:
    """All files below a folder, without hidden ones and what Python leaves there."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return [path for path in files if path.name[0] != "."]


def listed(module: Path, file: str, name: str) -> list[str]:
    """The entries of list `name` in a CMake file, in its order."""
    return _find(module / file, name)["entries"].split()


def write_lists(module: Path = MODULE) -> None:
    """Replace every list by what the disk holds."""
    for (file, name), entries in files_on_disk(module).items():
        found = _find(module / file, name)
        text = found.string[: found.start("entries")] + "".join(f"  {entry}\n" for entry in entries)
        (module / file).write_text(text + found.string[found.end("entries") :], encoding="utf-8")


def _find(path: Path, name: str) -> re.Match[str]:
    found = re.search(rf"set\({name}\n(?P<entries>[^)]*?)  \)", path.read_text(encoding="utf-8"))
    assert found, f"{path} has no list {name}"
    return found


if __name__ == "__main__":
    write_lists()
