"""Real hippocampi with their labels, and how far labels overlap on them."""

from __future__ import annotations

import json

from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import read_image, read_label_map
from VoxelMorphLib.core.metrics import overlap
from VoxelMorphLib.weights.catalogue import CATALOGUE_NAME, load_catalogue
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER

from .shared_data import data_folder

#: The models that come with the extension, and those of these data.
BUNDLED = [entry for entry in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME).values() if entry.file and not entry.url]
OF_HIPPOCAMPI = [entry for entry in BUNDLED if entry.anatomy == "hippocampus"]


def file_of(kind: str, case: str) -> str:
    """Of the "images" or the "labels"."""
    return str(data_folder() / "hippocampus" / kind / f"hippocampus_{case}.nii.gz")


def validation_pairs(count: int) -> list[tuple[str, str]]:
    """(fixed, moving) numbers of cases that no bundled model was trained on."""
    text = (data_folder() / "hippocampus" / "val_pairs.json").read_text(encoding="utf-8")
    return [tuple(pair) for pair in json.loads(text)["pairs"][:count]]


def read_case(case: str) -> tuple[Image, LabelMap]:
    """Image and labels of a case."""
    return read_image(file_of("images", case)), read_label_map(file_of("labels", case))


def dice(fixed: LabelMap, moved: LabelMap) -> float:
    """Mean of the two labels."""
    return overlap(fixed.array, moved.array, (1, 2)).mean
