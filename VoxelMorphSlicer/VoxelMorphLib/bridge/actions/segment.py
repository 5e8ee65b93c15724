"""A volume to the segmentation that a model of the recipe atlas-segmentation finds, by the apply command."""

from __future__ import annotations

import shutil
from pathlib import Path

import slicer

from ...core.errors import OutputError
from ...core.image import Image, LabelMap
from ...core.io.images import read_label_map, write_image
from ...core.io.scratch import make_scratch_folder
from ...core.progress import Progress, silent
from ...weights.architectures import SEGMENTING
from ...weights.catalogue import load_catalogue
from ..background.child_process import ChildProcess, apply_command
from ..background.steps import Steps
from ..scene.placement import matrix_to_world
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.segment_layers import BINARY, oriented_image
from ..scene.volume_nodes import image_from_node
from .apply_segmentations import trimmed


def finds_labels(model: str | Path | None) -> bool:
    """Whether a model of the catalogue labels images; False of weight files, of which nothing is known."""
    entry = load_catalogue().get(str(model))
    return entry is not None and entry.architecture == SEGMENTING


def segment_steps(
    volume: slicer.vtkMRMLScalarVolumeNode,
    model: str | Path,
    device: str = "auto",
    target: slicer.vtkMRMLSegmentationNode | None = None,
    progress: Progress = silent,
) -> Steps:
    """Label a volume; when anything fails the scene is unchanged.

    Args:
        volume: is not changed.
        model: id of the catalogue, or a weights file, of the recipe atlas-segmentation.
        device: that computes.
        target: receives the segments instead of what it holds; None creates a node beside the volume.
        progress: called with a fraction and a text.

    Returns:
        The segmentation, under no parent transform, with one segment for every label that was found.

    Raises:
        OutputError: `target` is no segmentation, or a node left the scene.
        VoxelMorphError: the model finds no labels, or its process failed.
    """
    _check(volume, target)
    image = image_from_node(volume, "fixed", matrix_to_world(volume))
    labels = yield from _labels(image, model, device, progress)
    _check(volume, target)  # time has passed
    with unchanged_on_failure(volume.GetScene(), [] if target is None else [target]):
        return _write(labels, volume, target)


def _labels(image: Image, model: str | Path, device: str, progress: Progress) -> Steps:
    """What the process finds in an image."""
    folder = make_scratch_folder(None, "voxelmorph-")
    try:
        given, found = folder / "volume.nrrd", folder / "labels.nrrd"
        yield lambda: write_image(image, given)
        words = [f"--model={model}", f"--input={given}", f"--movedLabels={found}", f"--device={device}"]
        yield ChildProcess([*apply_command(), *words], progress, saves=False, name="labelling")
        return (yield lambda: trimmed(read_label_map(found)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(volume: slicer.vtkMRMLScalarVolumeNode, target: slicer.vtkMRMLNode | None) -> None:
    for node in (volume, target):
        if node is not None and node.GetScene() is None:
            raise OutputError(f"{node.GetName()} is no longer in the scene. Load it again and repeat.")
    if target is not None and not isinstance(target, slicer.vtkMRMLSegmentationNode):
        raise OutputError(
            f"{target.GetName()} is a {target.GetClassName()} and cannot hold segments. Choose a segmentation."
        )


def _write(
    labels: LabelMap, volume: slicer.vtkMRMLScalarVolumeNode, target: slicer.vtkMRMLSegmentationNode | None
) -> slicer.vtkMRMLSegmentationNode:
    segmentation, layer = slicer.vtkSegmentation(), oriented_image(labels)
    segmentation.SetSourceRepresentationName(BINARY)
    for label in map(int, labels.labels()):
        segment = slicer.vtkSegment()
        segment.SetName(f"label {label}")
        segment.SetLabelValue(label)
        segment.AddRepresentation(BINARY, layer)
        segmentation.AddSegment(segment, str(label))
    node = target
    if node is None:
        scene = volume.GetScene()
        node = scene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", scene.GenerateUniqueName(f"{volume.GetName()} labels")
        )
        place_beside(node, volume)
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveSegmentation(segmentation)
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node
