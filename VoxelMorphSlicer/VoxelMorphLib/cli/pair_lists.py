"""A list of pairs -> the files of each, with every fault of the list found before any work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConfigError
from ..core.io.files import check_readable, extension
from ..core.io.image_lists import TABLES, read_table
from ..core.io.paths import exists, expanded

#: Column of the names of pairs.
NAME = "id"


@dataclass(frozen=True)
class ListedPair:
    """One row of a list.

    Args:
        name: of the pair.
        files: column -> path, absolute; empty cells are left out.
        row: number in the file, the header being 1; 0 for pairs of no file.
    """

    name: str
    files: Mapping[str, Path]
    row: int = 0


def read_pairs(
    source: str | Path,
    columns: Collection[str],
    required: Collection[str] = (),
    defaults: Mapping[str, Path] | None = None,
) -> tuple[list[ListedPair], list[str]]:
    """Read a table of pairs; paths are relative to its folder.

    Args:
        source: .csv or .tsv file with a header.
        columns: that hold files, in any order and in lower or upper case.
        required: of these, what every row needs.
        defaults: files of rows whose cell is empty.

    Returns:
        The pairs, and the titles of columns that were not looked at.

    Raises:
        ConfigError: an unreadable table, a missing column, no row, an id that occurs twice, a required cell that is
            empty, or a file that does not exist.
    """
    path = expanded(source)
    if extension(path) not in TABLES:
        raise ConfigError(f"--pairs {str(source)!r} is no {' or '.join(TABLES)} file. Give a table with a header.")
    check_readable(path, ConfigError)
    header, rows = read_table(path, "pairs")
    places = _places(path, header, columns)
    missing = [column for column in required if column not in places and column not in (defaults or {})]
    if missing or not set(places) - {NAME}:
        raise ConfigError(
            f"{path} has no column {missing[0] if missing else next(iter(columns))!r}, but {', '.join(header)}. The "
            f"columns are {', '.join((NAME, *columns))}."
        )
    pairs = [_pair(path, number, row, places, required, defaults or {}) for number, row in enumerate(rows, start=2)]
    _check_names(path, pairs)
    return pairs, [title for title in header if title.lower() not in {name.lower() for name in (NAME, *columns)}]


def _places(path: Path, header: Sequence[str], columns: Collection[str]) -> dict[str, int]:
    lower = [title.lower() for title in header]
    doubled = next((title for title in lower if title and lower.count(title) > 1), None)
    if doubled:
        raise ConfigError(f"{path} has the column {doubled!r} twice. Name each column once.")
    return {name: lower.index(name.lower()) for name in (NAME, *columns) if name.lower() in lower}


def _pair(
    path: Path,
    number: int,
    row: Sequence[str],
    places: Mapping[str, int],
    required: Collection[str],
    defaults: Mapping[str, Path],
) -> ListedPair:
    cells = {name: row[place].strip() if place < len(row) else "" for name, place in places.items()}
    name = cells.pop(NAME, "") or f"row {number}"
    files = {**defaults, **{column: (path.parent / cell).absolute() for column, cell in cells.items() if cell}}
    for column in required:
        if column not in files:
            raise ConfigError(f"Row {number} of {path} has no {column}. Write a file into that cell.")
    for column, file in files.items():
        if not exists(file):
            raise ConfigError(f"Row {number} ({name}) of {path}: {column} {file} does not exist. Correct the cell.")
    return ListedPair(name, files, number)


def _check_names(path: Path, pairs: Sequence[ListedPair]) -> None:
    first: dict[str, int] = {}
    for pair in pairs:
        if pair.name in first:
            raise ConfigError(
                f"Rows {first[pair.name]} and {pair.row} of {path} have the same id {pair.name!r}. Give each its own."
            )
        first[pair.name] = pair.row
