"""BIDS folders -> anatomical images, and the label maps that belong to them.

Names: Brain Imaging Data Structure 1.9, "Magnetic Resonance Imaging" and "Imaging derivatives" (`_dseg`).
"""

from __future__ import annotations

import re
from pathlib import Path

from ...core.io.files import extension
from ...core.io.images import IMAGE_EXTENSIONS
from .case import stem

#: Contrasts in order of preference; a folder's first one that occurs is used.
CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "inplaneT1", "inplaneT2", "angio")
#: Entities that a label map may have without belonging to another image.
DERIVED = ("desc", "atlas", "seg", "label", "res", "den", "hemi")


def is_bids(folder: Path) -> bool:
    """A description of the data set, or a subject's folder with anatomical images."""
    return (folder / "dataset_description.json").is_file() or any(_anatomical(folder))


def images(folder: Path) -> list[Path]:
    """The images of the preferred contrast of all subjects and sessions, sorted."""
    files = sorted(
        file for anat in _anatomical(folder) for file in anat.iterdir() if extension(file) in IMAGE_EXTENSIONS
    )
    for contrast in CONTRASTS:
        found = [file for file in files if stem(file).endswith(f"_{contrast}")]
        if found:
            return found
    return []


def subject(path: Path) -> str | None:
    """ "sub-01" where the file's name or a folder above it begins so."""
    parts = [re.match(r"sub-[A-Za-z0-9]+", part) for part in reversed(path.parts)]
    return next((found.group() for found in parts if found), None)


def label_map(image: Path) -> Path | None:
    """The discrete segmentation of an image in a BIDS folder, beside it or below `derivatives`; None without.

    Of several the one that shares most entities with the image comes first, then one without `desc-`, then by name.
    """
    subject_folder = next((part for part in image.parents if re.fullmatch(r"sub-[A-Za-z0-9]+", part.name)), None)
    if subject_folder is None:
        return None
    root = subject_folder.parent
    below = image.parent.relative_to(root)
    folders = [image.parent, *sorted(root.glob(f"derivatives/*/{below.as_posix()}"))]
    own = _entities(image)
    files = [file for folder in folders for file in sorted(folder.iterdir()) if _is_segmentation(file)]
    fitting = [file for file in files if _belongs(_entities(file), own)]
    return min(fitting, key=lambda file: _rank(_entities(file), own), default=None)


def _anatomical(folder: Path) -> list[Path]:
    found = [*folder.glob("sub-*/anat"), *folder.glob("sub-*/ses-*/anat")]
    return sorted(path for path in found if path.is_dir())


def _is_segmentation(file: Path) -> bool:
    return extension(file) in IMAGE_EXTENSIONS and stem(file).endswith("_dseg")


def _entities(file: Path) -> dict[str, str]:
    return dict(part.split("-", 1) for part in stem(file).split("_") if "-" in part)


def _belongs(labels: dict[str, str], image: dict[str, str]) -> bool:
    """Every entity is one of the image's; a `space` that the image lacks means another grid and place."""
    return all(image.get(key) == value for key, value in labels.items() if key not in DERIVED)


def _rank(labels: dict[str, str], image: dict[str, str]) -> tuple[int, bool]:
    return -sum(image.get(key) == value for key, value in labels.items()), "desc" in labels
