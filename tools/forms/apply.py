"""The form of the apply command."""

from __future__ import annotations

from VoxelMorphLib.apply.options import ApplyOptions
from VoxelMorphLib.core.options import options_of

from .parts import Group, form, node, option_parameter, parameter

_APPLY = (
    "Carries volumes, label maps, points and models along one or several transforms, draws what they do, or makes one "
    "transform of them. Every voxel is interpolated once, whatever the number of transforms."
)


def _link(name: str, label: str, description: str) -> str:
    attributes = ' fileExtensions=".h5"'
    return parameter("transform", name, label, description, channel="input", attributes=attributes)


_APPLY_GROUPS = (
    Group(
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
            node(
                "image",
                "reference",
                "Reference volume",
                "Volume whose voxel grid the results have. Without one it is the grid of the first transform, if that "
                "has one.",
                "input",
            ),
        ],
    ),
    Group(
        "Inputs",
        "What is carried along. Points and models go the opposite way of voxels by themselves.",
        before=[
            node("image", "input", "Moving volume", "Scalar volume in the space of the moving volume.", "input"),
            node(
                "image",
                "movingLabels",
                "Moving label map",
                "Label map or segmentation in the space of the moving volume. It keeps its values.",
                "input",
                ' type="label"',
            ),
            node(
                "file",
                "model",
                "Segmenting model",
                "Weights file of the recipe atlas-segmentation. The labels that it finds in the moving volume take the "
                "place of the moving label map.",
                "input",
                ' fileExtensions=".safetensors"',
            ),
            node(
                "pointfile",
                "movingPoints",
                "Moving points",
                "Points in the space of the moving volume.",
                "input",
                ' fileExtensions=".fcsv" multiple="false"',
            ),
            node(
                "geometry",
                "movingSurface",
                "Moving model",
                "Surface model in the space of the moving volume.",
                "input",
                ' fileExtensions=".vtk"',
            ),
        ],
    ),
    Group(
        "Outputs",
        "One for every input.",
        before=[
            node(
                "image",
                "output",
                "Moved volume",
                "The moving volume on the voxel grid of the reference.",
                "output",
                ' type="scalar" reference="input"',
            ),
            node(
                "image",
                "movedLabels",
                "Moved label map",
                "The label map on the voxel grid of the reference.",
                "output",
                ' type="label" reference="movingLabels"',
            ),
            node(
                "pointfile",
                "movedPoints",
                "Moved points",
                "The points in the space of the reference.",
                "output",
                ' fileExtensions=".fcsv" multiple="false"',
            ),
            node(
                "geometry",
                "movedSurface",
                "Moved model",
                "The model in the space of the reference.",
                "output",
                ' fileExtensions=".vtk" reference="movingSurface"',
            ),
        ],
    ),
    Group(
        "About the transforms",
        "Maps on the voxel grid of the reference, and all transforms as one.",
        before=[
            node(
                "image",
                "jacobian",
                "Jacobian map",
                "How volumes change: 1 keeps them, 2 doubles them, 0 and less is a fold.",
                "output",
                ' type="scalar" reference="reference"',
            ),
            node(
                "image",
                "magnitude",
                "Displacement magnitude",
                "How far every voxel moves, in millimetres.",
                "output",
                ' type="scalar" reference="reference"',
            ),
            node(
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


def apply_form() -> str:
    """The description of the apply command."""
    options = {name: option for name, option in options_of(ApplyOptions).items() if option.in_form}
    parameters = {name: option_parameter(option, options, option.default) for name, option in options.items()}
    return form("VoxelMorph: apply transforms", _APPLY, _APPLY_GROUPS, options, parameters)
