"""Guides of an optimisation beside the images: landmarks and labels of both images that pull each other together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..core.errors import ConfigError, ImageError
from ..core.geometry import Geometry
from ..core.image import LabelMap
from ..core.landmarks import check_inside, check_pairs
from ..core.metrics import target_registration_error
from ..core.spatial import sample_at, warp
from ..core.tensors import as_tensor
from ..core.transform import IDENTITY, Transform
from .gauss_newton import structure_tensor
from .masks import check_labels_meet
from .request import RegistrationRequest
from .similarity import reduce_features
from .velocity_nodes import VelocityNodes, gather, spread

#: A landmark of weight 1 pulls as hard as so many voxels with contents that are off by as much.
LANDMARK_VOXELS = 100.0
#: A voxel where labels differ weighs as much as so many with contents.
LABEL_VOXELS = 5.0
#: Channels of both images, and the voxels of a block per axis.
Channels = tuple[Tensor, Tensor, tuple[int, ...]]
#: More labels than this share the channels.
CHANNELS = 8
#: Labels are compared on blocks of at least so many voxels, which also makes soft borders of hard ones.
BLOCK, FEWEST_BLOCKS = 2, 6


@dataclass(frozen=True, eq=False)
class Guidance:
    """What a person marked in both images, in the patient.

    Args:
        landmarks: (P, 3) of the fixed and of the moving image, RAS mm, or None.
        labels: label maps of the fixed and of the moving image with labels in common, or None.
        landmark_weight, label_weight: how strongly they pull; 1 is usual.
    """

    landmarks: tuple[np.ndarray, np.ndarray] | None = None
    labels: tuple[LabelMap, LabelMap] | None = None
    landmark_weight: float = 1.0
    label_weight: float = 1.0

    @property
    def pulls(self) -> bool:
        """Whether there is anything."""
        return self.landmarks is not None or self.labels is not None

    def described(self) -> str:
        """What pulls, in words; empty where nothing does."""
        parts = []
        if self.landmarks is not None and self.landmark_weight:
            parts.append(f"{len(self.landmarks[0])} pairs of landmarks, weight {self.landmark_weight:g}")
        if self.labels is not None and self.label_weight:
            parts.append(f"{len(common_labels(*self.labels))} labels, weight {self.label_weight:g}")
        return "; ".join(parts)

    def landmark_error(self, transform: Transform) -> float:
        """mm, the mean distance of where the fixed landmarks come to from the moving ones; 0 without landmarks."""
        return 0.0 if self.landmarks is None else float(target_registration_error(*self.landmarks, transform).mean())

    def swapped(self) -> Guidance:
        """The same for the images the other way round."""
        landmarks = None if self.landmarks is None else self.landmarks[::-1]
        return replace(self, landmarks=landmarks, labels=None if self.labels is None else self.labels[::-1])

    def on_grid(self, grid: Geometry, start: Transform, device: str | torch.device = "cpu") -> Guides:
        """The guides of an optimisation on a grid.

        Args:
            grid: that both images are on.
            start: grid space -> moving image.
            device: of the tensors.

        Raises:
            ImageError: no label is left on the grid.
        """
        points = labels = None
        if self.landmarks is not None:
            moving = start.inverse().apply_to_points(self.landmarks[1])
            voxels = [grid.world_to_voxel(place) for place in (self.landmarks[0], moving)]
            own, other = (as_tensor(place, torch.float32).to(device) for place in voxels)
            points = own, other
        if self.labels is not None:
            labels = _label_channels(self.labels, grid, start, device)
        return Guides(points, labels, self.landmark_weight, self.label_weight)


def guidance_of(request: RegistrationRequest) -> Guidance:
    """What is marked in both images of a request.

    Raises:
        ImageError: landmarks that are no pairs, or labels without a common one.
        GeometryError: landmarks or labels that lie elsewhere than their image.
        ConfigError: labels of one image only.
    """
    landmarks = check_pairs(request.fixed_landmarks, request.moving_landmarks)
    if landmarks is not None:
        check_inside(landmarks[0], request.fixed.geometry, "fixed")
        check_inside(landmarks[1], request.moving.geometry, "moving")
    labels = None
    if request.fixed_labels is not None and request.moving_labels is not None:
        labels = request.fixed_labels, request.moving_labels
        common_labels(*labels)
        check_labels_meet(labels[0], request.fixed, "fixed")
        check_labels_meet(labels[1], request.moving, "moving")
    elif request.fixed_labels is not None or request.moving_labels is not None:
        raise ConfigError("Labels of only one image cannot pull. Give those of the fixed and of the moving image.")
    options = request.options
    return Guidance(landmarks, labels, options.landmark_weight, options.label_weight)


def common_labels(fixed: LabelMap, moving: LabelMap) -> np.ndarray:
    """The label numbers that occur in both.

    Raises:
        ImageError: there are none.
    """
    common = np.intersect1d(fixed.labels(), moving.labels())
    if not len(common):
        raise ImageError(
            f"{fixed.name} (labels {_listed(fixed)}) and {moving.name} (labels {_listed(moving)}) have no label in "
            "common. Give the same structures the same numbers in both."
        )
    return common


class Guides:
    """Landmarks and labels on the grid of an optimisation.

    Args:
        points: (P, 3) of the fixed and of the moving image, voxels; or None.
        labels: of both images (1, C, *blocks), with the voxels of a block per axis; or None.
        landmark_weight, label_weight: see `Guidance`.
    """

    def __init__(
        self,
        points: tuple[Tensor, Tensor] | None,
        labels: Channels | None,
        landmark_weight: float = 1.0,
        label_weight: float = 1.0,
    ):
        self.points, self.labels = points, labels
        self.landmark_weight, self.label_weight = landmark_weight, label_weight

    def towards(self, nodes: VelocityNodes, scale: Sequence[int], contrast: float, back: bool) -> Guide:
        """The guide of one direction at one resolution.

        Args:
            nodes: of the velocity.
            scale: voxels of the full grid per voxel of this resolution, per axis.
            contrast: of the images there, the mean energy of one voxel with contents.
            back: whether the fixed image is moved.
        """
        parts: list[_Landmarks | _Labels] = []
        if self.points is not None:
            weight = LANDMARK_VOXELS * self.landmark_weight * contrast
            own, other = reversed(self.points) if back else self.points
            parts.append(_Landmarks(own, other, nodes, scale, weight))
        if self.labels is not None:
            weight = LABEL_VOXELS * self.label_weight * contrast
            fixed, moving, block = self.labels
            parts.append(_Labels(*((moving, fixed) if back else (fixed, moving)), block, nodes, scale, weight))
        return Guide(parts)


class Guide:
    """What pulls in one direction.

    Args:
        parts: the landmarks, the labels, or both.
    """

    def __init__(self, parts: Sequence[_Landmarks | _Labels]):
        self.parts = parts
        #: (1, 6, *nodes), to be added to that of the images; see `gauss_newton.structure_tensor`.
        self.curvature = sum((part.curvature for part in parts[1:]), parts[0].curvature)
        #: Of the last energy, in a unit that tells whether it still falls: squares of voxels, shares of labels.
        self.loss = 0.0

    def energy(self, field: Tensor) -> Tensor:
        """Energy of a displacement on the nodes (1, 3, *nodes), voxels of the full grid; differentiable."""
        energies = [part.energy(field) for part in self.parts]
        self.loss = sum(float(energy.detach()) / part.unit for energy, part in zip(energies, self.parts))
        return torch.stack(energies).sum()


class _Landmarks:
    """Half the squared distances between where landmarks of one image come to and those of the other."""

    def __init__(self, own: Tensor, other: Tensor, nodes: VelocityNodes, scale: Sequence[int], weight: float):
        spacing = torch.tensor(nodes.spacing, dtype=own.dtype, device=own.device)
        self.places = (own / spacing).T[None]
        self.wanted = (other - own).T[None]
        # In voxels of this resolution, so that a landmark is to a node at every one what it is at the others.
        self.stiffness = weight / float(np.prod(scale)) ** (2 / 3)
        self.unit = max(weight * len(own), 1e-12)
        self.curvature = torch.zeros(1, 6, *nodes.shape, device=own.device)
        self.curvature[:, [0, 3, 5]] = self.stiffness * self._reached(nodes.shape)

    def energy(self, field: Tensor) -> Tensor:
        return 0.5 * self.stiffness * (sample_at(field, self.places) - self.wanted).square().sum()

    def _reached(self, shape: Sequence[int]) -> Tensor:
        """(1, 1, *nodes): how much of every node is in the displacements of the landmarks."""
        with torch.enable_grad():
            nodes = torch.zeros(1, 1, *shape, device=self.places.device, requires_grad=True)
            (reached,) = torch.autograd.grad(sample_at(nodes, self.places).sum(), nodes)
        return reached


class _Labels:
    """Half the squared differences between the memberships of one image's labels, moved, and those of the other."""

    def __init__(
        self,
        fixed: Tensor,
        moving: Tensor,
        block: tuple[int, ...],
        nodes: VelocityNodes,
        scale: Sequence[int],
        weight: float,
    ):
        further = [max(1, round(s / b)) for s, b in zip(scale, block)]
        further = [min(f, max(1, n // FEWEST_BLOCKS)) for f, n in zip(further, fixed.shape[2:])]
        self.reference, self.moving = reduce_features(fixed, further), reduce_features(moving, further)
        sides = [b * f for b, f in zip(block, further)]
        places = [torch.arange(n, dtype=torch.float32) * s + (s - 1) / 2 for n, s in zip(self.moving.shape[2:], sides)]
        self.weights = nodes.weights(places)
        self.sides = torch.tensor(sides, dtype=torch.float32, device=fixed.device).view(1, 3, 1, 1, 1)
        self.weight = weight * float(np.prod(sides) / np.prod(scale))  # by the voxels of the images in a block
        labelled = max(float(self.reference.square().sum()), float(self.moving.square().sum()))
        self.unit = max(self.weight * labelled, 1e-12)
        self.curvature = self.weight * gather(structure_tensor(self.reference, sides), self.weights)

    def energy(self, field: Tensor) -> Tensor:
        moved = warp(self.moving, spread(field, self.weights) / self.sides)
        return 0.5 * self.weight * (moved - self.reference).square().sum()


def _label_channels(
    labels: tuple[LabelMap, LabelMap], grid: Geometry, start: Transform, device: str | torch.device
) -> Channels:
    """Memberships (1, C, *blocks) of the common labels in both images, and the voxels of a block."""
    common = common_labels(*labels)
    codes = _codes(len(common))
    block = tuple(min(BLOCK, max(1, n // FEWEST_BLOCKS)) for n in grid.shape)
    arrays = [through.resample(one, grid).array for through, one in zip((IDENTITY, start), labels)]
    channels = [_memberships(array, common, codes, block).to(device) for array in arrays]
    for values, label_map in zip(channels, labels):
        if not values.any():
            raise ImageError(
                f"{label_map.name} has none of the common labels where the images are compared ({grid}). Check that "
                "label maps and volumes lie at the same places, or give a start that brings them together."
            )
    return channels[0], channels[1], block


def _codes(count: int) -> Tensor:
    """(labels, C) unit vectors: an own channel each, or for many labels directions that differ as far as they can."""
    if count <= CHANNELS:
        return torch.eye(count)
    directions = torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(count))
    return directions / directions.norm(dim=1, keepdim=True)


def _memberships(array: np.ndarray, common: np.ndarray, codes: Tensor, block: tuple[int, ...]) -> Tensor:
    nearest = np.searchsorted(common, array).clip(max=len(common) - 1)
    numbers = as_tensor(np.where(common[nearest] == array, nearest + 1, 0))
    table = torch.cat([torch.zeros(1, codes.shape[1]), codes])
    return torch.cat([reduce_features(channel[numbers][None, None], block) for channel in table.T], dim=1)


def _listed(labels: LabelMap) -> str:
    values = [str(value) for value in labels.labels()]
    return ", ".join(values[:5]) + (f" and {len(values) - 5} more" if len(values) > 5 else "") if values else "none"
