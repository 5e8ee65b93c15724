"""The template of a model as a volume node: made anew, put into the same node, and kept as another one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import slicer

from ...core.errors import OutputError
from ...core.image import Image
from ...core.progress import Progress, silent
from ...registration.template_request import TemplateRequest
from ..background.steps import Registering, Steps
from ..scene.placement import matrix_to_world
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.volume_nodes import image_from_node, image_to_node, show_like


def template_steps(
    model: str | Path,
    attributes: Mapping[str, float] | None = None,
    target: slicer.vtkMRMLScalarVolumeNode | None = None,
    base: slicer.vtkMRMLScalarVolumeNode | None = None,
    weights_dir: Path | None = None,
    progress: Progress = silent,
) -> Steps:
    """Make a template; when anything fails the scene is unchanged.

    Args:
        model: id of the catalogue, or a weights file, that keeps a template.
        attributes: of the subject, by name; the middle of the training for those left out.
        target: receives the template instead of what it shows; None creates a node.
        base: volume that the generated one is added to, of files that do not hold it.
        weights_dir: folder with weight files.
        progress: called with a fraction and a text.

    Returns:
        The volume; what is doubtful about it is said by warnings.

    Raises:
        OutputError: `target` is of a class for other kinds of voxels, or left the scene.
        VoxelMorphError: as `registration.template.make_template`.
    """
    _check(target)
    image = None if base is None else image_from_node(base, "fixed", matrix_to_world(base))
    template = yield Registering(TemplateRequest(model, attributes or {}, image, weights_dir), progress)
    _check(target)  # time has passed
    with unchanged_on_failure(slicer.mrmlScene, [] if target is None else [target]):
        node = write_template(template, target)
    for note in template.notes:
        warnings.warn(note, stacklevel=2)
    return node


def write_template(template: Image, target: slicer.vtkMRMLScalarVolumeNode | None) -> slicer.vtkMRMLScalarVolumeNode:
    """Put a template into a node, whose description tells the subject; window and level stay, so that changes show."""
    node = image_to_node(template, target, name="Template")
    node.SetDescription(template.name)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        low, high = (float(value) for value in np.percentile(template.array, (0.5, 99.5)))
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(max(high - low, 1e-3), (high + low) / 2)
    return node


def kept_template(template: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """A copy of a template beside it, which later ones do not change."""
    copy = image_to_node(image_from_node(template, "fixed"), name=template.GetDescription() or template.GetName())
    show_like(copy, template)
    place_beside(copy, template)
    return copy


def _check(target: slicer.vtkMRMLNode | None) -> None:
    if target is not None and target.GetScene() is None:
        raise OutputError(f"{target.GetName()} is no longer in the scene. Make the template again.")
