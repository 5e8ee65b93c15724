"""Where the results of a row lie in the output folder: a folder for each pair, or names as in BIDS derivatives.

Names of derivatives: Brain Imaging Data Structure 1.9, "Imaging derivatives", and its proposal 14 for transforms
(`from-`, `to-`, `mode-image`, `_xfm`).
"""

from __future__ import annotations

import re
from pathlib import Path

from ..core.io.image_lists import bids_entities
from ..core.io.names import stem
from .options import BatchOptions

#: The page of the whole batch.
REPORT = "report.html"
#: Characters that the names of folders have on every system.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LONGEST_ID = 120
#: Entities that describe another grid or another processing than the result has.
_REPLACED = ("space", "desc", "res", "den")


def safe_name(text: str) -> str:
    """A text as part of an id: letters, digits, dots, hyphens and underscores, and never what joins two of them."""
    name = _UNSAFE.sub("-", text).strip("-._") or "image"
    return name.replace("_to_", "-to-")


def id_problem(text: str) -> str:
    """Why a text cannot be the id of a row, as the rest of a sentence; empty where it can."""
    if _UNSAFE.search(text):
        return "has characters other than letters, digits, dots, hyphens and underscores"
    if not re.match(r"[A-Za-z0-9]", text) or text.endswith("."):
        return "does not begin with a letter or digit, or ends with a dot"
    if len(text) > LONGEST_ID:
        return f"is longer than {LONGEST_ID} characters"
    return "is a name that Windows keeps for devices" if _RESERVED.fullmatch(text) else ""


def plain_place(row_id: str) -> dict[str, str]:
    """A folder for each pair."""
    names = {"moved": "moved", "moved_labels": "movedLabels", "forward": "forward", "inverse": "inverse"}
    return {kind: f"{row_id}/{name}" for kind, name in {**names, "result": "result"}.items()}


def bids_place(moving: Path, fixed: str) -> dict[str, str]:
    """As in derivatives: beside the other files of the moving image's subject and session.

    Args:
        moving: image in a BIDS folder.
        fixed: name of the fixed image, which becomes the name of the space.
    """
    entities = {key: value for key, value in bids_entities(moving).items() if key not in _REPLACED}
    contrast = stem(moving).rsplit("_", 1)[-1]
    space = re.sub(r"[^A-Za-z0-9]", "", fixed) or "fixed"
    session = [f"ses-{entities['ses']}"] if "ses" in entities else []
    folder = "/".join([f"sub-{entities['sub']}", *session, "anat"])
    head = f"{folder}/" + "_".join(f"{key}-{value}" for key, value in entities.items())
    return {
        "moved": f"{head}_space-{space}_{contrast}",
        "moved_labels": f"{head}_space-{space}_dseg",
        "forward": f"{head}_from-{contrast}_to-{space}_mode-image_xfm",
        "inverse": f"{head}_from-{space}_to-{contrast}_mode-image_xfm",
        "result": f"{head}_space-{space}_{contrast}",
    }


def output_names(place: dict[str, str], options: BatchOptions, has_labels: bool) -> dict[str, str]:
    """What is written of a row: kind -> file relative to the output folder.

    Args:
        place: of the row.
        options: of the batch.
        has_labels: whether there are labels to be moved.
    """
    image, transform = options.image_format, options.transform_format
    wanted = {
        "moved": options.moved and image,
        "moved_labels": options.moved_labels and has_labels and image,
        "forward": options.forward and transform,
        "inverse": options.inverse and transform,
    }
    names = {kind: f"{place[kind]}{ending}" for kind, ending in wanted.items() if ending}
    if options.report:
        names["report"] = f"{place['result']}.html"
    return names


def record_name(place: dict[str, str]) -> str:
    """The file that says what was done, written last."""
    return f"{place['result']}.json"


def thumbnail_name(place: dict[str, str]) -> str:
    """The small picture of the summary."""
    return f"{place['result']}.png"
