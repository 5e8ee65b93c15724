"""The form of the register command."""

from __future__ import annotations

from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.options import options_of

from .models import ALLOW_FALLBACK, MODELS
from .parts import Group, flag, form, option_parameter, parameter

_REGISTER = (
    "Warps a moving volume onto a fixed volume with a VoxelMorph neural network, or by optimising the pair itself "
    "where no network fits. Gives the moved volume and transforms in both directions that apply to segmentations, "
    "models and markups as well. Transforms that the volumes are placed under are ignored: harden them first."
)

_REGISTER_GROUPS = (
    Group(
        "Inputs",
        "The two volumes, and what travels with the moving one.",
        before=[
            parameter(
                "image",
                "fixed",
                "Fixed volume",
                "Volume that stays where it is. The moved volume gets its position, voxel size and extent.",
                channel="input",
                attributes=' type="scalar"',
            ),
            parameter(
                "image",
                "moving",
                "Moving volume",
                "Volume that is warped onto the fixed one. Size, voxel size and orientation may differ.",
                channel="input",
                attributes=' type="scalar"',
            ),
            parameter(
                "image",
                "fixedMask",
                "Fixed mask",
                "Optional label map or segmentation drawn on the fixed volume. Only what lies inside any of its "
                "labels is looked at, for example the brain without the skull. Its voxel grid may differ from that "
                "of the volume.",
                channel="input",
                attributes=' type="label"',
            ),
            parameter(
                "image",
                "movingMask",
                "Moving mask",
                "Optional label map or segmentation drawn on the moving volume. Only what lies inside any of its "
                "labels is looked at; the whole moving volume is still warped. Its voxel grid may differ from that "
                "of the volume.",
                channel="input",
                attributes=' type="label"',
            ),
            parameter(
                "image",
                "movingLabels",
                "Moving label map",
                "Optional label map or segmentation drawn on the moving volume. It is warped with it, and influences "
                "the registration only where there is a fixed label map.",
                channel="input",
                attributes=' type="label"',
            ),
            parameter(
                "image",
                "fixedLabels",
                "Fixed label map",
                "Optional label map or segmentation drawn on the fixed volume. An optimisation or refinement pulls the "
                "same label numbers of the moving label map onto it.",
                channel="input",
                attributes=' type="label"',
            ),
            parameter(
                "pointfile",
                "fixedPoints",
                "Fixed landmarks",
                "Optional points marked on the fixed volume. They pull an optimisation or refinement, and are the "
                "start where that says so. Pairs are found by label, else by order.",
                channel="input",
                attributes=' fileExtensions=".fcsv" multiple="false"',
            ),
            parameter(
                "pointfile",
                "movingPoints",
                "Moving landmarks",
                "The same points marked on the moving volume.",
                channel="input",
                attributes=' fileExtensions=".fcsv" multiple="false"',
            ),
            parameter(
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
    Group("Model", "The neural network, or the optimisation that needs none.", before=MODELS),
    Group("Stages", "What happens before and inside the deformable registration."),
    Group(
        "Outputs",
        "Choose at least one.",
        before=[
            parameter(
                "image",
                "moved",
                "Moved volume",
                "The moving volume, warped and resampled once onto the voxel grid of the fixed volume.",
                channel="output",
                attributes=' type="scalar" reference="moving"',
            )
        ],
        after=[
            parameter(
                "image",
                "movedLabels",
                "Moved label map",
                "The moving label map on the voxel grid of the fixed volume, with its original values. Without one, "
                "what a model of the recipe atlas-segmentation finds in the fixed volume.",
                channel="output",
                attributes=' type="label" reference="movingLabels"',
            ),
            parameter(
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
            parameter(
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
            flag(
                "headerOnly",
                "Move the header alone",
                "The moved volume and label map keep the voxels of the moving ones, and lie on the fixed volume by "
                "their position; for models that neither bend nor shear.",
            ),
            parameter(
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
    Group(
        "Advanced",
        "Computation and information.",
        after=[
            ALLOW_FALLBACK,
            flag(
                "listModels", "List the models", "Print the names and descriptions of all models into the log and stop."
            ),
            flag("listDevices", "List the devices", "Print the devices of this computer into the log and stop."),
        ],
        advanced=True,
        takes_the_rest=True,
    ),
)


def register_form(config: type = RegistrationOptions) -> str:
    """The description of the register command.

    Args:
        config: dataclass whose described fields are the options.
    """
    options = {name: option for name, option in options_of(config).items() if option.in_form}
    parameters = {name: option_parameter(option, options, option.default) for name, option in options.items()}
    return form("VoxelMorph: register two volumes", _REGISTER, _REGISTER_GROUPS, options, parameters)
