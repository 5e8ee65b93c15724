"""A table of pairs to the rows of a batch; it is read anew for every pass and never kept."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.config import RegistrationOptions
from ..core.errors import ConfigError, VoxelMorphError
from ..core.io.files import extension
from ..core.io.names import stem
from ..core.io.pair_tables import ID, PairRow, PairTable
from ..core.io.paths import exists, expanded
from ..core.options import options_of
from .pairs import Common, Pairs, unused_id
from .places import id_problem, plain_place, safe_name
from .row import FILES, Row

NEEDED = ("fixed", "moving")
#: Options of a registration by the name that columns have.
OPTIONS = {option.name: option for option in options_of(RegistrationOptions).values()}
COLUMNS = (ID, *FILES, "model", *OPTIONS)
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
        self._table = PairTable(self.path, COLUMNS, NEEDED)
        if self._table.others:
            raise ConfigError(
                f"{self.path} has a column {self._table.others[0][:60]!r}, which is no option. Columns are "
                f"{', '.join(COLUMNS)}. Rename or remove it."
            )
        self.count, self._taken = self._table.check_ids()

    def rows(self) -> Iterator[Row]:
        taken = set(self._taken)
        for number, row in enumerate(self._table.rows(), start=1):
            yield self._row(number, row, taken)

    def _row(self, number: int, row: PairRow, taken: set[int]) -> Row:
        values = row.values
        files = {name: str((self.path.parent / _expanded(values[name])).absolute()) for name in FILES if name in values}
        row_id = values.get(ID, "")
        problem = _cells_problem(row)
        if row_id and id_problem(row_id):
            problem = problem or f"The id {row_id!r} {id_problem(row_id)}. Rename it."
        if not row_id and not problem:
            row_id, problem = _made_id(files, taken)
        options, wrong = _options(values, self.common.options)
        problem = problem or wrong or _missing_file(files)
        where = f"Line {row.line}: " * bool(problem)
        model = _model(values.get("model", ""), self.path.parent) or self.common.model
        place = {} if problem else plain_place(row_id)
        return Row(number, row_id or f"row {number}", files, model, options, place, where + problem)


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


def _cells_problem(row: PairRow) -> str:
    """What is wrong with the cells of a row, as a sentence."""
    if row.is_longer:
        return "It has more cells than the table has columns. Put cells with commas into quotes."
    for name, text in row.values.items():
        if text.startswith(FORMULA):
            return (
                f"{name} is {text[:60]!r}, which spreadsheets take for a formula. Write the value itself, ./ before "
                "the name of a file."
            )
    missing = [name for name in NEEDED if name not in row.values]
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
