"""The .xml files of the commands, which Slicer makes forms of; run this file after an option has changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parents[1] / "VoxelMorphSlicer" / "CLI"
sys.path[:0] = [str(FOLDER.parent)]

from VoxelMorphLib import __version__  # noqa: E402, needs the path
from VoxelMorphLib.apply.options import ApplyOptions  # noqa: E402
from VoxelMorphLib.batch.options import BatchOptions  # noqa: E402
from VoxelMorphLib.cli.evaluate import OPTIONS as EVALUATE_OPTIONS  # noqa: E402
from VoxelMorphLib.cli.train import form_defaults  # noqa: E402
from VoxelMorphLib.core.config import RegistrationOptions  # noqa: E402
from VoxelMorphLib.core.options import Option, options_of  # noqa: E402
from VoxelMorphLib.training.options import TrainingConfig  # noqa: E402
from VoxelMorphLib.training.recipes import DEFAULT_RECIPE, RECIPES, all_options  # noqa: E402
from VoxelMorphLib.weights.architectures import TEMPLATES  # noqa: E402
from VoxelMorphLib.weights.catalogue import CATALOGUE_NAME, DEFAULT_MODEL, load_catalogue  # noqa: E402
from VoxelMorphLib.weights.entry import tasks_of  # noqa: E402
from VoxelMorphLib.weights.folders import BUNDLED_FOLDER  # noqa: E402


def written_forms() -> dict[Path, str]:
    """The text of every form by its file."""
    forms = {
        "Apply": apply_form(),
        "Batch": batch_form(),
        "Evaluate": evaluate_form(),
        "Register": register_form(),
        "Template": template_form(),
        "Train": train_form(),
    }
    return {FOLDER / f"VoxelMorph{name}.xml": text for name, text in forms.items()}


def apply_form() -> str:
    """The description of the apply command."""
    options = {name: option for name, option in options_of(ApplyOptions).items() if option.in_form}
    parameters = {name: _option(option, options, option.default) for name, option in options.items()}
    return _form("VoxelMorph: apply transforms", _APPLY, _APPLY_GROUPS, options, parameters)


def template_form() -> str:
    """The description of the template command."""
    return _form("VoxelMorph: write a template", _TEMPLATE, _TEMPLATE_GROUPS, {}, {})


def register_form(config: type = RegistrationOptions) -> str:
    """The description of the register command.

    Args:
        config: dataclass whose described fields are the options.
    """
    options = {name: option for name, option in options_of(config).items() if option.in_form}
    parameters = {name: _option(option, options, option.default) for name, option in options.items()}
    return _form("VoxelMorph: register two volumes", _REGISTER, _REGISTER_GROUPS, options, parameters)


def evaluate_form() -> str:
    """The description of the evaluate command."""
    parameters = {name: _option(option, EVALUATE_OPTIONS, option.default) for name, option in EVALUATE_OPTIONS.items()}
    title = "VoxelMorph: measure registrations"
    return _form(title, _EVALUATE, _EVALUATE_GROUPS, EVALUATE_OPTIONS, parameters)


def train_form() -> str:
    """The description of the train command, with the options of all recipes."""
    options, defaults = {**all_options(), **options_of(TrainingConfig)}, form_defaults(DEFAULT_RECIPE)
    parameters = {}
    for name, option in options.items():
        owners = [recipe.name for recipe in RECIPES.values() if name in options_of(recipe.config)]
        only = "" if len(owners) == len(RECIPES) else f"{', '.join(owners)}: "
        parameters[name] = _option(option, options, defaults[name], only)
    return _form("VoxelMorph: train a model", _TRAIN, _TRAIN_GROUPS, options, parameters)


def batch_form() -> str:
    """The description of the batch command, with the options of a registration."""
    options = {**options_of(BatchOptions), **options_of(RegistrationOptions)}
    options = {name: option for name, option in options.items() if option.in_form}
    parameters = {name: _option(option, options, option.default) for name, option in options.items()}
    return _form("VoxelMorph: register many pairs", _BATCH, _BATCH_GROUPS, options, parameters)


#: Behind the title of a group, that of the closed one with its advanced options.
_MORE = ": more"


@dataclass(frozen=True)
class _Group:
    """Parameters under one heading.

    Args:
        title: of the group; options that name it stand in it.
        explanation: a sentence or two.
        before, after: parameters around the options.
        advanced: whether it is closed at first.
        takes_the_rest: whether options stand in it that name no group of the form.
    """

    title: str
    explanation: str
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    advanced: bool = False
    takes_the_rest: bool = False

    def text(self, options: Mapping[str, Option], parameters: Mapping[str, str], titles: Collection[str]) -> str:
        """The group with the options that belong to it, among groups of these titles."""
        own = [parameters[name] for name, option in options.items() if self._holds(option, titles)]
        advanced = ' advanced="true"' if self.advanced else ""
        head = f"    <label>{self.title}</label>\n    <description><![CDATA[{self.explanation}]]></description>\n"
        return f"\n  <parameters{advanced}>\n{head}{''.join([*self.before, *own, *self.after])}  </parameters>\n"

    def _holds(self, option: Option, titles: Collection[str]) -> bool:
        heading = f"{option.group}{_MORE}" if option.advanced else option.group
        heading = heading if heading in titles else option.group
        return heading == self.title or (self.takes_the_rest and heading not in titles)


def _form(
    title: str,
    description: str,
    groups: Sequence[_Group],
    options: Mapping[str, Option],
    parameters: Mapping[str, str],
) -> str:
    head = f"""<?xml version="1.0" encoding="utf-8"?>
<executable>
  <category>Registration.VoxelMorph</category>
  <title>{title}</title>
  <description><![CDATA[{description}]]></description>
  <version>{__version__}</version>
  <documentation-url>https://github.com/SlicerVoxelMorph/SlicerVoxelMorph</documentation-url>
  <license>Apache-2.0</license>
  <contributor>VoxelMorph for 3D Slicer contributors</contributor>
  <acknowledgements><![CDATA[{_THANKS}]]></acknowledgements>
"""
    titles = {group.title for group in groups}
    return head + "".join(group.text(options, parameters, titles) for group in groups) + "</executable>\n"


def _option(option: Option, others: Mapping[str, Option], default: object, only: str = "") -> str:
    """One option; `only` names the recipes that have it."""
    kinds = {str: "string", int: "integer", float: "double", bool: "boolean"}
    tag = kinds[option.kind] + "-vector" * option.is_list
    # Slicer passes a flag or nothing, so what is true by default must be a choice to be denied.
    choices = ("true", "false") if option.kind is bool and default else tuple(option.choices)
    tag = "string-enumeration" if choices else {"file": "file", "folder": "directory"}.get(option.path, tag)
    text = str(default).lower() if option.kind is bool else option.text(default)
    titles = {name: other.title for name, other in others.items()}
    return _parameter(
        tag,
        option.name,
        f"{option.title} ({option.unit})" if option.unit else option.title,
        only + re.sub(r"`(\w+)`", lambda found: f'"{titles[found[1]]}"', option.sentence),
        text,
        choices,
        None if option.is_list or option.low is None or option.high is None else (option.low, option.high),
        step=option.step,
        channel={"file": "input", "folder": "output"}.get(option.path),
    )


def _parameter(
    tag: str,
    name: str,
    label: str,
    description: str,
    default: str = "",
    choices: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    step: float | None = None,
    channel: str | None = None,
    attributes: str = "",
    references: Sequence[str] = (),
) -> str:
    lines = [f"<name>{name}</name>", f"<longflag>--{name}</longflag>", f"<label>{escape(label)}</label>"]
    lines += [f"<description><![CDATA[{description}]]></description>"]
    lines += [f"<default>{escape(default)}</default>"] if default != "" or channel is None else []
    lines += [f"<channel>{channel}</channel>"] if channel else []
    lines += [f"<element>{choice}</element>" for choice in choices]
    if limits:
        named = {"minimum": limits[0], "maximum": limits[1], **({"step": step} if step else {})}
        lines += [
            "<constraints>",
            *(f"  <{key}>{value:.10g}</{key}>" for key, value in named.items()),
            "</constraints>",
        ]
    lines += references
    body = "".join(f"      {line}\n" for line in lines)
    return f"    <{tag}{attributes}>\n{body}    </{tag}>\n"


def _flag(name: str, label: str, description: str) -> str:
    return _parameter("boolean", name, label, description, "false")


_THANKS = (
    "Please cite Balakrishnan et al., VoxelMorph: A Learning Framework for Deformable Medical Image Registration, IEEE "
    "Transactions on Medical Imaging 2019, doi:10.1109/TMI.2019.2897538. Research software, not for clinical use."
)
_ALLOW_FALLBACK = _flag(
    "allowFallback",
    "Fall back when memory is short",
    "Where the memory does not suffice, register at half the resolution, then on the processor; the result says so.",
)
_REGISTER = (
    "Warps a moving volume onto a fixed volume with a VoxelMorph neural network, or by optimising the pair itself "
    "where no network fits. Gives the moved volume and transforms in both directions that apply to segmentations, "
    "models and markups as well. Transforms that the volumes are placed under are ignored: harden them first."
)
_MODELS = [
    _parameter(
        "string-enumeration",
        "model",
        "Model",
        "optimise suits any two volumes of the same anatomy and linear bends nothing; both need no network "
        'connection. The others are networks for one kind of image; "List the models" says for which.',
        DEFAULT_MODEL,
        [entry.id for entry in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME).values() if tasks_of(entry)],
    ),
    _parameter(
        "file",
        "modelFile",
        "Own weights file",
        "Optional weights file of your own. It takes the place of the model.",
        channel="input",
        attributes=' fileExtensions=".safetensors,.pt,.h5"',
    ),
    _parameter(
        "directory",
        "weightsDir",
        "Weights folder",
        "Folder with weights files that you already have. Files are recognised by their content, whatever "
        "their names. Others are downloaded from their authors.",
        channel="input",
    ),
]
_TEMPLATE_MODELS = [
    entry.id for entry in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME).values() if entry.architecture in TEMPLATES
]
_REGISTER_GROUPS = (
    _Group(
        "Inputs",
        "The two volumes, and what travels with the moving one.",
        before=[
            _parameter(
                "image",
                "fixed",
                "Fixed volume",
                "Volume that stays where it is. The moved volume gets its position, voxel size and extent.",
                channel="input",
                attributes=' type="scalar"',
            ),
            _parameter(
                "image",
                "moving",
                "Moving volume",
                "Volume that is warped onto the fixed one. Size, voxel size and orientation may differ.",
                channel="input",
                attributes=' type="scalar"',
            ),
            _parameter(
                "image",
                "fixedMask",
                "Fixed mask",
                "Optional label map or segmentation drawn on the fixed volume. Only what lies inside any of its "
                "labels is looked at, for example the brain without the skull. Its voxel grid may differ from that "
                "of the volume.",
                channel="input",
                attributes=' type="label"',
            ),
            _parameter(
                "image",
                "movingMask",
                "Moving mask",
                "Optional label map or segmentation drawn on the moving volume. Only what lies inside any of its "
                "labels is looked at; the whole moving volume is still warped. Its voxel grid may differ from that "
                "of the volume.",
                channel="input",
                attributes=' type="label"',
            ),
            _parameter(
                "image",
                "movingLabels",
                "Moving label map",
                "Optional label map or segmentation drawn on the moving volume. It is warped with it, and influences "
                "the registration only where there is a fixed label map.",
                channel="input",
                attributes=' type="label"',
            ),
            _parameter(
                "image",
                "fixedLabels",
                "Fixed label map",
                "Optional label map or segmentation drawn on the fixed volume. An optimisation or refinement pulls the "
                "same label numbers of the moving label map onto it.",
                channel="input",
                attributes=' type="label"',
            ),
            _parameter(
                "pointfile",
                "fixedPoints",
                "Fixed landmarks",
                "Optional points marked on the fixed volume. They pull an optimisation or refinement, and are the "
                "start where that says so. Pairs are found by label, else by order.",
                channel="input",
                attributes=' fileExtensions=".fcsv" multiple="false"',
            ),
            _parameter(
                "pointfile",
                "movingPoints",
                "Moving landmarks",
                "The same points marked on the moving volume.",
                channel="input",
                attributes=' fileExtensions=".fcsv" multiple="false"',
            ),
            _parameter(
                "transform",
                "initialTransform",
                "Initial transform",
                "Optional rough alignment: a transform that places the moving volume near the fixed one when it is "
                "applied in Slicer (stored from the fixed to the moving volume, in millimetres). It becomes part of "
                "the output transforms.",
                channel="input",
                attributes=' fileExtensions=".h5"',
            ),
        ],
    ),
    _Group("Model", "The neural network, or the optimisation that needs none.", before=_MODELS),
    _Group("Stages", "What happens before and inside the deformable registration."),
    _Group(
        "Outputs",
        "Choose at least one.",
        before=[
            _parameter(
                "image",
                "moved",
                "Moved volume",
                "The moving volume, warped and resampled once onto the voxel grid of the fixed volume.",
                channel="output",
                attributes=' type="scalar" reference="moving"',
            )
        ],
        after=[
            _parameter(
                "image",
                "movedLabels",
                "Moved label map",
                "The moving label map on the voxel grid of the fixed volume, with its original values. Without one, "
                "what a model of the recipe atlas-segmentation finds in the fixed volume.",
                channel="output",
                attributes=' type="label" reference="movingLabels"',
            ),
            _parameter(
                "transform",
                "forward",
                "Transform, moving to fixed",
                "Places the moving volume, and segmentations, models and markups drawn on it, onto the fixed volume "
                "when applied in Slicer; the moving volume is put under it. As a file it leads from points of the "
                "fixed volume to points of the moving volume, in millimetres, which is what resampling programs "
                "expect.",
                channel="output",
                attributes=' fileExtensions=".h5" reference="moving"',
                references=[
                    '<reference role="spatialRegistrationMoving" parameter="moving"/>',
                    '<reference role="spatialRegistrationFixed" parameter="fixed"/>',
                ],
            ),
            _parameter(
                "transform",
                "inverse",
                "Transform, fixed to moving",
                "The opposite direction: places the fixed volume, and what was drawn on it, onto the moving volume "
                "when applied in Slicer. As a file it leads from points of the moving volume to points of the fixed "
                "volume, in millimetres.",
                channel="output",
                attributes=' fileExtensions=".h5"',
                references=[
                    '<reference role="spatialRegistrationMoving" parameter="fixed"/>',
                    '<reference role="spatialRegistrationFixed" parameter="moving"/>',
                ],
            ),
            _parameter(
                "file",
                "report",
                "Report",
                "Web page with pictures before and after, measures of similarity and of the deformation, and all "
                "settings.",
                channel="output",
                attributes=' fileExtensions=".html"',
            ),
        ],
    ),
    _Group(
        "Advanced",
        "Computation and information.",
        after=[
            _ALLOW_FALLBACK,
            _flag(
                "listModels", "List the models", "Print the names and descriptions of all models into the log and stop."
            ),
            _flag("listDevices", "List the devices", "Print the devices of this computer into the log and stop."),
        ],
        advanced=True,
        takes_the_rest=True,
    ),
)
_APPLY = (
    "Carries volumes, label maps, points and models along one or several transforms, draws what they do, or makes one "
    "transform of them. Every voxel is interpolated once, whatever the number of transforms."
)


def _link(name: str, label: str, description: str) -> str:
    attributes = ' fileExtensions=".h5"'
    return _parameter("transform", name, label, description, channel="input", attributes=attributes)


def _node(tag: str, name: str, label: str, description: str, channel: str, attributes: str = "") -> str:
    return _parameter(tag, name, label, description, channel=channel, attributes=attributes)


_TEMPLATE = (
    "Writes the template that a model keeps, or makes for a subject of some age and sex for example, as a volume. The "
    "section Template explorer of the module VoxelMorph shows it while a slider moves."
)
_TEMPLATE_GROUPS = (
    _Group(
        "Template",
        "Whose template, and where it goes.",
        before=[
            _parameter(
                "string-enumeration",
                "model",
                "Model",
                "A model of the list that keeps a template. Models trained here are given as a file.",
                _TEMPLATE_MODELS[0],
                _TEMPLATE_MODELS,
            ),
            _parameter(
                "file",
                "modelFile",
                "Own weights file",
                "Weights file of the recipe template or conditional-template, or an atlas as an array of NumPy. It "
                "takes the place of the model.",
                channel="input",
                attributes=' fileExtensions=".safetensors,.pt,.h5,.npy,.npz"',
            ),
            _parameter(
                "string",
                "attributes",
                "Attributes",
                "Of the subject, such as age=71,sex=1. What is left out is the mean of the training.",
            ),
            _node("image", "output", "Template", "Volume that receives the template.", "output"),
        ],
    ),
    _Group(
        "Sweep",
        "Many templates as the frames of one volume.",
        before=[
            _parameter(
                "string",
                "series",
                "Sweep through",
                "Name of an attribute; its trained range in 11 frames. age=20:90:15 is 15 frames from 20 to 90.",
            ),
        ],
        advanced=True,
    ),
    _Group(
        "Original files",
        "Needed for files of the original VoxelMorph.",
        before=[
            _node(
                "image",
                "base",
                "Base volume",
                "Volume that the training started from, of conditional templates whose file does not hold it.",
                "input",
            ),
            _MODELS[2],
        ],
        advanced=True,
    ),
)
_APPLY_GROUPS = (
    _Group(
        "Transforms",
        "They stand in a row from the reference to what is moved. Leave empty what is not needed.",
        before=[
            _link(
                "transform",
                "Transform",
                "The first of the row. From the fixed to the moving volume, as the registration stores it; in Slicer "
                "it places the moving volume onto the fixed one.",
            ),
            _link("inverseOf", "Inverse of", "A transform whose inverse comes next, or first if the first is empty."),
            _link("transform2", "Second transform", "The next of the row."),
            _link("inverseOf2", "Second inverse of", "A transform whose inverse ends the row."),
            _node(
                "image",
                "reference",
                "Reference volume",
                "Volume whose voxel grid the results have. Without one it is the grid of the first transform, if that "
                "has one.",
                "input",
            ),
        ],
    ),
    _Group(
        "Inputs",
        "What is carried along. Points and models go the opposite way of voxels by themselves.",
        before=[
            _node("image", "input", "Moving volume", "Scalar volume in the space of the moving volume.", "input"),
            _node(
                "image",
                "movingLabels",
                "Moving label map",
                "Label map or segmentation in the space of the moving volume. It keeps its values.",
                "input",
                ' type="label"',
            ),
            _node(
                "file",
                "model",
                "Segmenting model",
                "Weights file of the recipe atlas-segmentation. The labels that it finds in the moving volume take the "
                "place of the moving label map.",
                "input",
                ' fileExtensions=".safetensors"',
            ),
            _node(
                "pointfile",
                "movingPoints",
                "Moving points",
                "Points in the space of the moving volume.",
                "input",
                ' fileExtensions=".fcsv" multiple="false"',
            ),
            _node(
                "geometry",
                "movingSurface",
                "Moving model",
                "Surface model in the space of the moving volume.",
                "input",
                ' fileExtensions=".vtk"',
            ),
        ],
    ),
    _Group(
        "Outputs",
        "One for every input.",
        before=[
            _node(
                "image",
                "output",
                "Moved volume",
                "The moving volume on the voxel grid of the reference.",
                "output",
                ' type="scalar" reference="input"',
            ),
            _node(
                "image",
                "movedLabels",
                "Moved label map",
                "The label map on the voxel grid of the reference.",
                "output",
                ' type="label" reference="movingLabels"',
            ),
            _node(
                "pointfile",
                "movedPoints",
                "Moved points",
                "The points in the space of the reference.",
                "output",
                ' fileExtensions=".fcsv" multiple="false"',
            ),
            _node(
                "geometry",
                "movedSurface",
                "Moved model",
                "The model in the space of the reference.",
                "output",
                ' fileExtensions=".vtk" reference="movingSurface"',
            ),
        ],
    ),
    _Group(
        "About the transforms",
        "Maps on the voxel grid of the reference, and all transforms as one.",
        before=[
            _node(
                "image",
                "jacobian",
                "Jacobian map",
                "How volumes change: 1 keeps them, 2 doubles them, 0 and less is a fold.",
                "output",
                ' type="scalar" reference="reference"',
            ),
            _node(
                "image",
                "magnitude",
                "Displacement magnitude",
                "How far every voxel moves, in millimetres.",
                "output",
                ' type="scalar" reference="reference"',
            ),
            _node(
                "transform",
                "outputTransform",
                "All transforms as one",
                "One transform that does what the row does.",
                "output",
                ' fileExtensions=".h5"',
            ),
        ],
        advanced=True,
    ),
)
_EVALUATE = (
    "Measures how good registrations are: overlap and distances of structures, landmark errors, similarity, folds of "
    "the transform and its round trip; of one pair, of a table of pairs, or of what a model makes of a folder of "
    "volumes. Transforms that nodes are placed under are ignored: harden them first."
)


def _input(name: str, label: str, description: str, tag: str = "image", kind: str = ' type="scalar"') -> str:
    return _parameter(tag, name, label, description, channel="input", attributes=kind)


_LABEL_TYPE, _H5, _POINTS = ' type="label"', ' fileExtensions=".h5"', ' fileExtensions=".fcsv" multiple="false"'
_EVALUATE_GROUPS = (
    _Group(
        "Volumes",
        "What is known of one pair; what is left out is not measured.",
        before=[
            _input("fixed", "Fixed volume", "Volume that the moving one was registered to."),
            _input("moving", "Moving volume", "The moving volume as it was, to measure from where it came."),
            _input("moved", "Moved volume", "The moving volume after the registration, in the space of the fixed one."),
        ],
    ),
    _Group(
        "Structures",
        "Label maps of the same structures.",
        before=[
            _input("fixedLabels", "Fixed label map", "Label map of the fixed volume.", kind=_LABEL_TYPE),
            _input("movingLabels", "Moving label map", "Label map of the moving volume as it was.", kind=_LABEL_TYPE),
            _input("movedLabels", "Moved label map", "Label map after the registration.", kind=_LABEL_TYPE),
            _parameter(
                "string",
                "labels",
                "Labels that count",
                "Numbers with commas between them, or the path of a file of them: .npz, .csv with names, or a colour "
                "table. Empty takes all.",
            ),
        ],
    ),
    _Group(
        "Transforms and landmarks",
        "Their folds and round trip, and the distance of landmarks.",
        before=[
            _input(
                "transform",
                "Transform, moving to fixed",
                "Transform that places the moving volume onto the fixed one when applied in Slicer.",
                "transform",
                _H5,
            ),
            _input("inverse", "Transform, fixed to moving", "The opposite direction.", "transform", _H5),
            _input("fixedPoints", "Fixed landmarks", "Points of the fixed volume.", "pointfile", _POINTS),
            _input("movingPoints", "Moving landmarks", "The same points of the moving one.", "pointfile", _POINTS),
        ],
    ),
    _Group(
        "Many pairs, and models",
        "Instead of one pair. What is chosen above counts for all pairs whose row does not say another.",
        before=[
            _input(
                "pairs",
                "Table of pairs",
                "CSV file with one pair a row: a column id, and columns of files with the names of the options, such "
                "as fixed, moving, fixedLabels, movingLabels, transform.",
                "file",
                ' fileExtensions=".csv"',
            ),
            _parameter(
                "string",
                "model",
                "Model to measure",
                "Id of the model list or path of a weights file. It registers the fixed and moving volumes, and the "
                "result is measured. Empty measures what is given.",
            ),
            _parameter(
                "string",
                "scans",
                "Scans",
                "Moving volumes that the model registers to the fixed one: a folder, a list or a pattern such as "
                "scans/*.npz.",
            ),
            _parameter(
                "directory",
                "weightsDir",
                "Weights folder",
                "Folder with weights files that you already have, recognised by their content.",
                channel="input",
            ),
        ],
        takes_the_rest=True,
    ),
    _Group(
        "Outputs",
        "The log has the measures as well.",
        before=[
            _parameter(
                "file",
                "csv",
                "Table",
                "CSV file with one row a measure.",
                channel="output",
                attributes=' fileExtensions=".csv"',
            ),
            _parameter(
                "file",
                "json",
                "JSON file",
                "The same for programs.",
                channel="output",
                attributes=' fileExtensions=".json"',
            ),
            _parameter(
                "file",
                "report",
                "Report",
                "Web page with pictures and measures; of many pairs an overview, the worst first.",
                channel="output",
                attributes=' fileExtensions=".html"',
            ),
        ],
    ),
)
_TRAIN = (
    "Trains a registration network on your own images, with or without label maps. The trained model registers in the "
    "VoxelMorph module and with the command VoxelMorphRegister. A training takes minutes to days and keeps its "
    "checkpoints in the output folder; Resume goes on with it."
)
_RECIPE = [
    _parameter(
        "string-enumeration",
        "recipe",
        "Recipe",
        "What is trained; List the recipes says what each one does. Options that you leave as they are get the "
        "defaults of the recipe, which may differ from those shown here.",
        DEFAULT_RECIPE,
        tuple(RECIPES),
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
        tuple(RECIPES),
        attributes=' hidden="true"',
    ),
]
_MODEL = [
    _parameter(
        "file",
        "model",
        "Model",
        "Optional file for the trained model, which the command VoxelMorphRegister and the module take.",
        channel="output",
        attributes=' fileExtensions=".safetensors"',
    ),
    _flag("addToModels", "Add to the model list", "Offer the trained model in the list of the module."),
]
_ABOUT_MODEL = [
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
_TRAIN_GROUPS = (
    _Group("Recipe", "What is trained.", before=_RECIPE),
    _Group(
        "Data",
        "Lists are a text file (one path a line), a CSV file, a folder, a pattern such as scans/*.nii.gz or a BIDS "
        "folder.",
    ),
    _Group("Losses", "What the network is trained for."),
    _Group("Optimisation", "How long and how fast."),
    _Group("Output", "What is written while the training runs.", after=_MODEL),
    _Group(f"Data{_MORE}", "Parts of lists, and which labels.", advanced=True),
    _Group(f"Losses{_MORE}", "Their weights and forms.", advanced=True),
    _Group(f"Optimisation{_MORE}", "How steps are made and when they end.", advanced=True),
    _Group(f"Output{_MORE}", "What the list of models says of the trained one.", before=_ABOUT_MODEL, advanced=True),
    _Group("Training space", "Where and how the network sees the images.", advanced=True),
    _Group("Network", "The U-net and the deformation that it predicts.", advanced=True),
    _Group("Computation", "Device, precision and loading of images.", advanced=True),
    _Group(
        "Options of single recipes",
        "The name of the recipe stands before what the option does; others do not look at it.",
        advanced=True,
        takes_the_rest=True,
    ),
    _Group("Information", "Instead of training.", before=_INFORMATION, advanced=True),
)


_BATCH = (
    "Registers many pairs of volumes: those of a table, all pairs of a folder, or a whole folder to a template. "
    "What is done and unchanged is skipped, so that the same form goes on after it was stopped. A pair that cannot be "
    "registered does not stop the others; the table of results says why."
)
_BATCH_INPUTS = [
    _parameter(
        "file",
        "pairs",
        "Table of pairs",
        "CSV file with the columns fixed and moving, and perhaps id, fixedLabels, movingLabels, fixedMask, movingMask, "
        "initialTransform, model, or any option of this form that says how to register. Files are relative to it.",
        channel="input",
        attributes=' fileExtensions=".csv,.tsv"',
    ),
    _parameter(
        "directory",
        "all",
        "Folder, all pairs",
        "Folder or BIDS folder whose images are all registered to each other. Instead of a table.",
        channel="input",
    ),
    _parameter(
        "file",
        "to",
        "Template",
        "Image that all images of the folder below are registered to. Instead of a table.",
        channel="input",
    ),
    _parameter(
        "directory",
        "folder",
        "Folder, to the template",
        "Folder or BIDS folder of the images that are registered to the template.",
        channel="input",
    ),
    _parameter(
        "directory",
        "labels",
        "Folder of label maps",
        "Optional label maps of the images of a folder, in the same order. Those of BIDS folders are found anyway.",
        channel="input",
    ),
    _parameter("file", "toLabels", "Label map of the template", "Optional; Dice is measured with it.", channel="input"),
    _parameter(
        "directory",
        "outputDir",
        "Output folder",
        "Gets a subfolder for each pair, or names as in BIDS derivatives, and results.csv and report.html.",
        channel="output",
    ),
]
_DASK = _parameter(
    "string",
    "dask",
    "Dask",
    "Optional: address of a Dask scheduler whose workers register, local:4 for four of this computer, or slurm.",
)
_BATCH_GROUPS = (
    _Group("Pairs", "A table, a folder, or a template and a folder.", before=_BATCH_INPUTS),
    _Group("Outputs", "What is written of every pair."),
    _Group("Model", "The neural network, or the optimisation that needs none.", before=_MODELS),
    _Group("Stages", "What happens before and inside the deformable registration."),
    _Group("Computation", "What works on it.", after=[_DASK, _ALLOW_FALLBACK]),
    _Group("Advanced", "Device and precision.", advanced=True, takes_the_rest=True),
)


if __name__ == "__main__":
    for path, text in written_forms().items():
        path.write_text(text, encoding="utf-8")
