"""A registration of two volume nodes: what it reads from the scene at its start and writes into it at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

import slicer

from ...core.errors import ImageError, OutputError
from ...core.progress import Progress
from ...registration.request import RegistrationRequest
from ..background.steps import Registering, Steps
from ..scene.placement import is_under, matrix_to_world
from ..scene.result_nodes import CLASSES, NEW_NODES, check_targets, pair_of, set_pair, write_registration
from ..scene.rollback import unchanged_on_failure
from ..scene.scene_path import ScenePath, set_initial
from ..scene.segment_layers import mask_from_node
from ..scene.volume_nodes import image_from_node
from .guides import Marked
from .jacobian import write_jacobian

if TYPE_CHECKING:
    from ...registration.result import Registration

#: Output in addition to those of `write_registration`: the map of local volume changes.
JACOBIAN = "jacobian"


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two volumes of a registration.

    Args:
        role: "fixed" or "moving".
        node: the volume.
        mask: segmentation or label map node that marks the region to compare; None compares everything.
    """

    role: str
    node: slicer.vtkMRMLScalarVolumeNode
    mask: slicer.vtkMRMLNode | None = None

    def check(self) -> None:
        """Refuse what is no volume.

        Raises:
            ImageError: as said.
        """
        if not isinstance(self.node, slicer.vtkMRMLScalarVolumeNode):
            image_from_node(self.node, self.role)

    def read(self, *ignored: slicer.vtkMRMLTransformNode | None) -> dict[str, Any]:
        """The fields of a `RegistrationRequest` that this side gives, by name.

        Args:
            ignored: transforms that do not count where volume and mask lie under them.

        Raises:
            ImageError: the volume cannot be registered, or the mask is empty.
            GeometryError: a non-linear parent, a sheared grid, or a mask outside the volume.
        """
        image = image_from_node(self.node, self.role, matrix_to_world(self.node, *ignored))
        return {self.role: image, f"{self.role}_mask": mask_from_node(self.mask, image, self.role, *ignored)}


class ScenePair:
    """Two volume nodes to be registered, read once; the nodes may change, move or disappear afterwards.

    Args:
        fixed, moving: what is registered; a volume that lies under the initial transform, or under what an earlier
            registration of both wrote into one of the targets, is read where it was before, and so is its mask.
        initial: transform node fixed -> moving that comes before all others.
        targets: node for each wanted output among "moved", "forward", "inverse" and "jacobian", None to create one;
            None for the first three.
        marked: what starts or pulls the registration.
        settings: the other fields of a `RegistrationRequest` by name.

    Raises:
        ImageError: no volume, the same volume twice, one that cannot be registered, an empty mask, or landmarks or
            structures that do not belong together.
        GeometryError: a volume under a non-linear parent, a sheared grid, or a mask outside its volume.
        OutputError: an output that is an input, used twice, or no longer in the scene.
    """

    def __init__(
        self,
        fixed: Side,
        moving: Side,
        initial: slicer.vtkMRMLTransformNode | None = None,
        targets: Mapping[str, Optional[slicer.vtkMRMLNode]] | None = None,
        marked: Marked | None = None,
        **settings: Any,
    ):
        self.fixed_node, self.moving_node = fixed.node, moving.node
        self.targets = dict(NEW_NODES if targets is None else targets)
        self.initial_node = initial
        for side in (fixed, moving):
            side.check()
        self._check(fixed.mask, moving.mask)
        self.scene = fixed.node.GetScene()
        ignored = self._earlier_nodes("inverse"), (initial, *self._earlier_nodes("forward"))
        request = RegistrationRequest(**fixed.read(*ignored[0]), **moving.read(*ignored[1]), **settings)
        if marked is not None:
            request = replace(request, **marked.read(request.fixed, request.moving, *ignored))
        if initial is not None:
            request = replace(request, initial=ScenePath(initial).captured(request.fixed.geometry))
        self.moving_grid = request.moving.geometry
        self._request: RegistrationRequest | None = request

    def steps(self, progress: Progress) -> Steps:
        """Register and write; returns the node of each wanted output. Works once, as the voxels are not kept."""
        request, self._request = self._request, None
        registration = yield Registering(request, progress)
        del request
        return self.write(registration)

    def write(self, registration: Registration) -> dict[str, slicer.vtkMRMLNode]:
        """Put the results into the scene, all or none.

        Raises:
            OutputError: a volume or an output was removed since the start; the scene is not touched.
            GeometryError: a volume changed its shape since the start.
        """
        self._check_present()
        registered = {name: node for name, node in self.targets.items() if name != JACOBIAN}
        used = [node for node in self.targets.values() if node is not None]
        with unchanged_on_failure(self.scene, used):
            nodes = write_registration(registration, self.fixed_node, self.moving_node, registered, self.moving_grid)
            if "forward" in nodes:
                set_initial(nodes["forward"], self.initial_node)
            if JACOBIAN in self.targets:
                grid, target = registration.moved.geometry, self.targets[JACOBIAN]
                nodes[JACOBIAN] = write_jacobian(registration.forward, grid, self.fixed_node, target)
                set_pair(nodes[JACOBIAN], self.fixed_node, self.moving_node)
        return nodes

    def _check(self, *masks: slicer.vtkMRMLNode | None) -> None:
        if self.fixed_node is self.moving_node:
            raise ImageError(
                f"{self.fixed_node.GetName()} is both the fixed and the moving volume. Choose two different volumes."
            )
        check_targets(self.targets, self.fixed_node, self.moving_node, CLASSES)
        roles = [(self.initial_node, "the initial transform"), *((mask, "a mask") for mask in masks)]
        for output, node in self.targets.items():
            for role in (role for taken, role in roles if node is not None and node is taken):
                raise OutputError(
                    f"{node.GetName()} is {role} and cannot receive the {output} output. Choose another node."
                )
        for output, volume in (("forward", self.fixed_node), ("inverse", self.moving_node)):
            node = self.targets.get(output)
            if node is not None and is_under(volume, node):
                raise OutputError(
                    f"{volume.GetName()} lies under {node.GetName()} and would be moved by the {output} output. Choose "
                    "another node."
                )

    def _earlier_nodes(self, output: str) -> tuple[slicer.vtkMRMLTransformNode, ...]:
        """The nodes that an earlier registration of the same volumes wrote or contained, in the target of an output."""
        node = self.targets.get(output)
        if node is None or pair_of(node) != (self.fixed_node, self.moving_node):
            return ()
        return ScenePath(node).own_nodes()

    def _check_present(self) -> None:
        nodes = (self.fixed_node, self.moving_node, self.initial_node, *self.targets.values())
        gone = [node.GetName() for node in nodes if node is not None and node.GetScene() is not self.scene]
        if gone:
            raise OutputError(
                f"The result was dropped because {' and '.join(gone)} left the scene while the registration ran; "
                "nothing was changed."
            )
