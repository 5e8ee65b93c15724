"""The distances of the landmarks, told anew whenever one of them is moved."""

from __future__ import annotations

import warnings

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ...core.errors import VoxelMorphError
from ...core.metrics import target_registration_error
from ...core.transform import IDENTITY, Transform
from ..scene.landmarks import landmark_pairs
from ..scene.scene_path import ScenePath
from .progress_section import sentence_of

#: What changes where the points of a markups node are.
_POINTS = (
    *("PointModifiedEvent", "PointAddedEvent", "PointRemovedEvent", "PointPositionDefinedEvent"),
    *("PointPositionUndefinedEvent", "PointPositionMissingEvent"),
)


class LandmarkErrors:
    """One label that follows the landmarks and the transform of the chosen configuration.

    Args:
        label: of the panel; hidden without landmarks.
    """

    def __init__(self, label):
        self.label = label
        self._nodes: tuple[slicer.vtkMRMLNode | None, ...] = ()
        self._observed: list[tuple[slicer.vtkMRMLNode, int]] = []
        self._show()

    def follow(self, parameters) -> None:
        """Show the landmarks of a configuration; None shows none.

        Args:
            parameters: gives landmarks, and what leads from the fixed ones to the moving ones: the forward transform,
                before a registration the initial transform.
        """
        nodes: tuple[slicer.vtkMRMLNode | None, ...] = ()
        if parameters is not None:
            path = parameters.forwardTransform or parameters.initialTransform
            nodes = (parameters.fixedLandmarks, parameters.movingLandmarks, path)
        if nodes != self._nodes:
            self.close()
            self._nodes = nodes
            self._observe()
            self._show()

    def close(self) -> None:
        """Follow nothing any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._nodes, self._observed = (), []

    def _observe(self) -> None:
        for node in filter(None, self._nodes):
            events = [slicer.vtkMRMLTransformableNode.TransformModifiedEvent]
            if isinstance(node, slicer.vtkMRMLMarkupsNode):
                events += [getattr(node, name) for name in _POINTS]
            else:
                events += [vtk.vtkCommand.ModifiedEvent]
            self._observed += [(node, node.AddObserver(event, self._show)) for event in events]

    def _show(self, *_event) -> None:
        text = self._text()
        self.label.text = text
        self.label.visible = bool(text)

    def _text(self) -> str:
        if not self._nodes or None in self._nodes[:2]:
            return ""
        fixed, moving, path = self._nodes
        try:
            pairs = landmark_pairs(fixed, moving, () if path is None else ScenePath(path).own_nodes())
        except VoxelMorphError as error:
            return sentence_of(error)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            errors = target_registration_error(pairs.fixed, pairs.moving, _transform(path))
        if not np.isfinite(errors).all():
            return ""
        return _sentence(errors, pairs.names)


def _transform(path: slicer.vtkMRMLTransformNode | None) -> Transform:
    return IDENTITY if path is None else ScenePath(path).through_vtk()


def _sentence(errors: np.ndarray, names: tuple[str, ...]) -> str:
    worst = int(errors.argmax())
    text = _("Landmarks: {mean} mm apart on average, {most} mm at most ({name})")
    name = names[worst] or _("number {count}").format(count=worst + 1)
    return text.format(mean=f"{errors.mean():.2f}", most=f"{errors[worst]:.2f}", name=name)
