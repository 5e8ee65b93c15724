"""Tables in files, read row by row as spreadsheets write them: any of their encodings and delimiters."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..errors import ConfigError
from .files import extension

TABLES = (".csv", ".tsv")
#: Between cells; the first one is meant where the first line has none.
_DELIMITERS = ",;\t"


class Table:
    """A table that is opened anew for every pass and never kept.

    Args:
        path: .csv or .tsv file, UTF-8 or UTF-16; cells end at the delimiter that is the most frequent one of the first
            line, those of .tsv files at tabs.
        name: of the table in messages; default its path.
    """

    def __init__(self, path: Path, name: str = ""):
        self.path, self.name = path, name or str(path)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number of the last line and cells without the spaces around them, of every row that is not blank.

        Raises:
            ConfigError: unreadable, empty, or no text.
        """
        with self._open() as stream:
            try:
                yield from self._rows(stream)
            except UnicodeDecodeError as cause:
                raise ConfigError(
                    f"{self.name} cannot be read as text ({cause}). Save it as CSV with UTF-8 text."
                ) from cause
            except csv.Error as cause:  # a cell of more than 128 kB
                raise ConfigError(f"{self.name} is no table ({cause}). Save it as CSV with UTF-8 text.") from cause

    def _rows(self, stream: TextIO) -> Iterator[tuple[int, list[str]]]:
        first = stream.readline()
        stream.seek(0)
        delimiter = "\t" if extension(self.path) == ".tsv" else max(_DELIMITERS, key=first.count)
        reader = csv.reader(self._lines(stream), delimiter=delimiter)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells

    def _lines(self, stream: TextIO) -> Iterator[str]:
        for line in stream:
            if "\0" in line:
                raise ConfigError(f"{self.name} is no text file. Give a table, .csv or .tsv.")
            yield line

    def _open(self) -> TextIO:
        try:
            with self.path.open("rb") as stream:
                start = stream.read(4096)
            is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Excel and Notepad write it
            stream_of_text = self.path.open(newline="", encoding="utf-16" if is_utf16 else "utf-8-sig")
        except OSError as cause:
            raise ConfigError(f"{self.name} cannot be read ({cause.strerror}). Give a table, .csv or .tsv.") from cause
        if not start.strip():
            stream_of_text.close()
            raise ConfigError(f"{self.name} is empty. Write a table into it.")
        return stream_of_text
