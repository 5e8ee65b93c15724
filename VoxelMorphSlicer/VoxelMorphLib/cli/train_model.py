"""The model that a training leaves behind: its options, its file, and its place in the model list."""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from ..core.errors import ConfigError
from ..core.io.files import check_writable
from .common import Parser


def add_model_options(parser: Parser) -> None:
    """Add the options that say what becomes of a checkpoint."""
    add = parser.add_argument
    add("--model", type=Path, help="output: the trained model, .safetensors")
    add("--addToModels", action="store_true", help="add the model to the model list of this computer")
    add("--replaceModel", action="store_true", help="with --addToModels: replace an own model of that id")
    add("--modelId", default="", help="id in the model list [name of the model's file, or of the output folder]")
    add("--modelTitle", default="", help="what a person chooses from the model list [the id]")
    add("--modelDescription", default="", help="one line on what the model is good for and what it needs")
    add("--modelAnatomy", default="", help="what the images show, e.g. hippocampus")
    add("--modelModality", default="", help="of the images, e.g. MR T1")
    add("--modelLicence", default="", help="of the weights")


def wants_model(arguments: argparse.Namespace) -> bool:
    """Whether a model shall be made of the best checkpoint."""
    return bool(arguments.model or arguments.addToModels)


def check_model(arguments: argparse.Namespace, folder: Path) -> None:
    """Refuse before a long training what would fail after it.

    Args:
        arguments: of the command.
        folder: of the training.

    Raises:
        ConfigError: the file does not end in .safetensors, or the id cannot be used or is taken.
        OutputError: the file cannot be written.
    """
    from ..weights.own_models import check_id

    if arguments.model:
        if arguments.model.suffix != ".safetensors":
            raise ConfigError(
                f"{arguments.model} does not end in .safetensors. Models are written in that format only."
            )
        check_writable(arguments.model)
    if arguments.addToModels:
        check_id(_id(arguments, folder), arguments.replaceModel)


def make_model(arguments: argparse.Namespace, checkpoint: Path, folder: Path, command: str) -> None:
    """Write the model of a checkpoint where the options say.

    Args:
        arguments: of the command.
        checkpoint: of the training.
        folder: of the training.
        command: that trained it.

    Raises:
        VoxelMorphError: as `export` and `add_to_catalogue`.
    """
    from ..training.export import ModelFacts, export
    from ..weights.own_models import add_to_catalogue

    facts = ModelFacts(
        id=_id(arguments, folder),
        title=arguments.modelTitle,
        description=arguments.modelDescription,
        anatomy=arguments.modelAnatomy,
        modality=arguments.modelModality,
        licence=arguments.modelLicence or None,
        command=command,
    )
    with tempfile.TemporaryDirectory() as temporary:
        path = arguments.model or Path(temporary) / f"{facts.id}.safetensors"
        entry = export(checkpoint, path, facts)
        if arguments.model:
            print(f"Model: {path}; use it with --model {path}", flush=True)
        if arguments.addToModels:
            add_to_catalogue(entry, path, arguments.replaceModel)
            print(f"Added to the model list; use it with --model {entry.id}", flush=True)


def _id(arguments: argparse.Namespace, folder: Path) -> str:
    name = arguments.modelId or (arguments.model.stem if arguments.model else folder.name)
    return arguments.modelId or re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "model"
