"""Export of a checkpoint as a model: a safetensors file that describes itself, and its entry for the list of models."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.attributes import Attribute
from ..core.errors import WeightsError
from ..core.image import Image
from ..core.io.images import write_image
from ..core.tensors import as_array
from ..networks.atlas_segmentation import ProbAtlasSegmentation
from ..networks.conditional_template import GeneratedTemplate
from ..networks.registrar import Network
from ..weights.entry import ModelEntry
from ..weights.safetensors_file import write_model
from .checkpoint import fill, load_checkpoint, trained_weights
from .data.case import DatasetInfo
from .memory_estimate import without_start_files
from .monitors.curves import FILE, read_curves
from .monitors.pictures import space_geometry
from .options import TrainingConfig
from .recipes import RECIPES, make_config, make_task
from .task import Task

#: Columns of the training's table and what a model's entry calls them.
MEASURES = {
    "val_dice": "mean Dice",
    "val_back_dice": "mean Dice, fixed to moving by the inverse",
    "val_folded_percent": "folded voxels, %",
    "val_image_loss": "image loss",
    "val_back_image_loss": "image loss, fixed to moving by the inverse",
}


@dataclass(frozen=True)
class ModelFacts:
    """What only the maker of a model knows; empty texts are filled in from the training.

    Args:
        id: what `--model` takes and scenes store; empty takes the name of the file.
        title: what a person chooses from a list.
        description: one line on what it is good for and what it needs.
        anatomy: what the images show.
        modality: of the images.
        licence: of the weights.
        citation: of the paper to cite.
        requires_affine: the images were affinely aligned before the training, beyond what its configuration tells.
        requires_skull_strip: the images showed the brain only.
        command: that trained the model.
    """

    id: str = ""
    title: str = ""
    description: str = ""
    anatomy: str = ""
    modality: str = ""
    licence: str | None = None
    citation: str | None = None
    requires_affine: bool = False
    requires_skull_strip: bool = False
    command: str = ""


def export(checkpoint: str | Path, path: str | Path, facts: ModelFacts | None = None) -> ModelEntry:
    """Write the network of a checkpoint as a model that the register command and the panel can use.

    Args:
        checkpoint: "best.pt" or "last.pt" of a training.
        path: of the model, ending in .safetensors; its folder must exist.
        facts: about the model.

    Returns:
        The model's entry, with the file's name, without size and checksum.

    Raises:
        ConfigError: the path ends otherwise, or the id is no id.
        OutputError: the file cannot be written.
        WeightsError: the checkpoint is damaged, foreign or holds NaN, or its recipe trains nothing that registers.
    """
    checkpoint, path = Path(checkpoint), Path(path)
    content = load_checkpoint(checkpoint)
    config = make_config(content["recipe"], content["config"])
    task = _task(checkpoint, content, config)
    network, architecture, arguments = task.published()
    if not isinstance(network, Network):
        raise WeightsError(f"The recipe {config.recipe} trains a {architecture}, which registers nothing to export.")
    facts = facts or ModelFacts()
    entry = dataclasses.replace(
        _entry(path, config, facts),
        architecture=architecture,
        arguments=arguments,
        space=config.network_space(tuple(content["facts"]["shape"]), network.multiple),
        labels=_channel_labels(config, content["facts"]["labels"], network),
        attributes=_described(content["facts"]) if isinstance(network, GeneratedTemplate) else (),
        measured=_measured(config, checkpoint, content["step"], facts.command),
    )
    write_model(network, entry, path)
    return entry


def _channel_labels(config: TrainingConfig, labels: Sequence[int], network: object) -> tuple[int, ...]:
    """Numbers of the channels of a kept atlas; empty where the training's label maps do not tell them."""
    if not isinstance(network, ProbAtlasSegmentation) or getattr(config, "prob_atlas", ""):
        return ()
    return (0, *(int(label) for label in labels)) if len(labels) + 1 == network.moving_features else ()


def _described(known: dict[str, Any]) -> tuple[Attribute, ...]:
    """What the attributes of a training are; earlier versions did not keep it, and trained on them as they were."""
    unnamed = [{"name": f"attribute{number}"} for number in range(1, known["attributes"] + 1)]
    return tuple(map(Attribute.from_dict, known.get("described", unnamed)))


def export_images(checkpoint: str | Path, folder: str | Path) -> list[Path]:
    """Write the images that a network has learned, such as a template, as NIfTI files in the training space.

    Args:
        checkpoint: of a training.
        folder: that exists.

    Returns:
        The files; none for most recipes, and none for images of several channels.

    Raises:
        OutputError: a file cannot be written.
        WeightsError: the checkpoint is damaged or foreign.
    """
    content = load_checkpoint(checkpoint)
    config = make_config(content["recipe"], content["config"])
    geometry = space_geometry(config, tuple(content["facts"]["shape"]))
    written = []
    for name, image in _task(Path(checkpoint), content, config).images().items():
        if len(image) == 1:
            written.append(Path(folder) / f"{name}.nii.gz")
            write_image(Image(as_array(image[0]), geometry, name), written[-1])
    return written


def _task(path: Path, content: dict[str, Any], config: TrainingConfig) -> Task:
    """The task with the trained weights; these include the images that it was built from, so any images will do."""
    known = content["facts"]
    shape = tuple(known["shape"])
    labels = tuple(known["labels"])
    blank, no_labels = torch.zeros(known["channels"], *shape), torch.zeros(1, *shape, dtype=torch.int16)
    info = DatasetInfo(
        shape,
        known["channels"],
        labels,
        attributes=known["attributes"],
        described=_described(known),
        mean=blank,
        label_mean=torch.full((1 + len(labels), *shape), 1 / (1 + len(labels))),
        atlas=blank,
        atlas_labels=no_labels,
        intensities=known.get("intensities"),
    )
    weights = trained_weights(content)
    task = make_task(*without_start_files(config, info, len(weights["atlas"]) if "atlas" in weights else 1))
    fill(task.network, weights, path)
    if content["best"]["variant"]:
        task.choose(content["best"]["variant"])
    return task


def _entry(path: Path, config: TrainingConfig, facts: ModelFacts) -> ModelEntry:
    name = facts.id or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "model"
    return ModelEntry(
        id=name,
        title=facts.title or name,
        description=facts.description or f"Own training: {RECIPES[config.recipe].title.lower()}.",
        architecture="VxmDense",
        file=path.name,
        format="safetensors",
        licence=facts.licence,
        citation=facts.citation,
        anatomy=facts.anatomy or "any",
        modality=facts.modality or "any",
        requires_affine=facts.requires_affine or config.affine_first,
        requires_centring=not (facts.requires_affine or config.affine_first),
        requires_skull_strip=facts.requires_skull_strip,
    )


def _measured(config: TrainingConfig, checkpoint: Path, step: int, command: str) -> tuple[dict[str, Any], ...]:
    """What the training measured on its validation pairs when it wrote the checkpoint."""
    row = next((row for row in read_curves(checkpoint.parent.parent / FILE) if row.get("step") == step), {})
    data = "validation pairs of its training"
    command = command or f"VoxelMorphTrain --recipe {config.recipe}"
    return tuple(
        {"data": data, "metric": metric, "value": round(row[column], 5), "command": command}
        for column, metric in MEASURES.items()
        if column in row
    )
