"""The .xml of the train command, written from the recipes' dataclasses; run this file after an option has changed."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "VoxelMorphSlicer")]

from VoxelMorphLib import __version__  # noqa: E402, needs the path
from VoxelMorphLib.cli.train_config import DEFAULT_RECIPE, form_defaults, recipe_configs  # noqa: E402
from VoxelMorphLib.cli.train_options import Option, options_of  # noqa: E402
from VoxelMorphLib.training import config as shared  # noqa: E402
from VoxelMorphLib.training.recipes import probabilistic  # noqa: E402

FORM = REPOSITORY / "VoxelMorphSlicer" / "CLI" / "VoxelMorphTrain.xml"

#: Title, explanation and fields of each group; the fields of single recipes come after them.
GROUPS = {
    "Data": (
        "Lists are a text file (one path a line), a CSV file, a folder, a pattern such as scans/*.nii.gz or a BIDS "
        "folder.",
        "image_list image_prefix image_suffix pair_list label_list label_prefix label_suffix labels merge_labels atlas "
        "atlas_labels attributes validation_list validation_label_list validation_pairs",
    ),
    "Training space": (
        "Where and how the network sees the images.",
        "shape voxel_size orientation centring intensity flips augment_affine augment_warp augment_intensity",
    ),
    "Network": (
        "The U-net and the deformation that it predicts.",
        "encoder decoder svf_resolution int_resolution int_steps bidir init_weights",
    ),
    "Losses": (
        "What the network is trained for.",
        "image_loss image_sigma ncc_window ncc_form image_weight smoothness penalty penalty_multiplier",
    ),
    "Optimisation": (
        "How long and how fast.",
        "epochs steps_per_epoch batch_size accumulate lr schedule clip ema patience",
    ),
    "Output": ("What is written while the training runs.", "output_dir validate_every save_every pictures"),
    "Computation": (
        "Device, precision and loading of images.",
        "device devices nodes precision workers cache seed strict",
    ),
}
ADVANCED = ("Network", "Computation")
LABELS = {
    "lr": "Learning rate",
    "ema": "Running mean of the weights",
    "svf_resolution": "Voxel size of the velocity",
    "int_resolution": "Voxel size of the integration",
    "int_steps": "Integration steps",
    "bidir": "Both directions",
    "clip": "Largest gradient",
    "ncc_window": "Window of the local correlation",
    "ncc_form": "Form of the local correlation",
    "flips": "Mirror at random",
    "output_dir": "Output folder",
    "smoothness": "Smoothness (lambda)",
    "strict": "Stop at unreadable files",
    "nodes": "Machines",
    "workers": "Loading processes",
    "cache": "Keep prepared images",
}
CHOICES = {**shared._CHOICES, "kl_variant": probabilistic.KL_VARIANTS}
FILES = {"pair_list", "atlas", "atlas_labels", "attributes", "validation_list", "validation_label_list", "init_weights"}
FILES |= {"prob_atlas", "init_stat"}


def written_form() -> str:
    """The whole description."""
    options = {field: option for config in recipe_configs().values() for field, option in options_of(config).items()}
    groups = [_group("Recipe", "What is trained.", _RECIPE)]
    named: set[str] = set()
    for title, (explanation, fields) in GROUPS.items():
        named.update(fields.split())
        groups.append(_group(title, explanation, [_option(options[f]) for f in fields.split()] + _MORE.get(title, [])))
    single = [_option(option) for field, option in options.items() if field not in named]
    explanation = "The name of the recipe stands before what the option does; others do not look at it."
    groups.append(_group("Options of single recipes", explanation, single))
    groups.append(_group("Information", "Instead of training.", _INFORMATION))
    return _HEAD + "".join(groups) + "</executable>\n"


def _group(title: str, explanation: str, parameters: list[str]) -> str:
    advanced = ' advanced="true"' if title in ADVANCED else ""
    head = f"    <label>{title}</label>\n    <description><![CDATA[{explanation}]]></description>\n"
    return f"\n  <parameters{advanced}>\n{head}{''.join(parameters)}  </parameters>\n"


def _option(option: Option) -> str:
    owners = [name for name, config in recipe_configs().items() if option.field in options_of(config)]
    only = "" if len(owners) == len(recipe_configs()) else f"{', '.join(owners)}: "
    default = form_defaults(DEFAULT_RECIPE)[option.field]
    label = LABELS.get(option.field, option.field.replace("_", " ").capitalize())
    low, high = shared._RANGES.get(option.field, (None, None))
    kinds = {str: "string", int: "integer", float: "double", bool: "boolean"}
    tag = kinds[option.kind] + "-vector" * option.is_list
    # Slicer passes a flag or nothing, so what is true by default must be a choice to be denied.
    choices = ("true", "false") if option.kind is bool and default else CHOICES.get(option.field, ())
    tag = "string-enumeration" if choices else "file" if option.field in FILES else tag
    text = ",".join(map(str, default)) if option.is_list else str(default).lower() if option.kind is bool else default
    return _parameter(
        tag if option.field != "output_dir" else "directory",
        option.name,
        label,
        _sentence(only, option.help),
        text,
        choices,
        None if low is None or option.is_list else (low, high),
        channel={"output_dir": "output", **dict.fromkeys(FILES, "input")}.get(option.field),
    )


def _sentence(start: str, text: str) -> str:
    text = text if text.endswith(".") else f"{text}."
    return start + text[0].upper() + text[1:]


def _parameter(
    tag: str,
    name: str,
    label: str,
    description: str,
    default: object = "",
    choices: tuple[str, ...] = (),
    limits: tuple[float, float] | None = None,
    channel: str | None = None,
    attributes: str = "",
) -> str:
    lines = [f"<name>{name}</name>", f"<longflag>--{name}</longflag>", f"<label>{escape(label)}</label>"]
    lines += [f"<description><![CDATA[{description}]]></description>"]
    lines += [f"<default>{escape(str(default))}</default>"] if default != "" or channel is None else []
    lines += [f"<channel>{channel}</channel>"] if channel else []
    lines += [f"<element>{choice}</element>" for choice in choices]
    if limits:
        low, high = (f"{value:.10g}" for value in limits)
        lines += ["<constraints>", f"  <minimum>{low}</minimum>", f"  <maximum>{high}</maximum>", "</constraints>"]
    body = "".join(f"      {line}\n" for line in lines)
    return f"    <{tag}{attributes}>\n{body}    </{tag}>\n"


def _flag(name: str, label: str, description: str) -> str:
    return _parameter("boolean", name, label, description, "false")


_RECIPE = [
    _parameter(
        "string-enumeration",
        "recipe",
        "Recipe",
        "What is trained; List the recipes says what each one does. Options that you leave as they are get the "
        "defaults of the recipe, which may differ from those shown here.",
        DEFAULT_RECIPE,
        tuple(recipe_configs()),
    ),
    _parameter(
        "file",
        "config",
        "Configuration",
        "Optional JSON file with all options, as Print the configuration writes it. Options that you change here come "
        "first.",
        channel="input",
        attributes=' fileExtensions=".json"',
    ),
    _flag("resume", "Resume", "Go on with the training in the output folder."),
    _parameter(
        "string-enumeration",
        "formDefaults",
        "Defaults of this form",
        "Recipe whose defaults this form shows; options that have them count as not chosen.",
        DEFAULT_RECIPE,
        tuple(recipe_configs()),
        attributes=' hidden="true"',
    ),
]
_MORE = {
    "Output": [
        _parameter(
            "file",
            "model",
            "Model",
            "Optional file for the trained model, which the command VoxelMorphRegister and the module take.",
            channel="output",
            attributes=' fileExtensions=".safetensors"',
        ),
        _flag("addToModels", "Add to the model list", "Offer the trained model in the list of the module."),
        _flag("replaceModel", "Replace the model", "An own model of the same id gives way to the new one."),
        _parameter("string", "modelId", "Id of the model", "Empty takes the name of the model's file."),
        _parameter("string", "modelTitle", "Title of the model", "What a person chooses from the model list."),
        _parameter(
            "string",
            "modelDescription",
            "Description of the model",
            "One line on what the model is good for and what it needs.",
        ),
        _parameter("string", "modelAnatomy", "Anatomy", "What the images show, for example hippocampus."),
        _parameter("string", "modelModality", "Modality", "Of the images, for example MR T1."),
        _parameter("string", "modelLicence", "Licence of the model", "Of the trained weights."),
    ]
}
_INFORMATION = [
    _flag("dryRun", "Only plan", "Print the plan, the memory that it needs and the time of one step, and stop."),
    _flag("listRecipes", "List the recipes", "Print what each recipe trains, and stop."),
    _flag("printConfig", "Print the configuration", "Print all options as JSON, and stop."),
    _parameter(
        "file",
        "export",
        "Checkpoint to export",
        "Checkpoint of an earlier training, to make a model of it instead of training.",
        channel="input",
        attributes=' fileExtensions=".pt"',
    ),
]
_DESCRIPTION = (
    "Trains a registration network on your own images, with or without label maps. The trained model registers in the "
    "VoxelMorph module and with the command VoxelMorphRegister. A training takes minutes to days and keeps its "
    "checkpoints in the output folder; Resume goes on with it."
)
_THANKS = (
    "Please cite Balakrishnan et al., VoxelMorph: A Learning Framework for Deformable Medical Image Registration, IEEE "
    "Transactions on Medical Imaging 2019, doi:10.1109/TMI.2019.2897538. Research software, not for clinical use."
)
_HEAD = f"""<?xml version="1.0" encoding="utf-8"?>
<executable>
  <category>Registration.VoxelMorph</category>
  <title>VoxelMorph: train a model</title>
  <description><![CDATA[{_DESCRIPTION}]]></description>
  <version>{__version__}</version>
  <documentation-url>https://github.com/SlicerVoxelMorph/SlicerVoxelMorph</documentation-url>
  <license>Apache-2.0</license>
  <contributor>VoxelMorph for 3D Slicer contributors</contributor>
  <acknowledgements><![CDATA[{_THANKS}]]></acknowledgements>
"""


if __name__ == "__main__":
    FORM.write_text(written_form(), encoding="utf-8")
