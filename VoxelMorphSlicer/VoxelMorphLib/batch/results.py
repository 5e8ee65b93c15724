"""results.csv: what became of every row, written as rows end and put into their order at the end."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ..core.errors import OutputError
from ..core.io.csv_files import cell
from ..core.io.files import replacing
from .row import MEASURES, Outcome

RESULTS, JOURNAL = "results.csv", "results.part.csv"
COLUMNS = (
    *("row", "id", "status", "sentence", "fixed", "moving", "model", *MEASURES),
    *("warnings", "device", "seconds"),
)


class Results:
    """Writes the table. Use as a context manager: at its end, whatever ended it, the table holds what is done.

    A kill leaves the rows so far in a second file. Kept in memory are two numbers for each row.

    Args:
        folder: of the batch.
    """

    def __init__(self, folder: Path):
        self._folder, self._journal = folder, folder / JOURNAL
        self._numbers, self._offsets = array("q"), array("q")

    def __enter__(self) -> Results:
        try:
            self._stream = self._journal.open("wb")
        except OSError as cause:
            raise _unwritable(self._journal, cause) from cause
        self._write(_line(COLUMNS))
        return self

    def add(self, outcome: Outcome) -> None:
        """Append a row.

        Raises:
            OutputError: the disk is full or fails.
        """
        self._numbers.append(outcome.number)
        self._offsets.append(self._stream.tell())
        self._write(_line(_cells(outcome)))

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._stream.close()
        try:
            self._sort()
        except OutputError:
            if kind is None:
                raise

    def _write(self, line: bytes) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError as cause:
            raise _unwritable(self._journal, cause) from cause

    def _sort(self) -> None:
        with (
            replacing(self._folder / RESULTS) as scratch,
            self._journal.open("rb") as source,
            scratch.open("wb") as out,
        ):
            out.write(source.readline())
            for place in sorted(range(len(self._numbers)), key=self._numbers.__getitem__):
                source.seek(self._offsets[place])
                out.write(source.readline())
        self._journal.unlink()


def safe_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula, in one line."""
    return cell(" ".join(text.split()) if text else "")


def read_results(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table by column.

    Raises:
        OSError: it cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def _cells(outcome: Outcome) -> list[str]:
    values = {
        "row": str(outcome.number),
        **{
            name: safe_cell(getattr(outcome, name)) for name in ("id", "status", "sentence", "fixed", "moving", "model")
        },
        **{name: f"{value:.6g}" for name, value in outcome.measures.items()},
        "warnings": safe_cell(" ".join(outcome.warnings)),
        "device": outcome.device,
        "seconds": "" if outcome.seconds is None else f"{outcome.seconds:.3f}",
    }
    return [values.get(column, "") for column in COLUMNS]


def _line(cells: list[str] | tuple[str, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _unwritable(path: Path, cause: OSError) -> OutputError:
    return OutputError(f"{path} could not be written ({cause.strerror or cause}). Free some space, or choose a folder.")
