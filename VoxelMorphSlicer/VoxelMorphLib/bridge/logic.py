"""VoxelMorphLogic: everything the module can do, with nodes in and nodes out; no widget, no views, no popups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import RegistrationOptions
from ..core.progress import Progress, silent
from .actions.action import action
from .actions.apply import Application, node_steps
from .actions.apply_folders import folder_steps
from .actions.batch import Batch, batch_steps
from .actions.evaluate import Evaluated, evaluation_steps
from .actions.guides import Marked
from .actions.jacobian import jacobian_steps, magnitude_steps
from .actions.register import ScenePair, Side
from .actions.report import report_steps
from .actions.save_transform import save_steps
from .actions.segment import segment_steps
from .actions.sequences import Reference, SequenceJob, sequence_steps
from .actions.split_transform import split_steps
from .actions.template import template_steps
from .actions.train import check_steps, model_id, model_steps, training_steps
from .background.steps import Steps, Task, finish
from .install import MATPLOTLIB, TORCH, TRAINING, Ask, ensure, load_torch, packages_for_model

if TYPE_CHECKING:
    import slicer

    from ..core.image import Image
    from ..registration.result import Registration
    from ..registration.template_request import Request
    from ..training.options import TrainingConfig
    from ..training.recipes import Recipe
    from ..weights.entry import ModelEntry
    from .background.worker import WorkerClient
    from .scene.curve_nodes import Curves


class VoxelMorphLogic:
    """Registration of scene nodes and what follows it, for the console, scripts, tests and the widget.

    Methods are named as Slicer names them. All raise `VoxelMorphError` with one sentence for the user, and leave the
    scene as it was when they do.

    Those marked as actions wait for their result. Each also has `steps`, with the same arguments, for `start`:
    `logic.start(logic.register.steps(fixedNode, movingNode), worker)`. Waiting, they take `worker` in addition: the
    process that registers; None registers in this process, which keeps what it loaded for the next time.
    """

    def __init__(self) -> None:
        self._cache: Any = None

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

    def ensureTrainingPackages(self, ask: Ask) -> None:
        """Install what a training lacks, after one question; see `ensurePackages`."""
        ensure(TRAINING, ask)

    def ensureReportPackages(self, ask: Ask) -> None:
        """Install what the pages of reports lack, after one question; see `ensurePackages`."""
        ensure((TORCH, MATPLOTLIB), ask)

    def finish(self, steps: Steps, worker: WorkerClient | None = None) -> Any:
        """Do the steps of any action, wait, and give their result.

        Args:
            steps: of an action.
            worker: process that registers; None registers in this process.
        """
        return finish(steps, self._computeHere if worker is None else worker.run)

    def start(
        self,
        steps: Steps,
        worker: WorkerClient | None = None,
        onFinished: Callable[[Any], None] = lambda _result: None,
        onFailed: Callable[[Exception], None] = lambda _error: None,
    ) -> Task:
        """Begin an action and return; `poll()` of the answer goes on and calls back, `cancel()` stops.

        Args:
            steps: of an action, as `logic.register.steps(...)` gives them; their first part is done at once.
            worker: process that registers; actions that register need one.
            onFinished: called with the result, once it is in the scene.
            onFailed: called with what went wrong, `Cancelled` and removed nodes included; the scene is unchanged.
        """
        task = Task(steps, None if worker is None else lambda: worker, onFinished, onFailed)
        task.poll()
        return task

    def close(self) -> None:
        """Free what registrations in this process keep for the next one, on the device too."""
        if self._cache is not None:
            from ..registration.register import release_memory

            self._cache = None
            release_memory()

    @action
    def register(
        self,
        fixedNode: slicer.vtkMRMLScalarVolumeNode,
        movingNode: slicer.vtkMRMLScalarVolumeNode,
        model: str | Path | None = None,
        options: RegistrationOptions | None = None,
        initialNode: slicer.vtkMRMLTransformNode | None = None,
        targets: dict[str, slicer.vtkMRMLNode | None] | None = None,
        progress: Progress | None = None,
        weightsDir: Path | None = None,
        allowFallback: bool = False,
        fixedMaskNode: slicer.vtkMRMLNode | None = None,
        movingMaskNode: slicer.vtkMRMLNode | None = None,
        fixedLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        movingLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        fixedSegmentation: slicer.vtkMRMLNode | None = None,
        movingSegmentation: slicer.vtkMRMLNode | None = None,
    ) -> Steps:
        """Register two volume nodes and add the results to their scene. An action.

        Args:
            fixedNode: scalar volume that stays.
            movingNode: scalar volume that is moved; neither input node is changed.
            model: id of the catalogue or a weights file; None takes the default model.
            options: None takes the defaults.
            initialNode: transform under which the moving volume lies roughly on the fixed one.
            fixedMaskNode, movingMaskNode: segmentation or label map on that volume; only what lies inside is looked at.
            fixedLandmarks, movingLandmarks: markups of the same points, by label, else by order, which pull an
                optimisation or refinement and are the start where `options.affine` says so.
            fixedSegmentation, movingSegmentation: segmentations or label maps; structures of the same name, else of
                the same label number, pull each other in an optimisation or refinement.
            targets: node for each wanted output among "moved", "forward", "inverse" and "jacobian", None to create
                one; None creates the first three.
            progress: called with a fraction from 0 to 1 and a text; may raise `Cancelled`.
            weightsDir: folder with weights that were downloaded before.
            allowFallback: where the memory does not suffice, try half resolution, then the processor.

        Returns:
            The node of each wanted output. Under the node "forward" the moving volume, and what belongs to it, lies on
            the fixed one; "inverse" is the opposite direction.
        """
        fixed, moving = Side("fixed", fixedNode, fixedMaskNode), Side("moving", movingNode, movingMaskNode)
        settings = _settings(model, options, weightsDir, allowFallback)
        marked = Marked(fixedLandmarks, movingLandmarks, fixedSegmentation, movingSegmentation)
        return ScenePair(fixed, moving, initialNode, targets, marked, **settings).steps(progress or silent)

    @action
    def registerSequence(
        self,
        sequenceOrProxyNode: slicer.vtkMRMLNode,
        reference: Reference,
        model: str | Path | None = None,
        options: RegistrationOptions | None = None,
        progress: Progress | None = None,
        referenceMaskNode: slicer.vtkMRMLNode | None = None,
        initialNode: slicer.vtkMRMLTransformNode | None = None,
        weightsDir: Path | None = None,
        allowFallback: bool = False,
    ) -> Steps:
        """Register every frame of a 4-D series to one frame or volume. An action.

        Args:
            sequenceOrProxyNode: sequence of scalar volumes, or the volume that shows it; is not changed.
            reference: number of a frame, counted from 0, or a volume.
            model, options: as of `register`, and so are weightsDir and allowFallback.
            progress: called with a fraction and a text that names the frame; may raise `Cancelled`, which keeps
                nothing.
            referenceMaskNode: segmentation or label map on the reference; only what lies inside is looked at.
            initialNode: transform under which every frame lies roughly on the reference.

        Returns:
            A `SequenceResult`: the sequence of moved volumes on the grid of the reference, the sequence of their
            transforms, and the browser that shows both together.
        """
        settings = _settings(model, options, weightsDir, allowFallback)
        job = SequenceJob(sequenceOrProxyNode, reference, referenceMaskNode, initialNode, settings)
        return sequence_steps(job, progress or silent)

    @action
    def applyTransform(
        self,
        nodeOrItem: slicer.vtkMRMLNode | int,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        inverse: bool = False,
        target: slicer.vtkMRMLNode | None = None,
        interpolation: str = "linear",
        progress: Progress | None = None,
    ) -> Steps:
        """Carry a volume, sequence, segmentation, model, markups or a whole folder along. An action.

        Args:
            nodeOrItem: node in the moving space, or number of a folder in the subject hierarchy; is not changed.
            transformNode: forward transform; what is in the fixed space goes back with `inverse` or the inverse node.
            referenceVolume: grid for voxels; None takes the fixed volume of the transform, the moving one back.
            inverse: the opposite direction.
            target: node of the same kind that receives the result, for sequences none; None creates one beside the
                input.
            interpolation: of intensities: "linear", "cubic" or "nearest", while labels are nearest; "multilabel"
                interpolates the borders of labels, and intensities linearly.
            progress: told every node of a folder; may raise `Cancelled`.

        Returns:
            The result, or the list of results of a folder, which is mirrored beside the folder.
        """
        application = Application(transformNode, inverse, referenceVolume, interpolation)
        if isinstance(nodeOrItem, int):
            return folder_steps(nodeOrItem, application, progress or silent)
        return node_steps(nodeOrItem, application, target)

    @action
    def jacobian(
        self,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        target: slicer.vtkMRMLScalarVolumeNode | None = None,
        inverse: bool = False,
    ) -> Steps:
        """Volume of the local volume ratio: 1 keeps the volume, more expands it, 0 and less is a fold. An action.

        Args:
            transformNode: forward transform.
            referenceVolume: grid of the map; None takes the fixed volume of the transform, the moving one back.
            target: volume that receives the map; None creates one beside the reference.
            inverse: of the opposite direction.
        """
        return _drawn(jacobian_steps, Application(transformNode, inverse, referenceVolume), target)

    @action
    def segment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        model: str | Path,
        target: slicer.vtkMRMLSegmentationNode | None = None,
        device: str = "auto",
        progress: Progress | None = None,
    ) -> Steps:
        """Label a volume by a model of the recipe atlas-segmentation, in a process of its own. An action.

        Args:
            volumeNode: is not changed.
            model: id of the catalogue or a weights file.
            target: segmentation that receives the segments; None creates one beside the volume.
            device: that computes.
            progress: called with a fraction and a text; may raise `Cancelled`.
        """
        return segment_steps(volumeNode, model, device, target, progress or silent)

    @action
    def template(
        self,
        model: str | Path,
        attributes: dict[str, float] | None = None,
        targetNode: slicer.vtkMRMLScalarVolumeNode | None = None,
        baseNode: slicer.vtkMRMLScalarVolumeNode | None = None,
        progress: Progress = silent,
        weightsDir: Path | None = None,
    ) -> Steps:
        """Make the template of a model as a volume. An action.

        Args:
            model: id of the catalogue, or a weights file, of the recipe template or conditional-template.
            attributes: of the subject, such as {"age": 71}; the middle of the training for those left out.
            targetNode: receives the template; None creates a node.
            baseNode: volume that the generated one is added to, of files that do not hold it.
            progress: called with a fraction and a text.
            weightsDir: folder with weight files.

        Returns:
            The volume node, in the intensities of the training and with its middle at the origin; its description
            tells the subject.
        """
        return template_steps(model, attributes, targetNode, baseNode, weightsDir, progress)

    @action
    def displacement(
        self,
        transformNode: slicer.vtkMRMLTransformNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        target: slicer.vtkMRMLScalarVolumeNode | None = None,
        inverse: bool = False,
    ) -> Steps:
        """Volume of the length of the displacement, mm. An action; the arguments are those of `jacobian`."""
        return _drawn(magnitude_steps, Application(transformNode, inverse, referenceVolume), target)

    @action
    def saveTransform(
        self,
        transformNode: slicer.vtkMRMLTransformNode,
        path: str | Path,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        inverse: bool = False,
    ) -> Steps:
        """Write a transform into any format that can hold it, those that Slicer cannot write included. An action.

        Args:
            transformNode: any transform; what lies above it in the scene is part of it.
            path: .h5, .tfm, .nrrd, .mha, .nii.gz, .mgz, .npz, and for linear ones .lta, .mat.
            referenceVolume: grid of the displacements of a field; None takes the fixed volume of the transform.
            inverse: of the opposite direction.

        Returns:
            The path.
        """
        return save_steps(Application(transformNode, inverse, referenceVolume), Path(path))

    @action
    def splitTransform(self, transformNode: slicer.vtkMRMLTransformNode, inverse: bool = False) -> Steps:
        """Add the linear and the deformable part of a transform as two nodes. An action.

        Args:
            transformNode: forward or inverse transform of a registration, or any other; is not changed.
            inverse: take the node of the opposite direction.

        Returns:
            Two nodes, the first under the second. What is put under the first lands where `transformNode` places it;
            of a forward transform that is the linear one.
        """
        return split_steps(Application(transformNode, inverse))

    @action
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
    ) -> Steps:
        """Measure a registration: a table with the values before and after of each measure and structure. An action.

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
        return evaluation_steps(Evaluated(*nodes, *drawn, isFresh), table)

    @action
    def report(
        self,
        fixedNode: slicer.vtkMRMLScalarVolumeNode,
        movingNode: slicer.vtkMRMLScalarVolumeNode,
        movedNode: slicer.vtkMRMLScalarVolumeNode | None,
        forwardNode: slicer.vtkMRMLTransformNode,
        path: str | Path,
        fixedSegmentation: slicer.vtkMRMLNode | None = None,
        movingSegmentation: slicer.vtkMRMLNode | None = None,
        fixedLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
        movingLandmarks: slicer.vtkMRMLMarkupsNode | None = None,
    ) -> Steps:
        """Measure a registration and write a page with pictures and all measures. An action.

        Args:
            path: of the .html file; the other arguments are those of `evaluate`.

        Returns:
            The path.
        """
        nodes = fixedNode, movingNode, movedNode, forwardNode
        drawn = fixedSegmentation, movingSegmentation, fixedLandmarks, movingLandmarks
        return report_steps(Evaluated(*nodes, *drawn), Path(path))

    @action
    def registerMany(
        self,
        batch: Batch,
        results: slicer.vtkMRMLTableNode | None = None,
        progress: Progress | None = None,
        command: Sequence[str] | None = None,
    ) -> Steps:
        """Register many pairs by a process of its own; gives the table of results and a line of words. An action.

        Args:
            batch: which pairs, how, and the folder for the results.
            results: receives what became of the pairs; None makes a table.
            progress: called with a fraction and a text.
            command: what to start instead of the batch command.
        """
        return batch_steps(batch, results, progress or silent, command)

    def recipes(self) -> list[Recipe]:
        """The kinds of training in the order in which they are offered."""
        from ..training.recipes import RECIPES

        return list(RECIPES.values())

    def trainingConfig(self, recipe: str = "pairwise", **values: Any) -> TrainingConfig:
        """The options of a training; `help()` of its class lists them all.

        Args:
            recipe: name of one of `recipes`.
            values: options that shall differ from the recipe's defaults.

        Raises:
            ConfigError: an option is unknown or impossible.
        """
        from ..training.recipes import make_config

        return make_config(recipe, values)

    @action
    def train(
        self,
        config: TrainingConfig,
        progress: Progress | None = None,
        resume: bool = False,
        command: Sequence[str] | None = None,
    ) -> Steps:
        """Train a network by a process of its own; gives the lines that it printed. An action.

        Args:
            config: of the training, from `trainingConfig`.
            progress: called with a fraction and a text.
            resume: go on with the training in `config.output_dir`; options that have their defaults stay as they were.
            command: what to start instead of the train command.
        """
        return training_steps(config, progress or silent, resume, command)

    @action
    def checkTraining(
        self, config: TrainingConfig, progress: Progress | None = None, command: Sequence[str] | None = None
    ) -> Steps:
        """Read the data and time one step; gives the plan in words. An action; the arguments are those of `train`."""
        return check_steps(config, progress or silent, command)

    @action
    def addTrainedModel(
        self,
        checkpoint: str | Path,
        name: str,
        progress: Progress | None = None,
        replace: bool = False,
        command: Sequence[str] | None = None,
    ) -> Steps:
        """Make a model of a checkpoint and add it to the model list, under `modelId(name)`. An action.

        Args:
            checkpoint: "best.pt" or "last.pt" of a training.
            name: what a person chooses from the list.
            progress, command: as of `train`.
            replace: whether an own model of that id gives way.
        """
        return model_steps(checkpoint, name, progress or silent, replace, command)

    def modelId(self, name: str) -> str:
        """The id of an own model of that name.

        Raises:
            ConfigError: no letter or digit is left of it.
        """
        return model_id(name)

    def curves(self, folder: str | Path) -> Curves:
        """The curves of the training in a folder as tables and charts of the scene; made where there are none."""
        from .scene.curve_nodes import Curves

        return Curves(folder)

    def _computeHere(self, request: Request, progress: Progress) -> Registration | Image:
        """Register, or make a template, in this process.

        Raises:
            DependencyError: this process cannot load torch.
        """
        load_torch()
        from ..registration.cache import RegistrationCache
        from ..registration.compute import compute
        from ..registration.register import release_memory

        self._cache = self._cache or RegistrationCache.of_application()
        try:
            return compute(request, progress, self._cache)
        finally:
            release_memory()


def _settings(
    model: str | Path | None, options: RegistrationOptions | None, weightsDir: Path | None, allowFallback: bool
) -> dict[str, Any]:
    """The part of a request that has no nodes, by the library's names."""
    return {
        "model": model,
        "options": options or RegistrationOptions(),
        "weights_dir": weightsDir,
        "allow_fallback": allowFallback,
    }


def _drawn(draw: Callable[..., Steps], application: Application, target: slicer.vtkMRMLNode | None) -> Steps:
    """A map of what a transform does."""
    application.check_transform()
    geometry, reference = application.grid(), application.reference_volume()
    return draw(application.path.on_grid(geometry), geometry, reference, target)
