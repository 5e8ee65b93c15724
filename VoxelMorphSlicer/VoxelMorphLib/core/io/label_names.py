"""Which labels count and what they are called: from a list, an archive of the original, or a table of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import ConfigError
from .files import check_readable, extension
from .image_lists import read_table
from .npz import read_npz
from .tables import TABLES

_NUMBER_COLUMNS = ("label", "labels", "labelvalue", "id", "index", "value", "number", "no", "#no.")
_NAME_COLUMNS = ("name", "structure", "labelname", "label_name", "region", "abbreviation")
_LIST = re.compile(r"\s*-?\d+(\s*[,;\s]\s*-?\d+)*\s*$")
#: Number and name at the start of a line, as FreeSurfer and Slicer write them; quoted at the end, as ITK-SNAP does.
_LINE = re.compile(r"\s*(\d+)\s+(?:(?!.*\")(\S+)|.*\"([^\"]*)\")")
_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class LabelChoice:
    """What is compared.

    Args:
        numbers: the labels, ascending; None takes all that occur.
        names: of labels.
        source: where this was read; empty for the default.
    """

    numbers: tuple[int, ...] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    source: str = ""


def read_label_choice(source: str) -> LabelChoice:
    """Read a choice of labels.

    Args:
        source: numbers with commas between them; .npz with the array `labels`, as the original has it; .csv or .tsv
            with a column of numbers and one of names; or a colour table of FreeSurfer, Slicer or ITK-SNAP (.txt, .ctbl,
            .lut, .label). Empty takes every label.

    Raises:
        ConfigError: a file that is missing or holds no labels.
    """
    if not source.strip():
        return LabelChoice()
    if _LIST.match(source):
        return _choice({int(number): "" for number in re.findall(r"-?\d+", source)}, source)
    path = Path(source)
    check_readable(path, ConfigError)
    if extension(path) == ".npz":
        return _choice(dict.fromkeys(_archived(path), ""), source)
    names = _table(path) if extension(path) in TABLES else _colour_table(path)
    return _choice(names, source)


def segment_names(path: Path | str) -> dict[int, str]:
    """Names by number that the header of a segmentation (.seg.nrrd of Slicer) holds; nothing for other files."""
    if extension(path) != ".nrrd":
        return {}
    with Path(path).open("rb") as stream:
        header = stream.read(_HEADER_BYTES).split(b"\n\n")[0].decode("utf-8", "replace")
    found = dict(re.findall(r"^(Segment\d+_(?:Name|LabelValue)):=(.*?)\s*$", header, re.MULTILINE))
    numbers = {key.split("_")[0]: value for key, value in found.items() if key.endswith("LabelValue")}
    named = ((number, found.get(f"{segment}_Name", "")) for segment, number in numbers.items())
    return {int(number): name for number, name in named if number.isdigit() and name}


def _choice(names: Mapping[int, str], source: str) -> LabelChoice:
    numbers = tuple(sorted(set(names) - {0}))
    if not numbers:
        raise ConfigError(f"--labels {source!r} names no label but the background. Give numbers, or a table of them.")
    return LabelChoice(numbers, {number: name for number, name in names.items() if name}, source)


def _archived(path: Path) -> list[int]:
    array, _affine = read_npz(path, ("labels",))
    values = np.ravel(array)
    if values.dtype.kind not in "iuf" or not np.all(np.equal(np.mod(values, 1), 0)):
        raise ConfigError(f"{path} holds no whole numbers under 'labels'. Store the label numbers there.")
    return [int(value) for value in values]


def _table(path: Path) -> dict[int, str]:
    header, rows = read_table(path, "labels")
    lower = [title.lower() for title in header]
    number = next((lower.index(name) for name in _NUMBER_COLUMNS if name in lower), None)
    name = next((lower.index(name) for name in _NAME_COLUMNS if name in lower), None)
    if number is None:
        if not header[0].isdigit():
            raise ConfigError(f"{path} has no column 'label' but {', '.join(header)}. Name the column of the numbers.")
        number, name, rows = 0, 1 if len(header) > 1 else None, [header, *rows]
    return _numbered(path, [(_cell(row, number), "" if name is None else _cell(row, name)) for row in rows])


def _cell(row: list[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _colour_table(path: Path) -> dict[int, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{path} is no table of labels. Give numbers, a .csv, .npz or a colour table.") from cause
    found = [_LINE.match(line) for line in text.splitlines() if not line.lstrip().startswith("#")]
    return _numbered(path, [(each[1], each[2] or each[3] or "") for each in found if each])


def _numbered(path: Path, pairs: list[tuple[str, str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, name in pairs:
        if not re.fullmatch(r"-?\d+", number):
            raise ConfigError(f"{path} has {number!r} where a label number belongs. Write whole numbers there.")
        if int(number) in names:
            raise ConfigError(f"{path} names the label {number} twice. Name each once.")
        names[int(number)] = name.strip()
    return names
