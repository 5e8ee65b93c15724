"""Monitor, the interface of whatever reports on a training, and curves.csv, one row of measures per epoch."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import OutputError
from ...core.io.files import replacing
from ...core.io.paths import is_file

if TYPE_CHECKING:
    from ..validation import Pictures

FILE = "curves.csv"
#: The column that holds words.
VARIANT = "val_variant"


class Monitor:
    """Is told what happens in a training; each method does nothing unless overridden.

    What a method raises does not end the training.
    """

    #: What it shows, for a message.
    shows = "what is shown of it"

    def begin(self, epoch: int, epochs: int) -> None:
        """A training starts, or resumes after `epoch` finished epochs."""

    def step(self, step: int, steps: int) -> None:
        """A step is done."""

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """An epoch is over.

        Args:
            row: "epoch", "step", "seconds", "lr", "loss", one "loss_..." per term, and, where the epoch was validated,
                the columns of `Validation.row`.
            pictures: of the validation.
        """

    def end(self) -> None:
        """The training has finished, was stopped or has failed."""


class Curves(Monitor):
    """Rewrites the table after every epoch; a resumed training drops the rows that it will compute again.

    Args:
        path: of the table.
    """

    def __init__(self, path: Path):
        self.path, self.rows, self.shows = path, [], str(path)

    def begin(self, epoch: int, epochs: int) -> None:
        """Keep the rows of the finished epochs."""
        rows, lost = _read(self.path) if epoch else ([], "")
        if lost:
            warnings.warn(f"{lost} of {self.path} cannot be read and is left out; the training goes on.", stacklevel=2)
        self.rows = [row for row in rows if row["epoch"] <= epoch]

    def epoch(self, row: Mapping[str, Any], pictures: Pictures) -> None:
        """Add the row."""
        self.rows.append(dict(row))
        try:
            write_curves(self.path, self.rows)
        except OutputError as error:
            if not isinstance(error.__cause__, PermissionError):  # Windows: another program has the file open
                raise


def write_curves(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under the union of their columns, in the order of first appearance.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as file, file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_curves(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, numbers as int or float, empty cells left out; none where there is no table.

    Rows that no training wrote are left out too.

    Raises:
        OSError: the table cannot be opened.
    """
    if not is_file(path):
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        return list(filter(_is_row, _rows(stream)))


def _read(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The rows of a table, and what of it cannot be read, in words."""
    try:
        rows = read_curves(path)
        with path.open("rb") as stream:
            lost = max(sum(1 for line in stream if line.strip()) - 1, 1) - len(rows)
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        return [], f"The table ({error.strerror})"
    return rows, f"A part ({lost} rows)" if lost else ""


def _rows(stream: Iterable[str]) -> Iterator[dict[str, Any]]:
    with suppress(csv.Error):  # NUL, or a cell that never ends
        for row in csv.DictReader(stream):
            yield {name: _number(text) for name, text in row.items() if text}


def columns_of(rows: Iterable[Mapping[str, Any]], prefix: str) -> list[str]:
    """The columns that begin with `prefix`, in their order."""
    return list(dict.fromkeys(name for row in rows for name in row if name.startswith(prefix)))


def _is_row(row: Mapping[str | None, Any]) -> bool:
    """Whether a training wrote the row: numbers, but for the name of the best variant, and no cell without column."""
    counted = all(type(number) is int and number > 0 for number in (row.get("epoch"), row.get("step", 1)))
    return counted and all(isinstance(value, (int, float)) or name == VARIANT for name, value in row.items())


def _number(text: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (ValueError, TypeError):
            pass
    return text
