"""CSV tables of numbers that describe cases -> `Case.attributes`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...core.errors import ConfigError
from . import bids
from .case import Case, stem
from .files import read_table


def read_attributes(path: str) -> dict[str, tuple[float, ...]]:
    """The numbers of each row by the text in its first column.

    Args:
        path: .csv or .tsv file; the first row is a header. Scaling the numbers is the user's choice.

    Raises:
        ConfigError: missing file, a row without name, twice the same name, or a cell that is no finite number.
    """
    file = Path(path).expanduser()
    header, rows = read_table(file, "attributes")
    table: dict[str, tuple[float, ...]] = {}
    for number, (name, *cells) in enumerate(rows, start=2):
        if not name or name in table:
            raise ConfigError(f"Row {number} of attributes {path!r} names {name or 'no image'}{' again' * bool(name)}.")
        if len(cells) != len(header) - 1 or not cells:
            raise ConfigError(
                f"Row {number} ({name}) of attributes {path!r} has {len(cells)} numbers, but the header "
                f"{len(header) - 1}. Write the image's name and then one number per column."
            )
        table[name] = tuple(_number(cell, title, number, path) for cell, title in zip(cells, header[1:]))
    return table


def with_attributes(cases: Sequence[Case], path: str) -> list[Case]:
    """The cases that the table names, by path, file name, name or BIDS subject; a warning counts the others.

    Raises:
        ConfigError: as `read_attributes`, or the table names none of the cases.
    """
    table = read_attributes(path)
    found = [(case, _row(case, table)) for case in cases]
    missing = [case.name for case, row in found if row is None]
    if len(missing) == len(cases):
        raise ConfigError(
            f"attributes {path!r} names none of the {len(cases)} images; it has rows for {_few(list(table))}, "
            f"the images are {_few(missing)}. Write the images' names into its first column."
        )
    if missing:
        warnings.warn(
            f"{len(missing)} of {len(cases)} images are left out because attributes {path!r} has no row for them: "
            f"{_few(missing)}.",
            stacklevel=2,
        )
    return [replace(case, attributes=row) for case, row in found if row is not None]


def _row(case: Case, table: dict[str, tuple[float, ...]]) -> tuple[float, ...] | None:
    keys = (str(case.image), case.name, case.image.name, stem(case.image), bids.subject(case.image))
    return next((table[key] for key in keys if key in table), None)


def _number(cell: str, title: str, row: int, path: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"Row {row} of attributes {path!r} has {cell!r} as {title}. Write a number.")
    return value


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
