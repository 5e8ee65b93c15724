"""The version of VoxelMorphLib, and the files that repeat it: what they say, and writing it into them."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = Path("VoxelMorphSlicer", "VoxelMorphLib", "__init__.py")
_STATEMENT = r'^__version__ = "(?P<version>[^"]+)"$'
#: How a file states the version, by the pattern of its name.
_REPEATED = {
    "CITATION.cff": r"^version: (?P<version>\S+)$",
    "VoxelMorphSlicer/CLI/*.xml": r"<version>(?P<version>[^<]*)</version>",
}


def library_version(repository: Path = REPOSITORY) -> str:
    """The version, read without importing the library."""
    return _find(repository / SOURCE, _STATEMENT)["version"]


def repeated_versions(repository: Path = REPOSITORY) -> dict[str, str]:
    """What each file that repeats the version says, by its path."""
    files = {path: pattern for name, pattern in _REPEATED.items() for path in sorted(repository.glob(name))}
    return {path.relative_to(repository).as_posix(): _find(path, text)["version"] for path, text in files.items()}


def write_versions(repository: Path = REPOSITORY) -> None:
    """Let every file say the version of the library."""
    version = library_version(repository)
    for name, pattern in _REPEATED.items():
        for path in repository.glob(name):
            found = _find(path, pattern)
            text = found.string[: found.start("version")] + version + found.string[found.end("version") :]
            path.write_text(text, encoding="utf-8")


def _find(path: Path, pattern: str) -> re.Match[str]:
    found = re.search(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found, f"{path} states no version"
    return found


if __name__ == "__main__":
    write_versions()
