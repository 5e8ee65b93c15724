"""A list of pairs -> the files of each, with every fault of the list found before any work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConfigError
from ..core.io.files import check_readable, extension
from ..core.io.pair_tables import ID, PairRow, PairTable
from ..core.io.paths import exists, expanded
from ..core.io.tables import TABLES


@dataclass(frozen=True)
class ListedPair:
    """One row of a list.

    Args:
        name: of the pair.
        files: column -> path, absolute; empty cells are left out.
        line: number in the file; 0 for pairs of no file.
    """

    name: str
    files: Mapping[str, Path]
    line: int = 0


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
    defaults = defaults or {}
    table = PairTable(path, (ID, *columns), [column for column in required if column not in defaults])
    table.check_ids()
    return [_pair(path, row, required, defaults) for row in table.rows()], table.others


def _pair(path: Path, row: PairRow, required: Collection[str], defaults: Mapping[str, Path]) -> ListedPair:
    name = row.values.get(ID, f"line {row.line}")
    cells = {column: (path.parent / cell).absolute() for column, cell in row.values.items() if column != ID}
    files = {**defaults, **cells}
    for column in required:
        if column not in files:
            raise ConfigError(f"Line {row.line} of {path} has no {column}. Write a file into that cell.")
    for column, file in files.items():
        if not exists(file):
            raise ConfigError(f"Line {row.line} ({name}) of {path}: {column} {file} does not exist. Correct the cell.")
    return ListedPair(name, files, row.line)
