"""A table of pairs of images with titled columns: what commands for many pairs read, a row at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from .tables import Table

#: Column of the names of pairs.
ID = "id"


@dataclass(frozen=True)
class PairRow:
    """One row.

    Args:
        line: number of its last line in the file, the first one being 1.
        values: what is not empty, by column.
        is_longer: whether it has more cells than the table has titles.
    """

    line: int
    values: dict[str, str]
    is_longer: bool = False


class PairTable:
    """A table whose first row has the titles of its columns, in any order, and capitals do not count.

    Args:
        path: of the .csv or .tsv file.
        columns: that are known, "id" among them.
        needed: columns without which nothing can be done.

    Attributes:
        others: titles that are no known columns.

    Raises:
        ConfigError: unreadable, a column that is missing or there twice.
    """

    def __init__(self, path: Path, columns: Collection[str], needed: Collection[str] = ()):
        self.path, self._table = path, Table(path)
        known = {name.lower(): name for name in columns}
        self._titles = next(self._table.rows(), (0, []))[1]
        self._columns = [known.get(title.lower(), "") for title in self._titles]
        self.others = [title for title, column in zip(self._titles, self._columns) if title and not column]
        self._check_columns(columns, needed)

    def _check_columns(self, columns: Collection[str], needed: Collection[str]) -> None:
        missing = [name for name in needed if name not in self._columns]
        if not missing and not set(self._columns) - {"", ID}:
            missing = [next(name for name in columns if name != ID)]
        if missing:
            raise ConfigError(
                f"{self.path} has no column {' and no column '.join(missing)}; its first row is "
                f"{_shown(self._titles)}. Write a first row with the names of the columns: {', '.join(columns)}."
            )
        doubled = next((name for name in self._columns if name and self._columns.count(name) > 1), None)
        if doubled:
            raise ConfigError(f"{self.path} has the column {doubled} twice. Remove one.")

    def rows(self) -> Iterator[PairRow]:
        """The rows below the titles, made while they are asked for."""
        lines = self._table.rows()
        next(lines, None)
        for line, cells in lines:
            values = {column: cell for column, cell in zip(self._columns, cells) if column and cell}
            yield PairRow(line, values, len(cells) > len(self._columns))

    def check_ids(self) -> tuple[int, set[int]]:
        """Look through all rows; gives their number, and the digests of the ids that are given.

        Raises:
            ConfigError: no rows, or an id that occurs twice.
        """
        count, taken = 0, set()
        for row in self.rows():
            count += 1
            name = row.values.get(ID, "")
            if name and id_digest(name) in taken:
                raise ConfigError(
                    f"Line {row.line} of {self.path} has the id {name!r} again (capitals do not count). Give each row "
                    "one of its own."
                )
            if name:
                taken.add(id_digest(name))
        if not count:
            raise ConfigError(f"{self.path} has no rows below its header. Write a pair of images in each.")
        return count, taken


def id_digest(name: str) -> int:
    """Of an id, alike for capitals, as file systems may see them; 64 bits, so that those of many rows can be kept."""
    return int.from_bytes(hashlib.blake2b(name.casefold().encode(errors="replace"), digest_size=8).digest(), "little")


def _shown(titles: Collection[str]) -> str:
    return ", ".join(repr(title[:60]) for title in list(titles)[:8]) + ", ..." * (len(titles) > 8)
