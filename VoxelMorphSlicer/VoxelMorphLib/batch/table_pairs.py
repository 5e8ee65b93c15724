"""A table of pairs to the rows of a batch; it is read anew for every pass and never kept."""

from __future__ import annotations

import argparse
import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..core.config import RegistrationOptions
from ..core.errors import ConfigError, VoxelMorphError
from ..core.io.files import extension
from ..core.io.names import stem
from ..core.io.paths import exists, expanded
from ..core.options import options_of
from .pairs import Common, Pairs, id_digest, unused_id
from .places import id_problem, plain_place, safe_name
from .row import FILES, Row

NEEDED = ("fixed", "moving")
#: Options of a registration by the name that columns have.
OPTIONS = {option.name: option for option in options_of(RegistrationOptions).values()}
COLUMNS = ("id", *FILES, "model", *OPTIONS)
#: What spreadsheets take for formulas.
FORMULA = ("=", "@")


class TablePairs(Pairs):
    """Pairs of a .csv or .tsv file, a row each. The whole of it is looked through once, but never kept.

    Args:
        path: with columns "fixed" and "moving", and any others of `COLUMNS`. Files are relative to its folder.
        common: of all rows.

    Raises:
        ConfigError: unreadable, an unknown, missing or doubled column, no rows, or two rows of the same id.
    """

    def __init__(self, path: Path | str, common: Common):
        self.path, self.common = expanded(path).absolute(), common
        self.sources = (self.path,)
        self._header = self._read_header()
        self._taken: set[int] = set()
        self.count = self._check_rows()

    def rows(self) -> Iterator[Row]:
        taken = set(self._taken)
        for number, (line, cells) in enumerate(self._lines(), start=1):
            yield self._row(number, line, cells, taken)

    def _read_header(self) -> list[str]:
        with self._open() as stream:
            header = [cell.strip() for cell in next(self._csv(stream), [])]
        unknown = [name for name in header if name not in COLUMNS]
        missing = [name for name in NEEDED if name not in header]
        doubled = [name for name in header if header.count(name) > 1]
        if missing:
            raise ConfigError(
                f"{self.path} has no column {' and no column '.join(missing)}; its first row is {_shown(header)}. "
                "Write a first row with the names of the columns."
            )
        if unknown:
            raise ConfigError(
                f"{self.path} has a column {_shown(unknown[:1])}, which is no option. Columns are "
                f"{', '.join(COLUMNS)}. Rename or remove it."
            )
        if doubled:
            raise ConfigError(f"{self.path} has two columns {doubled[0]}. Remove one.")
        return header

    def _check_rows(self) -> int:
        """Count the rows and find ids that are given twice."""
        count, place = 0, self._header.index("id") if "id" in self._header else None
        for line, cells in self._lines():
            count += 1
            row_id = cells[place].strip() if place is not None and len(cells) > place else ""
            if row_id and id_digest(row_id) in self._taken:
                raise ConfigError(
                    f"Line {line} of {self.path} has the id {row_id!r} again (capitals do not count). Give each row "
                    "one of its own."
                )
            if row_id:
                self._taken.add(id_digest(row_id))
        if not count:
            raise ConfigError(f"{self.path} has no rows below its header. Write a pair of images in each.")
        return count

    def _row(self, number: int, line: int, cells: list[str], taken: set[int]) -> Row:
        found = dict(zip(self._header, (cell.strip() for cell in cells)))
        values = {name: text for name, text in found.items() if text}
        files = {name: str((self.path.parent / _expanded(values[name])).absolute()) for name in FILES if name in values}
        row_id = values.get("id", "")
        problem = _cells_problem(values, len(cells), len(self._header))
        if row_id and id_problem(row_id):
            problem = problem or f"The id {row_id!r} {id_problem(row_id)}. Rename it."
        if not row_id and not problem:
            row_id, problem = _made_id(files, taken)
        options, wrong = _options(values, self.common.options)
        problem = problem or wrong or _missing_file(files)
        where = f"Line {line}: " * bool(problem)
        model = _model(values.get("model", ""), self.path.parent) or self.common.model
        place = {} if problem else plain_place(row_id)
        return Row(number, row_id or f"row {number}", files, model, options, place, where + problem)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of all lines below the header that are not blank."""
        with self._open() as stream:
            reader = self._csv(stream)
            next(reader, None)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells

    def _open(self) -> TextIO:
        try:
            with self.path.open("rb") as stream:
                start = stream.read(4096)
            if not start.strip():
                raise ConfigError(f"{self.path} is empty. Write a table of pairs into it.")
            is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            if b"\0" in start and not is_utf16:
                raise ConfigError(f"{self.path} is no text file. Give a table of pairs, .csv or .tsv.")
            return self.path.open(newline="", encoding="utf-16" if is_utf16 else "utf-8-sig")
        except OSError as cause:
            raise ConfigError(
                f"{self.path} cannot be read ({cause.strerror}). Give a table of pairs, .csv or .tsv."
            ) from cause

    def _csv(self, stream: TextIO) -> Any:
        try:
            first = stream.readline()
            stream.seek(0)
            delimiter = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
            return _Reader(csv.reader(stream, delimiter=delimiter), self.path)
        except UnicodeDecodeError as cause:
            raise _no_table(self.path, cause) from cause


class _Reader:
    """A csv.reader whose errors are sentences."""

    def __init__(self, reader: Any, path: Path):
        self._reader, self._path = reader, path

    @property
    def line_num(self) -> int:
        return int(self._reader.line_num)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> list[str]:
        try:
            return next(self._reader)
        except (csv.Error, UnicodeDecodeError) as cause:
            raise _no_table(self._path, cause) from cause


def _expanded(text: str) -> Path:
    """The path with its home folder; as it is where there is none, which who reads it says."""
    try:
        return expanded(text)
    except VoxelMorphError:
        return Path(text)


def _made_id(files: dict[str, str], taken: set[int]) -> tuple[str, str]:
    """An id for a row without one, and what is wrong with it."""
    if not all(name in files for name in NEEDED):
        return "", ""
    fixed, moving = (safe_name(stem(Path(files[name]))) for name in NEEDED)
    return unused_id(f"{moving}_to_{fixed}", " ".join(files[name] for name in NEEDED), taken)


def _cells_problem(values: dict[str, str], cells: int, columns: int) -> str:
    """What is wrong with the cells of a row, as a sentence."""
    if cells > columns:
        return f"It has {cells} cells, but the table has {columns} columns. Put cells with commas into quotes."
    for name, text in values.items():
        if text.startswith(FORMULA):
            return (
                f"{name} is {text[:60]!r}, which spreadsheets take for a formula. Write the value itself, ./ before "
                "the name of a file."
            )
        if "\0" in text:
            return f"{name} has a NUL character in it. Write the value again."
    missing = [name for name in NEEDED if name not in values]
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty. Name an image." if missing else ""


def _options(values: dict[str, str], common: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The options of a row, and what is wrong with them."""
    given = dict(common)
    try:
        given.update(
            {OPTIONS[name].field: OPTIONS[name].parse(text) for name, text in values.items() if name in OPTIONS}
        )
        RegistrationOptions(**given)
    except (argparse.ArgumentTypeError, ConfigError) as error:
        return dict(common), f"{str(error).rstrip('.')}."
    return given, ""


def _missing_file(files: dict[str, str]) -> str:
    for name, path in files.items():
        try:
            if not exists(path):
                return f"{name} {path} does not exist. Check the name and the folder."
        except VoxelMorphError as error:
            return str(error)
    return ""


def _model(text: str, folder: Path) -> str:
    """An id of the catalogue, or a weights file relative to the table."""
    if not text or not (extension(text) or "/" in text or "\\" in text):
        return text
    path = folder / _expanded(text)
    return str(path.absolute()) if exists(path) else text


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:60]) for name in names[:8]) + ", ..." * (len(names) > 8)


def _no_table(path: Path, cause: Exception) -> ConfigError:
    return ConfigError(f"{path} is no table of pairs ({cause}). Save it as CSV with UTF-8 text.")
