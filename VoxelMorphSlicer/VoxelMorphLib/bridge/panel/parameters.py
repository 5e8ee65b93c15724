"""Everything that a person chooses in the panel, as a scene keeps it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from ...core.config import RegistrationOptions
from ...core.options import Option, options_of
from ...weights.catalogue import load_catalogue
from ...weights.entry import supports_regularisation

#: What marks parts of a volume.
Labels = Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, None]
#: What the section "Apply a transform" takes; abstract classes cannot be named here.
Transformable = Union[
    slicer.vtkMRMLScalarVolumeNode,
    slicer.vtkMRMLLabelMapVolumeNode,
    slicer.vtkMRMLSegmentationNode,
    slicer.vtkMRMLModelNode,
    slicer.vtkMRMLMarkupsFiducialNode,
    slicer.vtkMRMLMarkupsLineNode,
    slicer.vtkMRMLMarkupsAngleNode,
    slicer.vtkMRMLMarkupsCurveNode,
    slicer.vtkMRMLMarkupsPlaneNode,
    slicer.vtkMRMLMarkupsROINode,
    slicer.vtkMRMLSequenceNode,
    None,
]


def panel_options(config: type = RegistrationOptions) -> list[Option]:
    """The options that a person may choose in the panel."""
    return [option for option in options_of(config).values() if option.in_panel]


def parameters_of(config: type) -> type:
    """A base class for parameter nodes that keeps the options of the panel.

    Args:
        config: dataclass with described fields. A parameter has the option's name, type, limits and default.
    """
    options = panel_options(config)
    hints = {option.name: _hint(option) for option in options}
    return type("Options", (), {"__annotations__": hints, **{option.name: option.default for option in options}})


def chosen_options(parameters, config: type[RegistrationOptions] = RegistrationOptions) -> RegistrationOptions:
    """The options of a configuration as the library takes them.

    Raises:
        ConfigError: a value is impossible.
    """
    return config(**{option.field: getattr(parameters, option.name) for option in panel_options(config)})


def options_for_model(parameters) -> RegistrationOptions:
    """The options of a configuration, without a regularity that was chosen for another model and is greyed out.

    Raises:
        ConfigError: a value is impossible.
    """
    options, entry = chosen_options(parameters), load_catalogue().get(parameters.model)
    if entry is None or supports_regularisation(entry):
        return options
    return replace(options, hyper=RegistrationOptions.hyper)


def _hint(option: Option) -> Any:
    limits = option.limits_in_panel
    return Annotated[option.kind, WithinRange(*limits)] if limits else option.kind


@parameterNodeWrapper
class VoxelMorphSlicerParameterNode(parameters_of(RegistrationOptions)):
    """Everything that a person chooses, saved with the scene; a name that changes loses its value in old scenes."""

    fixedVolume: slicer.vtkMRMLScalarVolumeNode
    movingVolume: slicer.vtkMRMLScalarVolumeNode
    initialTransform: slicer.vtkMRMLTransformNode
    fixedMask: Labels
    movingMask: Labels
    fixedSegmentation: Labels
    movingSegmentation: Labels
    fixedLandmarks: slicer.vtkMRMLMarkupsFiducialNode
    movingLandmarks: slicer.vtkMRMLMarkupsFiducialNode
    segmentationsGuide: bool = False
    landmarksGuide: bool = False
    model: str = "optimise"
    allowFallback: bool = False
    movedVolume: slicer.vtkMRMLScalarVolumeNode
    forwardTransform: slicer.vtkMRMLTransformNode
    inverseTransform: slicer.vtkMRMLTransformNode
    jacobianVolume: slicer.vtkMRMLScalarVolumeNode
    movedSegmentation: Labels
    resultsTable: slicer.vtkMRMLTableNode
    showResult: bool = True
    overlay: str = "moved"
    fade: Annotated[float, WithinRange(0, 1)] = 0.5
    showGrid: bool = False
    sequence: Union[slicer.vtkMRMLSequenceNode, slicer.vtkMRMLScalarVolumeNode, None]
    sequenceReference: str = "frame"
    sequenceFrame: Annotated[int, WithinRange(1, 100000)] = 1
    sequenceBrowser: slicer.vtkMRMLSequenceBrowserNode
    appliedTransform: slicer.vtkMRMLTransformNode
    appliedNode: Transformable
    appliedFolder: str = ""
    appliedReference: slicer.vtkMRMLScalarVolumeNode
    applyInverse: bool = False
    applyInterpolation: str = "linear"
    applyResult: str = "moved"
    batchSource: str = ""
    batchTable: slicer.vtkMRMLTableNode
    batchFolder: str = ""
    batchTemplate: slicer.vtkMRMLScalarVolumeNode
    batchOutput: str = ""
    batchWorkers: Annotated[int, WithinRange(1, 64)] = 1
    batchResults: slicer.vtkMRMLTableNode
    templateModel: str = ""
    templateValues: str = ""
    templateBase: slicer.vtkMRMLScalarVolumeNode
    templateVolume: slicer.vtkMRMLScalarVolumeNode
    templatePatient: slicer.vtkMRMLScalarVolumeNode
    templateLabels: Labels
    training: str = ""
