"""Parameters of the model and its memory, which several forms share."""

from __future__ import annotations

from VoxelMorphLib.weights.catalogue import CATALOGUE_NAME, DEFAULT_MODEL, load_catalogue
from VoxelMorphLib.weights.entry import tasks_of
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER

from .parts import flag, parameter

ALLOW_FALLBACK = flag(
    "allowFallback",
    "Fall back when memory is short",
    "Where the memory does not suffice, register at half the resolution, then on the processor; the result says so.",
)

MODELS = [
    parameter(
        "string-enumeration",
        "model",
        "Model",
        "optimise suits any two volumes of the same anatomy and linear bends nothing; both need no network "
        'connection. The others are networks for one kind of image; "List the models" says for which.',
        DEFAULT_MODEL,
        [entry.id for entry in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME).values() if tasks_of(entry)],
    ),
    parameter(
        "file",
        "modelFile",
        "Own weights file",
        "Optional weights file of your own. It takes the place of the model.",
        channel="input",
        attributes=' fileExtensions=".safetensors,.pt,.h5"',
    ),
    parameter(
        "directory",
        "weightsDir",
        "Weights folder",
        "Folder with weights files that you already have. Files are recognised by their content, whatever "
        "their names. Others are downloaded from their authors.",
        channel="input",
    ),
]
