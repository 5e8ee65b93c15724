"""A text file, CSV file, folder, glob pattern or BIDS folder -> paths, in a fixed order.

Names in BIDS folders: Brain Imaging Data Structure 1.9, "Magnetic Resonance Imaging" and "Imaging derivatives"
(`_dseg`).
"""

from __future__ import annotations

import codecs
import glob
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigError
from .files import extension
from .images import IMAGE_EXTENSIONS
from .names import stem
from .npz import holds_labels
from .paths import entries, expanded, is_file, is_folder
from .tables import TABLES, Table

IMAGE_COLUMNS = ("image", "images", "path", "file", "filename", "scan")
LABEL_COLUMNS = ("labels", "label", "seg", "segmentation", "label_map")
MOVING_COLUMNS = ("moving", "source", "moving_image")
FIXED_COLUMNS = ("fixed", "target", "fixed_image")
#: Contrasts in order of preference; a folder's first one that occurs is used.
CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "inplaneT1", "inplaneT2", "angio")
#: Entities that a label map may have without belonging to another image.
DERIVED = ("desc", "atlas", "seg", "label", "res", "den", "hemi")


def list_paths(source: str, option: str, prefix: str = "", suffix: str = "") -> list[Path]:
    """The files that a list names.

    Args:
        source: text file (one path a line), .csv or .tsv file with a header (a column "image" or "labels", else the
            first one), folder, BIDS folder, glob pattern, or one image.
        option: name of the option, for messages.
        prefix: put before every line of a text file that is no absolute path.
        suffix: put behind it.

    Raises:
        ConfigError: the list is missing, unreadable or names nothing.
    """
    path = expanded(source)
    if is_folder(path):
        found = bids_images(path) if is_bids(path) else _images_in(path)
    elif is_file(path) and extension(path) in IMAGE_EXTENSIONS:
        found = [path]
    elif is_file(path):
        columns = LABEL_COLUMNS + IMAGE_COLUMNS if "label" in option else IMAGE_COLUMNS
        found = _column(path, option, columns) or _lines(path, option, prefix, suffix)
    elif glob.has_magic(source):
        found = _matching(path)
    else:
        raise ConfigError(f"{option} {source!r} does not exist. Give a list, a folder or a pattern of images.")
    if not found:
        raise ConfigError(f"{option} {source!r} names no image. Give a list, a folder or a pattern of images.")
    return [file.absolute() for file in found]


def label_column(source: str) -> list[Path | None] | None:
    """The label maps that a .csv or .tsv list of images names beside them.

    Returns:
        One for each row that has an image, None where its cell is empty; None where the list names no label map.
    """
    path = expanded(source)
    if not is_file(path) or extension(path) not in TABLES:
        return None
    header, rows = read_table(path, "image_list")
    column = _find(header, LABEL_COLUMNS)
    if column is None:
        return None
    image_column = _find(header, IMAGE_COLUMNS) or 0
    cells = [_cell(row, column) for row in rows if _cell(row, image_column)]
    return [(path.parent / cell).absolute() if cell else None for cell in cells] if any(cells) else None


def list_pairs(
    source: str, option: str, prefix: str = "", suffix: str = "", only_missing: bool = False
) -> list[tuple[Path, Path]]:
    """The pairs (moving, fixed) that a list names, two paths a line with a tab, comma or space between them.

    Tables have columns "moving" and "fixed", else their first two count. Other arguments as in `list_paths`; with
    `only_missing` prefix and suffix complete those paths alone that name no file as they stand.

    Raises:
        ConfigError: the list is missing, unreadable or empty, or a line has not two paths.
    """
    path = expanded(source)
    if not is_file(path):
        raise ConfigError(f"{option} {source!r} does not exist. Give a text file of two paths a line.")
    if extension(path) in TABLES:
        header, rows = read_table(path, option)
        first, second = _find(header, MOVING_COLUMNS), _find(header, FIXED_COLUMNS)
        first, second = (0, 1) if first is None or second is None else (first, second)
        pairs = [(row[first], row[second]) for row in rows if len(row) > max(first, second)]
    else:
        pairs = []
        for number, line in _numbered_lines(path, option):
            words = _words(line)
            if len(words) != 2:
                raise ConfigError(
                    f"Line {number} of {option} {source!r} holds {len(words)} paths. "
                    "Write two, moving and fixed, with a tab between them."
                )
            whole = [only_missing and is_file(path.parent / word) for word in words]
            moving, fixed = (w if done else _completed(w, prefix, suffix) for w, done in zip(words, whole))
            pairs.append((moving, fixed))
    if not pairs:
        raise ConfigError(f"{option} {source!r} holds no pair. Write two paths a line, moving and fixed.")
    return [((path.parent / a).absolute(), (path.parent / b).absolute()) for a, b in pairs]


def read_table(path: Path, option: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a .csv or .tsv file; blank rows are dropped.

    A first row that names an image is no header: it counts among the rows, and a warning says so.

    Raises:
        ConfigError: unreadable, or without rows.
    """
    rows = [cells for _line, cells in Table(path, f"{option} {str(path)!r}").rows()]
    if rows and (extension(rows[0][0]) in IMAGE_EXTENSIONS or (option == "attributes" and _has_numbers(rows[0]))):
        return _made_header(rows, path, option), rows
    if len(rows) < 2:
        raise ConfigError(f"{option} {str(path)!r} has no rows below its header. Write a header and one image a row.")
    return rows[0], rows[1:]


def _has_numbers(row: list[str]) -> bool:
    """Whether all cells but the first are numbers, as no titles of columns are."""
    try:
        return bool([float(cell) for cell in row[1:]])
    except ValueError:
        return False


def _made_header(rows: list[list[str]], path: Path, option: str) -> list[str]:
    """Names for the columns of a table that begins with an image."""
    second = len(rows[0]) > 1 and extension(rows[0][1]) in IMAGE_EXTENSIONS
    names = [MOVING_COLUMNS[0], FIXED_COLUMNS[0]] if "pair" in option or "validation" in option else []
    names = names or [IMAGE_COLUMNS[0], *[LABEL_COLUMNS[0]] * second]
    warnings.warn(
        f"{option} {str(path)!r} has no header, so its first row counts too; its columns are taken for "
        f"{' and '.join(names)}.",
        stacklevel=4,
    )
    return [*names, *[""] * (len(rows[0]) - len(names))]


def is_bids(folder: Path) -> bool:
    """A description of the data set, or a subject's folder with anatomical images."""
    return is_file(folder / "dataset_description.json") or any(_anatomical(folder))


def bids_images(folder: Path) -> list[Path]:
    """The images of the preferred contrast of all subjects and sessions, sorted."""
    files = sorted(
        file for anat in _anatomical(folder) for file in entries(anat) if extension(file) in IMAGE_EXTENSIONS
    )
    for contrast in CONTRASTS:
        found = [file for file in files if stem(file).endswith(f"_{contrast}")]
        if found:
            return found
    return []


def bids_subject(path: Path) -> str | None:
    """ "sub-01" where the file's name or a folder above it begins so."""
    parts = [re.match(r"sub-[A-Za-z0-9]+", part) for part in reversed(path.parts)]
    return next((found.group() for found in parts if found), None)


def bids_entities(file: Path) -> dict[str, str]:
    """What a file's name says, "sub-01_run-2_T1w" for example: {"sub": "01", "run": "2"}."""
    return dict(part.split("-", 1) for part in stem(file).split("_") if "-" in part)


def bids_label_map(image: Path) -> Path | None:
    """The discrete segmentation of an image in a BIDS folder, beside it or below `derivatives`; None without.

    Of several the one that shares most entities with the image comes first, then one without `desc-`, then by name.
    """
    subject_folder = next((part for part in image.parents if re.fullmatch(r"sub-[A-Za-z0-9]+", part.name)), None)
    if subject_folder is None:
        return None
    root = subject_folder.parent
    below = image.parent.relative_to(root)
    folders = [image.parent, *sorted(root.glob(f"derivatives/*/{below.as_posix()}"))]
    own = bids_entities(image)
    files = [file for folder in folders for file in sorted(entries(folder)) if _is_segmentation(file)]
    fitting = [file for file in files if _belongs(bids_entities(file), own)]
    return min(fitting, key=lambda file: _rank(bids_entities(file), own), default=None)


def own_label_map(image: Path) -> Path | None:
    """The label map that an image brings along: `seg` of its .npz file, or the one of its BIDS folder."""
    if extension(image) != ".npz":
        return bids_label_map(image)
    return image if holds_labels(image) else None


def _column(path: Path, option: str, names: Sequence[str]) -> list[Path]:
    """The paths in the column of one of the names, else in the first; nothing for other files than tables."""
    if extension(path) not in TABLES:
        return []
    header, rows = read_table(path, option)
    column = _find(header, names) or 0
    return [path.parent / _cell(row, column) for row in rows if _cell(row, column)]


def _cell(row: Sequence[str], column: int) -> str:
    """A cell; empty where the row ends before it."""
    return row[column] if len(row) > column else ""


def _find(header: Sequence[str], names: Sequence[str]) -> int | None:
    lower = [name.lower() for name in header]
    return next((lower.index(name) for name in names if name in lower), None)


def _matching(pattern: Path) -> list[Path]:
    anchor = Path(pattern.anchor or ".")
    parts = pattern.parts[1:] if pattern.anchor else pattern.parts
    return sorted(file for file in anchor.glob("/".join(parts)) if is_file(file))


def _images_in(folder: Path) -> list[Path]:
    return sorted(file for file in entries(folder) if is_file(file) and extension(file) in IMAGE_EXTENSIONS)


def _lines(path: Path, option: str, prefix: str, suffix: str) -> list[Path]:
    lines = [_unquoted(line) for _number, line in _numbered_lines(path, option)]
    return [path.parent / _completed(line, prefix, suffix) for line in lines]


def _completed(line: str, prefix: str, suffix: str) -> str:
    """A line between prefix and suffix; before a whole path no prefix makes sense."""
    return ("" if Path(line).is_absolute() else prefix) + line + suffix


def _numbered_lines(path: Path, option: str) -> list[tuple[int, str]]:
    lines = enumerate(_text(path, option).splitlines(), start=1)
    stripped = [(number, line.strip()) for number, line in lines]
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def _words(line: str) -> list[str]:
    """The paths of a line: whole in quotes, or up to a tab or comma, the end of an image's name, or else a space."""
    quoted = re.fullmatch(r"""(["'])(.+?)\1[\s,]+(["'])(.+?)\3""", line)
    if quoted:
        return [quoted[2], quoted[4]]
    ends = "|".join(map(re.escape, sorted(IMAGE_EXTENSIONS, key=len, reverse=True)))
    spaced = re.fullmatch(rf"(\S.*?(?:{ends}))\s+(\S.*(?:{ends}))", line, re.IGNORECASE)
    if spaced and not re.search(r"[\t,]", line):
        return [spaced[1], spaced[2]]
    between = r"\s*[\t,]\s*" if re.search(r"[\t,]", line) else r"\s+"
    return [word for word in re.split(between, line) if word]


def _unquoted(text: str) -> str:
    """A path as the file browsers of Windows copy it, in quotes, without them."""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _text(path: Path, option: str) -> str:
    try:
        data = path.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Excel and Notepad write it
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{option} {str(path)!r} cannot be read as text ({cause}). Give a list of paths.") from cause
    if "\0" in text:
        raise ConfigError(f"{option} {str(path)!r} is no text file. Give a list of paths.")
    return text


def _anatomical(folder: Path) -> list[Path]:
    found = [*folder.glob("sub-*/anat"), *folder.glob("sub-*/ses-*/anat")]
    return sorted(path for path in found if is_folder(path))


def _is_segmentation(file: Path) -> bool:
    return extension(file) in IMAGE_EXTENSIONS and stem(file).endswith("_dseg")


def _belongs(labels: dict[str, str], image: dict[str, str]) -> bool:
    """Whether every entity is one of the image's; a `space` that the image does not have means another grid."""
    return all(image.get(key) == value for key, value in labels.items() if key not in DERIVED)


def _rank(labels: dict[str, str], image: dict[str, str]) -> tuple[int, bool]:
    return -sum(image.get(key) == value for key, value in labels.items()), "desc" in labels
