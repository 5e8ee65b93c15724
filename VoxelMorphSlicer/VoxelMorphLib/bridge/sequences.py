"""4-D series: every frame registered to one reference, into two new sequences with one browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import numpy as np
import slicer

from ..core.config import RegistrationOptions
from ..core.errors import Cancelled, ConfigError, ImageError, VoxelMorphError
from ..core.image import Image
from ..core.job import RegistrationJob
from ..core.progress import Progress, silent, span
from ..core.transform import AffineTransform, Transform
from .frames import BROWSER_CLASS, Frames
from .hierarchy import place_beside
from .node_maps import set_space
from .result_nodes import set_provenance
from .rollback import unchanged_on_failure
from .transform_nodes import transform_to_node
from .volume_nodes import image_from_node, image_to_node

if TYPE_CHECKING:
    from pathlib import Path

    from .job_runner import JobRunner

#: What all frames are registered to: the number of a frame, counted from 0, or a volume.
Reference = Union[int, "slicer.vtkMRMLScalarVolumeNode"]


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """Nodes in the scene.

    Args:
        volumes: every frame on the grid of the reference.
        transforms: for every frame the transform under which it lies on the reference.
        browser: shows both together.
    """

    volumes: slicer.vtkMRMLSequenceNode
    transforms: slicer.vtkMRMLSequenceNode
    browser: slicer.vtkMRMLSequenceBrowserNode


@dataclass(frozen=True, eq=False)
class SequenceJob:
    """How a sequence is registered.

    Args:
        node: sequence of scalar volumes, or the volume that shows it.
        reference: what all frames are registered to.
        model, options, weights_dir, allow_fallback: as of a `RegistrationJob`.
    """

    node: slicer.vtkMRMLNode
    reference: Reference
    model: str | Path | None = None
    options: RegistrationOptions | None = None
    weights_dir: Path | None = None
    allow_fallback: bool = False


def register_sequence(job: SequenceJob, runner: JobRunner, progress: Progress = silent) -> SequenceResult:
    """Register all frames, then add the results to the scene; before that, and when anything fails, it is unchanged.

    Args:
        job: which sequence, and how.
        runner: registers one frame after the other.
        progress: told every frame; may raise `Cancelled`, after which nothing is kept.

    Raises:
        ImageError: no sequence of volumes, or a frame that cannot be registered; the text names the frame.
        ConfigError: the sequence has no such frame.
        VoxelMorphError: as `registration.pipeline.register`, with the name of the frame.
    """
    frames = Frames(job.node)
    scene = frames.sequence.GetScene()
    fixed = _reference_image(job.reference, frames)
    name = frames.sequence.GetName()
    volumes, transforms = frames.like(f"{name} moved"), frames.like(f"{name} transforms")
    for index, (moved, forward, report) in enumerate(_registered(job, frames, fixed, runner, progress)):
        value = frames.sequence.GetNthIndexValue(index)
        volumes.SetDataNodeAtValue(_moved_node(moved, frames.sequence.GetNthDataNode(index), report), value)
        transforms.SetDataNodeAtValue(_transform_node(forward, frames, report), value)
    with unchanged_on_failure(scene, []):
        return _added(scene, frames, volumes, transforms)


def _reference_image(reference: Reference, frames: Frames) -> Image:
    if isinstance(reference, slicer.vtkMRMLNode):
        if reference is frames.proxy:
            raise ImageError(
                f"{reference.GetName()} shows the sequence itself, and changes with it. "
                "Give the number of a frame, or another volume."
            )
        return image_from_node(reference, "fixed")
    if not isinstance(reference, (int, np.integer)) or not 0 <= reference < len(frames):
        raise ConfigError(
            f"The sequence {frames.sequence.GetName()} has the frames 0 to {len(frames) - 1}, not {reference!r}. "
            "Choose one of them, or a volume."
        )
    return frames.image(int(reference), "fixed")


def _registered(
    job: SequenceJob, frames: Frames, fixed: Image, runner: JobRunner, progress: Progress
) -> Iterator[tuple[Image, Transform, dict]]:
    """Moved image, forward transform and report of every frame; the reference frame stays as it is."""
    options = job.options or RegistrationOptions()
    for index in range(len(frames)):
        report = _named(span(progress, index / len(frames), (index + 1) / len(frames)), frames.title(index))
        report(0.0, "reading")
        if index == job.reference:
            yield fixed, AffineTransform(np.eye(4)), {}
            continue
        try:
            moving = frames.image(index, "moving")
            single = RegistrationJob(
                fixed, moving, job.model, options, job.weights_dir, allow_fallback=job.allow_fallback
            )
            result = runner.run(single, report)
        except Cancelled:
            raise
        except VoxelMorphError as error:
            title = frames.title(index)
            raise type(error)(f"{title[0].upper()}{title[1:]} failed: {error}") from error
        yield result.moved, result.forward, result.report.to_dict()


def _named(progress: Progress, title: str) -> Progress:
    def report(fraction: float, text: str) -> None:
        progress(fraction, f"{title[0].upper()}{title[1:]}: {text}")

    return report


def _moved_node(moved: Image, frame: slicer.vtkMRMLScalarVolumeNode, report: dict) -> slicer.vtkMRMLScalarVolumeNode:
    node = image_to_node(moved, slicer.vtkMRMLScalarVolumeNode())
    node.SetName(f"{frame.GetName()} moved")
    set_provenance(node, report)
    return node


def _transform_node(forward: Transform, frames: Frames, report: dict) -> slicer.vtkMRMLTransformNode:
    """Of one class for all frames, because the node that shows a sequence keeps its class."""
    to_own = AffineTransform(np.linalg.inv(frames.to_world))
    node = transform_to_node(forward.compose(to_own), slicer.vtkMRMLTransformNode())
    node.SetName(f"{frames.sequence.GetName()} transform")
    set_provenance(node, report)
    set_space(node, frames.to_world)
    return node


def _added(
    scene: slicer.vtkMRMLScene,
    frames: Frames,
    volumes: slicer.vtkMRMLSequenceNode,
    transforms: slicer.vtkMRMLSequenceNode,
) -> SequenceResult:
    for node in (volumes, transforms):
        node.SetName(scene.GenerateUniqueName(node.GetName()))
        scene.AddNode(node)
    browser_name = scene.GenerateUniqueName(f"{frames.sequence.GetName()} registered")
    browser = scene.AddNewNodeByClass(BROWSER_CLASS, browser_name)
    browser.SetAndObserveMasterSequenceNodeID(volumes.GetID())
    browser.AddSynchronizedSequenceNode(transforms)
    for node in (volumes, transforms, browser):
        place_beside(node, frames.proxy or frames.sequence)
    return SequenceResult(volumes, transforms, browser)
