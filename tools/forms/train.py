"""The form of the train command."""

from __future__ import annotations

from VoxelMorphLib.cli.train import form_defaults
from VoxelMorphLib.core.options import options_of
from VoxelMorphLib.training.options import TrainingConfig
from VoxelMorphLib.training.recipes import DEFAULT_RECIPE, RECIPES, all_options

from .parts import MORE, Group, flag, form, option_parameter, parameter

_TRAIN = (
    "Trains a registration network on your own images, with or without label maps. The trained model registers in the "
    "VoxelMorph module and with the command VoxelMorphRegister. A training takes minutes to days and keeps its "
    "checkpoints in the output folder; Resume goes on with it."
)

_RECIPE = [
    parameter(
        "string-enumeration",
        "recipe",
        "Recipe",
        "What is trained; List the recipes says what each one does. Options that you leave as they are get the "
        "defaults of the recipe, which may differ from those shown here.",
        DEFAULT_RECIPE,
        tuple(RECIPES),
    ),
    parameter(
        "file",
        "config",
        "Configuration",
        "Optional JSON file with all options, as Print the configuration writes it. Options that you change here come "
        "first.",
        channel="input",
        attributes=' fileExtensions=".json"',
    ),
    flag("resume", "Resume", "Go on with the training in the output folder."),
    parameter(
        "string-enumeration",
        "formDefaults",
        "Defaults of this form",
        "Recipe whose defaults this form shows; options that have them count as not chosen.",
        DEFAULT_RECIPE,
        tuple(RECIPES),
        attributes=' hidden="true"',
    ),
]

_MODEL = [
    parameter(
        "file",
        "model",
        "Model",
        "Optional file for the trained model, which the command VoxelMorphRegister and the module take.",
        channel="output",
        attributes=' fileExtensions=".safetensors"',
    ),
    flag("addToModels", "Add to the model list", "Offer the trained model in the list of the module."),
]

_ABOUT_MODEL = [
    flag("replaceModel", "Replace the model", "An own model of the same id gives way to the new one."),
    parameter("string", "modelId", "Id of the model", "Empty takes the name of the model's file."),
    parameter("string", "modelTitle", "Title of the model", "What a person chooses from the model list."),
    parameter(
        "string",
        "modelDescription",
        "Description of the model",
        "One line on what the model is good for and what it needs.",
    ),
    parameter("string", "modelAnatomy", "Anatomy", "What the images show, for example hippocampus."),
    parameter("string", "modelModality", "Modality", "Of the images, for example MR T1."),
    parameter("string", "modelLicence", "Licence of the model", "Of the trained weights."),
]

_INFORMATION = [
    flag("dryRun", "Only plan", "Print the plan, the memory that it needs and the time of one step, and stop."),
    flag("listRecipes", "List the recipes", "Print what each recipe trains, and stop."),
    flag("printConfig", "Print the configuration", "Print all options as JSON, and stop."),
    parameter(
        "file",
        "export",
        "Checkpoint to export",
        "Checkpoint of an earlier training, to make a model of it instead of training.",
        channel="input",
        attributes=' fileExtensions=".pt"',
    ),
]

_TRAIN_GROUPS = (
    Group("Recipe", "What is trained.", before=_RECIPE),
    Group(
        "Data",
        "Lists are a text file (one path a line), a CSV file, a folder, a pattern such as scans/*.nii.gz or a BIDS "
        "folder.",
    ),
    Group("Losses", "What the network is trained for."),
    Group("Optimisation", "How long and how fast."),
    Group("Output", "What is written while the training runs.", after=_MODEL),
    Group(f"Data{MORE}", "Parts of lists, and which labels.", advanced=True),
    Group(f"Losses{MORE}", "Their weights and forms.", advanced=True),
    Group(f"Optimisation{MORE}", "How steps are made and when they end.", advanced=True),
    Group(f"Output{MORE}", "What the list of models says of the trained one.", before=_ABOUT_MODEL, advanced=True),
    Group("Training space", "Where and how the network sees the images.", advanced=True),
    Group("Network", "The U-net and the deformation that it predicts.", advanced=True),
    Group("Computation", "Device, precision and loading of images.", advanced=True),
    Group(
        "Options of single recipes",
        "The name of the recipe stands before what the option does; others do not look at it.",
        advanced=True,
        takes_the_rest=True,
    ),
    Group("Information", "Instead of training.", before=_INFORMATION, advanced=True),
)


def train_form() -> str:
    """The description of the train command, with the options of all recipes."""
    options, defaults = {**all_options(), **options_of(TrainingConfig)}, form_defaults(DEFAULT_RECIPE)
    parameters = {}
    for name, option in options.items():
        owners = [recipe.name for recipe in RECIPES.values() if name in options_of(recipe.config)]
        only = "" if len(owners) == len(RECIPES) else f"{', '.join(owners)}: "
        parameters[name] = option_parameter(option, options, defaults[name], only)
    return form("VoxelMorph: train a model", _TRAIN, _TRAIN_GROUPS, options, parameters)
