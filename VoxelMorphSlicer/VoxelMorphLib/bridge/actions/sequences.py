"""4-D series: every frame registered to one reference, into two new sequences with one browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import slicer

from ...core.errors import Cancelled, ConfigError, ImageError, OutputError, VoxelMorphError
from ...core.image import Image
from ...core.progress import Progress, silent, span
from ...core.transform import AffineTransform, Transform
from ...registration.request import RegistrationRequest
from ..background.steps import Registering, Steps
from ..scene.frames import Frames, add_sequences
from ..scene.placement import set_space
from ..scene.result_nodes import set_provenance
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.scene_path import ScenePath
from ..scene.segment_layers import mask_from_node
from ..scene.transform_nodes import transform_to_node
from ..scene.volume_nodes import image_from_node, image_to_node

if TYPE_CHECKING:
    from ...registration.result import Registration

#: What all frames are registered to: the number of a frame, counted from 0, or a volume.
Reference = Union[int, "slicer.vtkMRMLScalarVolumeNode"]

#: Number of frames whose warnings are reported individually.
MOST_WARNED = 3


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """The nodes of a registered sequence.

    Args:
        volumes: every frame on the grid of the reference.
        transforms: for every frame the transform under which it lies on the reference.
        browser: shows both together.
        warnings: sentences about single frames.
    """

    volumes: slicer.vtkMRMLSequenceNode
    transforms: slicer.vtkMRMLSequenceNode
    browser: slicer.vtkMRMLSequenceBrowserNode
    warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[slicer.vtkMRMLNode]:
        """The three nodes, for unpacking."""
        return iter((self.volumes, self.transforms, self.browser))


@dataclass(frozen=True, eq=False)
class SequenceJob:
    """How a sequence is registered.

    Args:
        node: sequence of scalar volumes, or the volume that shows it.
        reference: what all frames are registered to.
        reference_mask: segmentation or label map on the reference; only what lies inside is compared. Frames have
            none, because moving structures leave a mask that was drawn on another frame.
        initial: transform node under which every frame lies roughly on the reference; frames whose shown volume lies
            under it already are read where they were before.
        settings: the other fields of a `RegistrationRequest` by name.
    """

    node: slicer.vtkMRMLNode
    reference: Reference
    reference_mask: slicer.vtkMRMLNode | None = None
    initial: slicer.vtkMRMLTransformNode | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class FrameByFrame:
    """One registration of a sequence: makes the request of every frame and collects the results for the scene.

    Args:
        job: which sequence, and how.

    Raises:
        ImageError: no sequence of volumes, a reference that cannot be registered to, or an empty mask.
        ConfigError: the sequence has no such frame.
        GeometryError: the shown volume or the reference is under a non-linear parent, or a mask outside the reference.
    """

    def __init__(self, job: SequenceJob):
        self.job, self.frames = job, Frames(job.node, job.initial)
        self.scene = self.frames.sequence.GetScene()
        self.fixed = _reference_image(job.reference, self.frames)
        #: What the requests of all frames have in common.
        self._common = {**job.settings, "fixed": self.fixed}
        self._common["fixed_mask"] = mask_from_node(job.reference_mask, self.fixed, "fixed")
        if job.initial is not None:
            self._common["initial"] = ScenePath(job.initial).captured(self.fixed.geometry)
        self._warned: dict[int, tuple[str, ...]] = {}
        name = self.frames.sequence.GetName()
        self.volumes, self.transforms = self.frames.like(f"{name} moved"), self.frames.like(f"{name} transforms")
        self._count = len(self.frames)

    def __len__(self) -> int:
        return self._count

    def frame_request(self, index: int) -> RegistrationRequest | None:
        """What to register for one frame; None for the reference frame, which stays as it is.

        Raises:
            ImageError: the frame cannot be registered; the text names it.
            OutputError: the sequence left the scene, or lost frames.
        """
        self._check_present()
        if index == self.job.reference:
            self._keep(index, self.fixed, AffineTransform(np.eye(4)), {})
            return None
        try:
            moving = self.frames.image(index, "moving")
        except VoxelMorphError as error:
            raise self.named(error, index) from error
        return RegistrationRequest(moving=moving, **self._common)

    def take(self, index: int, registration: Registration) -> None:
        """Keep the result of one frame, outside the scene."""
        self._check_present()
        if registration.report.warnings:
            self._warned[index] = tuple(registration.report.warnings)
        self._keep(index, registration.moved, registration.forward, registration.report.to_dict())

    def named(self, error: VoxelMorphError, index: int) -> VoxelMorphError:
        """An error of the same kind that names the frame; `Cancelled` is returned as it is."""
        if isinstance(error, Cancelled):
            return error
        named = type(error)(f"{self._title(index)} failed: {error}")
        vars(named).update(vars(error))  # details for the log, or that a restart is required
        return named

    def progress(self, progress: Progress, index: int) -> Progress:
        """Progress of one frame as a part of that of all."""
        part = span(progress, index / len(self), (index + 1) / len(self))
        return lambda fraction, text: part(fraction, f"{self._title(index)}: {text}")

    def write(self) -> SequenceResult:
        """Add the results to the scene; when that fails the scene is unchanged."""
        self._check_present()
        with unchanged_on_failure(self.scene, []):
            return _added(self.scene, self.frames, self.volumes, self.transforms, self._warnings())

    def _warnings(self) -> tuple[str, ...]:
        """Warnings of the first frames that have any; those of the others are on their transforms."""
        named = list(self._warned)[:MOST_WARNED]
        sentences = [f"{self._title(index)}: {' '.join(self._warned[index])}" for index in named]
        left = len(self._warned) - len(named)
        if left:
            sentences.append(f"{left} more frame{'s' * (left > 1)} gave warnings, which stand on their transforms.")
        return tuple(sentences)

    def _keep(self, index: int, moved: Image, forward: Transform, report: dict) -> None:
        sequence = self.frames.sequence
        value = sequence.GetNthIndexValue(index)
        self.volumes.SetDataNodeAtValue(_moved_node(moved, sequence.GetNthDataNode(index), report), value)
        self.transforms.SetDataNodeAtValue(_transform_node(forward, self.frames, report), value)

    def _check_present(self) -> None:
        sequence = self.frames.sequence
        if sequence.GetScene() is not self.scene or len(self.frames) != self._count:
            raise OutputError(
                f"The result was dropped because {sequence.GetName()} left the scene or changed its number of frames "
                "while it was registered; nothing was changed."
            )

    def _title(self, index: int) -> str:
        title = self.frames.title(index)
        return f"{title[0].upper()}{title[1:]}"


def sequence_steps(job: SequenceJob, progress: Progress = silent) -> Steps:
    """Register all frames, then add the results to the scene; before that, and when anything fails, it is unchanged.

    Args:
        job: which sequence, and how.
        progress: called for every frame; may raise `Cancelled`, after which nothing is kept.

    Raises:
        VoxelMorphError: as `FrameByFrame`, and as `registration.register.register` with the name of the frame.
    """
    return _frame_steps(FrameByFrame(job), progress)


def _frame_steps(series: FrameByFrame, progress: Progress) -> Steps:
    for index in range(len(series)):
        request = series.frame_request(index)
        if request is None:
            continue
        report = series.progress(progress, index)
        report(0.0, "reading")
        try:
            registration = yield Registering(request, report)
        except Cancelled:
            raise
        except VoxelMorphError as error:
            raise series.named(error, index) from error
        series.take(index, registration)
        del registration, request  # before the next frame needs the memory
    return series.write()


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


def _moved_node(moved: Image, frame: slicer.vtkMRMLScalarVolumeNode, report: dict) -> slicer.vtkMRMLScalarVolumeNode:
    node = image_to_node(moved, slicer.vtkMRMLScalarVolumeNode())
    node.SetName(f"{frame.GetName()} moved")
    set_provenance(node, report)
    return node


def _transform_node(forward: Transform, frames: Frames, report: dict) -> slicer.vtkMRMLTransformNode:
    """All frames get the same class, because the proxy node of a sequence keeps its class."""
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
    warnings: tuple[str, ...],
) -> SequenceResult:
    browser = add_sequences(scene, (volumes, transforms), f"{frames.sequence.GetName()} registered")
    for node in (volumes, transforms, browser):
        place_beside(node, frames.proxy or frames.sequence)
    return SequenceResult(volumes, transforms, browser, warnings)
