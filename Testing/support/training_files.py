"""Small images with label maps on the disk, and configurations that name them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from VoxelMorphLib.core.io.images import write_image
from VoxelMorphLib.training.options import TrainingConfig

from support.volumes import a_blob_image, a_geometry, a_label_map

#: Labels of every map that `write_cases` writes.
LABELS = (2, 17, 53)


def write_cases(
    folder: Path,
    count: int = 4,
    shape: tuple[int, int, int] = (14, 12, 10),
    geometry: str = "RAS",
    extension: str = ".nii.gz",
) -> list[Path]:
    """Write images/case0.nii.gz, labels/case0.nii.gz and so on; every case has another scene. Returns the images."""
    grid = a_geometry(geometry, shape)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        write_image(a_label_map(grid, seed), folder / "labels" / f"case{seed}{extension}")
        write_image(a_blob_image(grid, seed), folder / "images" / f"case{seed}{extension}")
    return sorted((folder / "images").iterdir())


def write_list(path: Path, lines: Sequence[str]) -> str:
    """A text file; returns its name."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def a_data_config(folder: Path, labelled: bool = True, **values: Any) -> TrainingConfig:
    """For the files of `write_cases`."""
    lists = {"image_list": str(folder / "images")}
    if labelled:
        lists["label_list"] = str(folder / "labels")
    return TrainingConfig(**{**lists, "output_dir": str(folder / "out"), "batch_size": 2, **values})
