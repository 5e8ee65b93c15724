"""A transform node applied to another node: volume, label map, sequence, segmentation, model or markups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import slicer

from ...core.errors import GeometryError, OutputError
from ...core.geometry import Geometry
from ...core.image_resampling import MULTILABEL
from ..background.steps import Steps, finish
from ..scene.frames import holds_volumes
from ..scene.placement import matrix_to_world
from ..scene.rollback import place_beside, unchanged_on_failure
from ..scene.scene_path import ScenePath
from ..scene.volume_nodes import volume_geometry
from .apply_points import apply_to_points
from .apply_segmentations import segmentation_steps
from .apply_sequences import sequence_steps
from .apply_volumes import volume_steps

#: Classes of nodes that a transform can move, beside sequences of volumes; other nodes in a folder are left out.
KINDS = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode")


@dataclass(frozen=True, eq=False)
class Application:
    """One transform in one direction, ready for any number of nodes.

    Args:
        transform_node: forward or inverse transform of a registration, or any other transform.
        inverse: go against the node's direction.
        reference: volume on whose grid voxels are resampled; None takes the one that the transform was made for.
        interpolation: of intensities: "linear", "cubic" or "nearest"; "multilabel" interpolates the borders of labels
            too, and intensities linearly.
    """

    transform_node: slicer.vtkMRMLTransformNode
    inverse: bool = False
    reference: slicer.vtkMRMLScalarVolumeNode | None = None
    interpolation: str = "linear"

    @property
    def path(self) -> ScenePath:
        """The path along which voxels are fetched; points take the opposite direction."""
        return ScenePath(self.transform_node, self.inverse)

    def steps(self, node: slicer.vtkMRMLNode, target: slicer.vtkMRMLNode | None = None) -> Steps:
        """Compute the moved node without changing the scene.

        Returns a function that writes it, into `target` or a new node beside `node`. See `Steps` and `apply_transform`.
        """
        if isinstance(node, slicer.vtkMRMLSequenceNode):
            write = yield from sequence_steps(node, self.path, self.grid(), self.interpolation_of, target)
        elif isinstance(node, slicer.vtkMRMLVolumeNode):
            resampling = yield from self._resampling(node)
            write = yield from volume_steps(node, *resampling, target, self.interpolation_of(node))
        elif isinstance(node, slicer.vtkMRMLSegmentationNode):
            resampling = yield from self._resampling(node)
            write = yield from segmentation_steps(
                node, *resampling, target, self.reference_volume(), self.interpolation == MULTILABEL
            )
        else:
            backward = self.path.reversed().through_vtk()
            write = partial(apply_to_points, node, backward, self.path.transform_to_world(node), target)
        return partial(_written, write, node, created=target is None)

    def interpolation_of(self, node: slicer.vtkMRMLVolumeNode) -> str:
        """How a volume is resampled: only labels are voted about."""
        is_labels = isinstance(node, slicer.vtkMRMLLabelMapVolumeNode)
        return "linear" if self.interpolation == MULTILABEL and not is_labels else self.interpolation

    def check(self, node: slicer.vtkMRMLNode | None, target: slicer.vtkMRMLNode | None = None) -> None:
        """Refuse nodes that are missing, left the scene, are of a wrong kind or have two roles."""
        self.check_transform()
        if node is None:
            raise OutputError("There is nothing to move. Choose a volume, segmentation, model, markups or a folder.")
        _check_present(node, target)
        if not can_be_moved(node):
            raise OutputError(
                f"{node.GetName()} is a {node.GetClassName()}, which a transform cannot be applied to. "
                "Choose a volume, a sequence of volumes, a segmentation, a model or markups."
            )
        if target is not None and target in (node, self.transform_node, self._named_volume()):
            raise OutputError(f"{target.GetName()} is an input and cannot receive the result. Choose another node.")

    def check_transform(self) -> None:
        """Refuse a transform or a reference volume that is missing or left the scene."""
        if self.transform_node is None:
            raise OutputError("There is no transform to apply. Register first, or choose a transform.")
        _check_present(self.transform_node, self.reference)

    def _resampling(self, node: slicer.vtkMRMLTransformableNode) -> Steps:
        """What resampling needs: transform without VTK, own coordinates -> world, and grid of the result."""
        grid = self.grid()
        to_world = self.path.matrix_to_world(node)
        transform = yield from self.path.sampled(grid)
        return transform, to_world, grid

    def grid(self) -> Geometry:
        """The grid that voxels are resampled onto, in world coordinates."""
        reference = self.reference_volume()
        # A moving volume that was put under its transform is the reference of the inverse: its earlier place counts.
        ignored = (*self.path.own_nodes(), *self.path.reversed().own_nodes())
        return volume_geometry(reference, matrix_to_world(reference, *ignored))

    def reference_volume(self) -> slicer.vtkMRMLScalarVolumeNode:
        """The chosen volume, else the one that the transform was made for in its direction."""
        volume = self._named_volume()
        if volume is None:
            name = self.transform_node.GetName()
            raise GeometryError(f"The transform {name} names no volume to resample onto. Choose a reference volume.")
        return volume

    def _named_volume(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        if self.reference is not None:
            return self.reference
        node = self.transform_node
        return node.GetNodeReference(
            node.GetMovingNodeReferenceRole() if self.inverse else node.GetFixedNodeReferenceRole()
        )


def can_be_moved(node: slicer.vtkMRMLNode | None) -> bool:
    """True for volumes, sequences of them, segmentations, models and markups."""
    return node is not None and (holds_volumes(node) or any(node.IsA(kind) for kind in KINDS))


def apply_transform(
    node: slicer.vtkMRMLNode, application: Application, target: slicer.vtkMRMLNode | None = None
) -> slicer.vtkMRMLNode:
    """Move one node at once; see `node_steps`."""
    return finish(node_steps(node, application, target))


def node_steps(node: slicer.vtkMRMLNode, application: Application, target: slicer.vtkMRMLNode | None = None) -> Steps:
    """Move one node; when anything fails the scene is unchanged.

    Images, label maps, all frames of a sequence and segmentations are resampled once onto the grid of the reference
    volume. The points of models
    and markups are moved in the opposite direction. Parent transforms of the node are respected, and a node that is
    under the transform already is not moved twice.

    Args:
        node: volume, sequence of volumes, segmentation, model or markups; is not changed.
        application: which transform, and how.
        target: node of the same kind that receives the result; None creates one beside `node`.

    Raises:
        OutputError: a node that cannot be moved or left the scene, or an unsuitable target.
        GeometryError: no volume to resample onto, or one under a non-linear parent.
        ImageError: a volume or segmentation without content.
    """
    application.check(node, target)
    scene = node.GetScene()
    write = yield from application.steps(node, target)
    application.check(node, target)  # time has passed
    with unchanged_on_failure(scene, [] if target is None else [target]):
        return write()


def _check_present(*nodes: slicer.vtkMRMLNode | None) -> None:
    for node in nodes:
        if node is not None and node.GetScene() is None:
            raise OutputError(f"{node.GetName()} is no longer in the scene. Load it again and repeat.")


def _written(write: Callable, node: slicer.vtkMRMLNode, created: bool) -> slicer.vtkMRMLNode:
    result = write()
    if created:
        place_beside(result, node)
    return result
