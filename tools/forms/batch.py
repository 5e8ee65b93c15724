"""The form of the batch command."""

from __future__ import annotations

from VoxelMorphLib.batch.options import BatchOptions
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.options import options_of

from .models import ALLOW_FALLBACK, MODELS
from .parts import Group, form, option_parameter, parameter

_BATCH = (
    "Registers many pairs of volumes: those of a table, all pairs of a folder, or a whole folder to a template. "
    "What is done and unchanged is skipped, so that the same form goes on after it was stopped. A pair that cannot be "
    "registered does not stop the others; the table of results says why."
)

_BATCH_INPUTS = [
    parameter(
        "file",
        "pairs",
        "Table of pairs",
        "CSV file with the columns fixed and moving, and perhaps id, fixedLabels, movingLabels, fixedMask, movingMask, "
        "initialTransform, model, or any option of this form that says how to register. Files are relative to it.",
        channel="input",
        attributes=' fileExtensions=".csv,.tsv"',
    ),
    parameter(
        "directory",
        "all",
        "Folder, all pairs",
        "Folder or BIDS folder whose images are all registered to each other. Instead of a table.",
        channel="input",
    ),
    parameter(
        "file",
        "to",
        "Template",
        "Image that all images of the folder below are registered to. Instead of a table.",
        channel="input",
    ),
    parameter(
        "directory",
        "folder",
        "Folder, to the template",
        "Folder or BIDS folder of the images that are registered to the template.",
        channel="input",
    ),
    parameter(
        "directory",
        "labels",
        "Folder of label maps",
        "Optional label maps of the images of a folder, in the same order. Those of BIDS folders are found anyway.",
        channel="input",
    ),
    parameter("file", "toLabels", "Label map of the template", "Optional; Dice is measured with it.", channel="input"),
    parameter(
        "directory",
        "outputDir",
        "Output folder",
        "Gets a subfolder for each pair, or names as in BIDS derivatives, and results.csv and report.html.",
        channel="output",
    ),
]

_DASK = parameter(
    "string",
    "dask",
    "Dask",
    "Optional: address of a Dask scheduler whose workers register, local:4 for four of this computer, or slurm.",
)

_BATCH_GROUPS = (
    Group("Pairs", "A table, a folder, or a template and a folder.", before=_BATCH_INPUTS),
    Group("Outputs", "What is written of every pair."),
    Group("Model", "The neural network, or the optimisation that needs none.", before=MODELS),
    Group("Stages", "What happens before and inside the deformable registration."),
    Group("Computation", "What works on it.", after=[_DASK, ALLOW_FALLBACK]),
    Group("Advanced", "Device and precision.", advanced=True, takes_the_rest=True),
)


def batch_form() -> str:
    """The description of the batch command, with the options of a registration."""
    options = {**options_of(BatchOptions), **options_of(RegistrationOptions)}
    options = {name: option for name, option in options.items() if option.in_form}
    parameters = {name: option_parameter(option, options, option.default) for name, option in options.items()}
    return form("VoxelMorph: register many pairs", _BATCH, _BATCH_GROUPS, options, parameters)
