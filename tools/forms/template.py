"""The form of the template command."""

from __future__ import annotations

from VoxelMorphLib.weights.architectures import TEMPLATES
from VoxelMorphLib.weights.catalogue import CATALOGUE_NAME, load_catalogue
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER

from .models import MODELS
from .parts import Group, form, node, parameter

_TEMPLATE_MODELS = [
    entry.id for entry in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME).values() if entry.architecture in TEMPLATES
]

_TEMPLATE = (
    "Writes the template that a model keeps, or makes for a subject of some age and sex for example, as a volume. The "
    "section Template explorer of the module VoxelMorph shows it while a slider moves."
)

_TEMPLATE_GROUPS = (
    Group(
        "Template",
        "Whose template, and where it goes.",
        before=[
            parameter(
                "string-enumeration",
                "model",
                "Model",
                "A model of the list that keeps a template. Models trained here are given as a file.",
                _TEMPLATE_MODELS[0],
                _TEMPLATE_MODELS,
            ),
            parameter(
                "file",
                "modelFile",
                "Own weights file",
                "Weights file of the recipe template or conditional-template, or an atlas as an array of NumPy. It "
                "takes the place of the model.",
                channel="input",
                attributes=' fileExtensions=".safetensors,.pt,.h5,.npy,.npz"',
            ),
            parameter(
                "string",
                "attributes",
                "Attributes",
                "Of the subject, such as age=71,sex=1. What is left out is the mean of the training.",
            ),
            node("image", "output", "Template", "Volume that receives the template.", "output"),
        ],
    ),
    Group(
        "Sweep",
        "Many templates as the frames of one volume.",
        before=[
            parameter(
                "string",
                "series",
                "Sweep through",
                "Name of an attribute; its trained range in 11 frames. age=20:90:15 is 15 frames from 20 to 90.",
            ),
        ],
        advanced=True,
    ),
    Group(
        "Original files",
        "Needed for files of the original VoxelMorph.",
        before=[
            node(
                "image",
                "base",
                "Base volume",
                "Volume that the training started from, of conditional templates whose file does not hold it.",
                "input",
            ),
            MODELS[2],
        ],
        advanced=True,
    ),
)


def template_form() -> str:
    """The description of the template command."""
    return form("VoxelMorph: write a template", _TEMPLATE, _TEMPLATE_GROUPS, {}, {})
