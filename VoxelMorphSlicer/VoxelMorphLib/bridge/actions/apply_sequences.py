"""A 4-D series moved by a transform: every frame is resampled onto one grid, into a new sequence with a browser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer

from ...core.errors import OutputError
from ...core.geometry import Geometry
from ..background.steps import Steps
from ..scene.frames import add_sequences, empty_like, frame_title, sequence_of
from ..scene.rollback import place_beside
from ..scene.scene_path import ScenePath
from .apply_volumes import volume_steps


def sequence_steps(
    node: slicer.vtkMRMLSequenceNode,
    path: ScenePath,
    geometry: Geometry,
    interpolation_of: Callable[[slicer.vtkMRMLVolumeNode], str],
    target: slicer.vtkMRMLSequenceNode | None = None,
) -> Steps:
    """Resample every frame, where its browser shows it.

    Args:
        node: sequence of volumes; is not changed.
        path: along which voxels are fetched.
        geometry: grid of the result, in world coordinates.
        interpolation_of: how a volume is resampled.
        target: has to be None, as browsers follow the sequence that it would replace.

    Returns:
        A function that adds the new sequence and its browser to the scene and returns the sequence.

    Raises:
        OutputError: there is a target.
        ImageError: a frame without voxels.
        GeometryError: the volume that shows the frames is under a non-linear parent.
    """
    if target is not None:
        raise OutputError(f"A sequence always becomes a new one, and {target.GetName()} stays as it is. Choose none.")
    proxy = sequence_of(node)[1]
    to_world = np.eye(4) if proxy is None else path.matrix_to_world(proxy)
    transform = yield from path.sampled(geometry)
    moved = empty_like(node, f"{node.GetName()} moved")
    for index in range(node.GetNumberOfDataNodes()):
        yield f"Resampling {frame_title(node, index)}"
        frame = node.GetNthDataNode(index)
        result = getattr(slicer, frame.GetClassName())()
        result.SetName(f"{frame.GetName()} moved")
        write = yield from volume_steps(frame, transform, to_world, geometry, result, interpolation_of(frame))
        moved.SetDataNodeAtValue(write(), node.GetNthIndexValue(index))

    def add() -> slicer.vtkMRMLSequenceNode:
        browser = add_sequences(node.GetScene(), [moved], moved.GetName())
        for each in (moved, browser):
            place_beside(each, proxy or node)
        return moved

    return add
