"""VoxelMorphLogic: everything the module can do, with nodes in and nodes out; no widget, no views, no popups."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.config import RegistrationOptions
from ..core.errors import VoxelMorphError
from ..core.progress import Progress, silent
from .actions.apply import Application, node_steps
from .actions.apply_folders import folder_steps
from .actions.evaluate import Evaluated, evaluation_steps
from .actions.jacobian import jacobian_steps
from .actions.register import SceneJob
from .actions.sequences import Reference, SequenceJob, SequenceResult, register_sequence
from .background.steps import Steps, finish
from .install import Ask, ensure, packages_for_model
from .job_runner import JobRunner
from .scene.node_maps import image_map
from .sequence_run import SequenceRun
from .training_logic import TrainingLogic

if TYPE_CHECKING:
    from pathlib import Path

    import slicer

    from ..registration.result import Registration
    from ..weights.entry import ModelEntry
    from .background.worker import JobHandle, WorkerClient


class VoxelMorphLogic(TrainingLogic):
    """Registration of scene nodes and what follows it, for the console, scripts, tests and the widget.

    Methods are named as Slicer names them. All raise `VoxelMorphError` with one sentence for the user, and leave the
    scene as it was when they do.
    """

    def models(self) -> list[ModelEntry]:
        """The models that this version can run, in the order of the catalogue."""
        from ..weights.catalogue import load_catalogue

        return [entry for entry in load_catalogue().values() if entry.available]

    def ensurePackages(self, model: str | Path | None, ask: Ask) -> None:
        """Install what a registration with a model lacks, after one question; call it when the user clicks.

        Args:
            model: id of the catalogue or a weights file; None is the default model.
            ask: called with a text that names every download; tells whether the user agrees.

        Raises:
            DependencyError: the user declined, the installation failed, or Slicer must be restarted
                (`restart_required`).
        """
        ensure(packages_for_model(model), ask)

    def register(
        self,
        fixedNode: slicer.vtkMRMLScalarVolumeNode,
        movingNode: slicer.vtkMRMLScalarVolumeNode,
        model: str | Path | None = None,
        options: RegistrationOptions | None = None,
        initialNode: slicer.vtkMRMLTransformNode | None = None,
        targets: dict | None = None,
        progress: Progress | None = None,
        worker: WorkerClient | None = None,
        weightsDir: Path | None = None,
        allowFallback: bool = False,
        fixedMaskNode: slicer.vtkMRMLNode | None = None,
        movingMaskNode: slicer.vtkMRMLNode | None = None,
    ) -> dict[str, slicer.vtkMRMLNode]:
        """Register two volume nodes, wait, and add the results to their scene.

        Args:
            fixedNode: scalar volume that stays.
            movingNode: scalar volume that is moved; neither input node is changed.
            model: id of the catalogue or a weights file; None takes the default model.
            options: None takes the defaults.
            initialNode: transform under which the moving volume lies roughly on the fixed one.
            targets: node for each wanted output among "moved", "forward", "inverse" and "jacobian", None to create
                one; None creates the first three.
            progress: called with a fraction from 0 to 1 and a text; may raise `Cancelled`.
            worker: process that computes; None computes in this process.
            weightsDir: folder with weights that were downloaded before.
            allowFallback: where the worker's memory does not suffice, try half resolution, then the processor.
            fixedMaskNode, movingMaskNode: segmentation or label map on that volume; only what lies inside is looked at.

        Returns:
            The node of each wanted output. Under the node "forward" the moving volume, and what belongs to it, lies on
            the fixed one; "inverse" is the opposite direction.
        """
        scene_job = SceneJob(fixedNode, movingNode, initialNode, targets, fixedMaskNode, movingMaskNode)
        job = scene_job.job(model, options, weightsDir, allowFallback)
        return scene_job.write(JobRunner(worker).run(job, progress or silent))

    def start(
        self,
        fixedNode: slicer.vtkMRMLScalarVolumeNode,
        movingNode: slicer.vtkMRMLScalarVolumeNode,
        model: str | Path | None = None,
        options: RegistrationOptions | None = None,
        initialNode: slicer.vtkMRMLTransformNode | None = None,
        targets: dict | None = None,
        *,
        worker: WorkerClient,
        onProgress: Progress = silent,
        onFinished: Callable[[dict], None] = lambda _nodes: None,
        onFailed: Callable[[Exception], None] = lambda _error: None,
        weightsDir: Path | None = None,
        allowFallback: bool = False,
        fixedMaskNode: slicer.vtkMRMLNode | None = None,
        movingMaskNode: slicer.vtkMRMLNode | None = None,
    ) -> JobHandle:
        """Begin a registration and return; `worker.poll()` calls back, `worker.cancel(handle)` stops it.

        Args:
            worker: process that computes.
            onProgress: called with a fraction and a text.
            onFinished: called with the nodes, once they are in the scene.
            onFailed: called with what went wrong, `Cancelled` and removed nodes included; the scene is unchanged.

        The other arguments are those of `register`.

        Returns:
            What the worker calls the job.
        """
        scene_job = SceneJob(fixedNode, movingNode, initialNode, targets, fixedMaskNode, movingMaskNode)
        job = scene_job.job(model, options, weightsDir, allowFallback)

        def finish(registration: Registration) -> None:
            try:
                nodes = scene_job.write(registration)
            except VoxelMorphError as error:
                onFailed(error)
            except Exception as error:  # the caller waits for exactly one answer, whatever a node or VTK does
                logging.exception("Writing the registration into the scene failed")
                onFailed(error)
            else:
                onFinished(nodes)

        return worker.submit(job, onProgress, finish, onFailed)

    def applyTransform(
        self,
        nodeOrItem: slicer.vtkMRMLNode | int,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        inverse: bool = False,
        target: slicer.vtkMRMLNode | None = None,
        interpolation: str = "linear",
        progress: Progress | None = None,
    ) -> slicer.vtkMRMLNode | list[slicer.vtkMRMLNode]:
        """Carry a volume, label map, segmentation, model, markups or a whole folder along.

        Args:
            nodeOrItem: node in the moving space, or number of a folder in the subject hierarchy; is not changed.
            transformNode: forward transform; what is in the fixed space goes back with `inverse` or the inverse node.
            referenceVolume: grid for voxels; None takes the fixed volume of the transform, the moving one back.
            inverse: the opposite direction.
            target: node of the same kind that receives the result; None creates one beside the input.
            interpolation: of intensities: "linear", "cubic" or "nearest"; labels are always nearest.
            progress: told every node of a folder; may raise `Cancelled`.

        Returns:
            The result, or the list of results of a folder, which is mirrored beside the folder.
        """
        steps = self.applySteps(
            nodeOrItem, transformNode, referenceVolume, inverse, target, interpolation, progress or silent
        )
        return finish(steps)

    def applySteps(
        self,
        nodeOrItem: slicer.vtkMRMLNode | int,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        inverse: bool = False,
        target: slicer.vtkMRMLNode | None = None,
        interpolation: str = "linear",
        progress: Progress = silent,
    ) -> Steps:
        """As `applyTransform`, for a `StepRunner`: the application need not wait."""
        application = Application(transformNode, inverse, referenceVolume, interpolation)
        if isinstance(nodeOrItem, int):
            return folder_steps(nodeOrItem, application, progress)
        return node_steps(nodeOrItem, application, target)

    def jacobian(
        self,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        target: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """Volume of the local volume ratio: 1 keeps the volume, more expands it, 0 and less is a fold.

        Args:
            transformNode: forward transform.
            referenceVolume: grid of the map; None takes the fixed volume of the transform.
            target: volume that receives the map; None creates one beside the reference.
        """
        return finish(self.jacobianSteps(transformNode, referenceVolume, target))

    def jacobianSteps(
        self,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        target: slicer.vtkMRMLScalarVolumeNode | None = None,
    ) -> Steps:
        """As `jacobian`, for a `StepRunner`."""
        application = Application(transformNode, reference=referenceVolume)
        application.check_transform()
        geometry, reference = application.grid(), application.reference_volume()
        return jacobian_steps(image_map(transformNode, geometry), geometry, reference, target)

    def registerSequence(
        self,
        sequenceOrProxyNode: slicer.vtkMRMLNode,
        reference: Reference,
        model: str | Path | None = None,
        options: RegistrationOptions | None = None,
        progress: Progress | None = None,
        worker: WorkerClient | None = None,
        weightsDir: Path | None = None,
        allowFallback: bool = False,
        referenceMaskNode: slicer.vtkMRMLNode | None = None,
        initialNode: slicer.vtkMRMLTransformNode | None = None,
    ) -> tuple[slicer.vtkMRMLSequenceNode, slicer.vtkMRMLSequenceNode, slicer.vtkMRMLSequenceBrowserNode]:
        """Register every frame of a 4-D series to one frame or volume, and wait.

        Args:
            sequenceOrProxyNode: sequence of scalar volumes, or the volume that shows it; is not changed.
            reference: number of a frame, counted from 0, or a volume.
            progress: called with a fraction and a text that names the frame; may raise `Cancelled`, which keeps
                nothing.
            referenceMaskNode: segmentation or label map on the reference; only what lies inside is looked at.
            initialNode: transform under which every frame lies roughly on the reference.

        The other arguments are those of `register`.

        Returns:
            The sequence of moved volumes on the grid of the reference, the sequence of their transforms, and the
            browser that shows both together.
        """
        scene = referenceMaskNode, initialNode
        job = SequenceJob(sequenceOrProxyNode, reference, model, options, weightsDir, allowFallback, *scene)
        result = register_sequence(job, JobRunner(worker), progress or silent)
        return result.volumes, result.transforms, result.browser

    def startSequence(
        self,
        sequenceOrProxyNode: slicer.vtkMRMLNode,
        reference: Reference,
        model: str | Path | None = None,
        options: RegistrationOptions | None = None,
        *,
        worker: WorkerClient,
        onProgress: Progress = silent,
        onFinished: Callable[[SequenceResult], None] = lambda _result: None,
        onFailed: Callable[[Exception], None] = lambda _error: None,
        weightsDir: Path | None = None,
        allowFallback: bool = False,
        referenceMaskNode: slicer.vtkMRMLNode | None = None,
        initialNode: slicer.vtkMRMLTransformNode | None = None,
    ) -> SequenceRun:
        """Begin to register a 4-D series and return; `worker.poll()` calls back, `cancel()` of the answer stops it.

        Args:
            worker: process that computes one frame after the other.
            onProgress: called with a fraction and a text that names the frame.
            onFinished: called with the nodes `volumes`, `transforms` and `browser`, once all are in the scene.
            onFailed: called with what went wrong, `Cancelled` included; the scene is unchanged.

        The other arguments are those of `registerSequence`.
        """
        scene = referenceMaskNode, initialNode
        job = SequenceJob(sequenceOrProxyNode, reference, model, options, weightsDir, allowFallback, *scene)
        return SequenceRun(job, worker, onProgress, onFinished, onFailed)

    def evaluate(
        self,
        fixedNode: slicer.vtkMRMLScalarVolumeNode,
        movingNode: slicer.vtkMRMLScalarVolumeNode,
        movedNode: slicer.vtkMRMLScalarVolumeNode | None,
        forwardNode: slicer.vtkMRMLTransformNode,
        fixedSegmentation: slicer.vtkMRMLNode | None = None,
        movingSegmentation: slicer.vtkMRMLNode | None = None,
        fixedLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        movingLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        table: slicer.vtkMRMLTableNode | None = None,
        isFresh: bool = False,
    ) -> slicer.vtkMRMLTableNode:
        """Measure a registration; one row per measure and structure, with the values before and after and the unit.

        Args:
            movedNode: the moving volume on the fixed grid; None resamples it.
            forwardNode: transform of the registration; its attributes tell time, device and model.
            fixedSegmentation, movingSegmentation: segmentations or label maps; structures of the same name, else of
                the same label number, are compared, and the others are listed.
            fixedLandmarks, movingLandmarks: markups of the same points, by label, else by order.
            table: receives the rows; None creates one beside the fixed volume.
            isFresh: nothing changed since the registration, so that what it measured itself need not be measured again.
        """
        nodes = fixedNode, movingNode, movedNode, forwardNode
        drawn = fixedSegmentation, movingSegmentation, fixedLandmarks, movingLandmarks
        return finish(self.evaluateSteps(*nodes, *drawn, table, isFresh))

    def evaluateSteps(
        self,
        fixedNode: slicer.vtkMRMLScalarVolumeNode,
        movingNode: slicer.vtkMRMLScalarVolumeNode,
        movedNode: slicer.vtkMRMLScalarVolumeNode | None,
        forwardNode: slicer.vtkMRMLTransformNode,
        fixedSegmentation: slicer.vtkMRMLNode | None = None,
        movingSegmentation: slicer.vtkMRMLNode | None = None,
        fixedLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        movingLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        table: slicer.vtkMRMLTableNode | None = None,
        isFresh: bool = False,
    ) -> Steps:
        """As `evaluate`, for a `StepRunner`."""
        nodes = fixedNode, movingNode, movedNode, forwardNode
        drawn = fixedSegmentation, movingSegmentation, fixedLandmarks, movingLandmarks
        return evaluation_steps(Evaluated(*nodes, *drawn, isFresh), table)
