"""SurfacesTask: a dense network learns from images and the surfaces of labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.arrays import signed_distance
from ...core.errors import ImageError
from ...core.losses.by_name import make_loss
from ...core.resize import resize
from ...core.tensors import as_array, as_tensor
from ...networks.dense import VxmDense
from ...networks.semi_supervised import VxmDenseSemiSupervisedPointCloud
from ..data.case import Batch, DatasetInfo
from ..recipes import SurfacesConfig
from .registration import LABELS, POINTS, RegistrationTask, check_labels, sample_generators, weighted

#: Seeds the choice of points on a large surface, which is always the same.
_SEED = 0


class SurfacesTask(RegistrationTask):
    """Points on fixed surfaces, moved by the displacement, should lie on moving ones; the exported network needs none.

    Raises:
        ConfigError: there are no label maps.
    """

    network_class = VxmDenseSemiSupervisedPointCloud

    def __init__(self, config: SurfacesConfig, info: DatasetInfo):
        check_labels(config, info)
        super().__init__(config, info)
        if config.use_probs:
            self.penalty_term = make_loss("kl", prior_lambda=config.prior_lambda)

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "use_probs": self.config.use_probs}

    def derive(self, image: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """Surfaces of a case with L labels; distances, points and presence of a missing label are 0.

        Returns:
            "distance": (L, *own) signed distances in image voxels, float16 to save memory; "points":
            (L, surf_points, N) voxels; "present": (L,), 1 or 0.

        Raises:
            ImageError: the case has no label map.
        """
        if labels is None:
            raise ImageError("A case without label map has no surfaces. Give the label map of every image.")
        shape, count = tuple(labels.shape[1:]), self.config.surf_points
        distance = torch.zeros(len(self.info.labels), *shape)
        points = torch.zeros(len(distance), count, len(shape))
        present = torch.zeros(len(distance))
        for channel, value in enumerate(self.info.labels):
            mask = as_array(labels[0]) == value
            if mask.any() and not mask.all():
                found = label_surface(mask, count)
                distance[channel], points[channel] = (as_tensor(array) for array in found)
                present[channel] = 1
        return {"distance": self._reduced(distance).half(), "points": points, "present": present}

    @classmethod
    def derived_bytes(cls, config: SurfacesConfig, shape: tuple[int, ...], labels: tuple[int, ...]) -> int:
        distance = 2 * prod(_reduced_shape(shape, config.sdt_resize))
        points, present = 4 * len(shape) * config.surf_points, 4
        return len(labels) * (distance + points + present)

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        extras, config = batch.extras, self.config
        channels = self._channels(batch)
        inputs = [extras["moving_distance"].float(), self._points(extras["fixed_points"], channels, batch)]
        if config.surf_bidir:
            inputs += [extras["fixed_distance"].float(), self._points(extras["moving_points"], channels, batch)]
        output = network(batch.moving, batch.fixed, *inputs, generator=generator)
        weights = (extras["fixed_present"] * extras["moving_present"]).gather(1, channels)
        terms = {
            **self.registration_terms(output.registration, batch),
            "surface": (config.surface_weight, lambda: self._mean(output.distance, weights)),
        }
        if config.surf_bidir:
            terms["surface_back"] = (config.surface_weight, lambda: self._mean(output.fixed_distance, weights))
        return weighted(terms)

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        dense = VxmDense(**self.arguments())
        dense.load_state_dict(self.network.state_dict())
        return dense, "VxmDense", self.arguments()

    def _reduced(self, distance: Tensor) -> Tensor:
        if self.config.sdt_resize == 1:
            return distance
        return resize(distance[None], _reduced_shape(distance.shape[1:], self.config.sdt_resize))[0]

    def _channels(self, batch: Batch) -> Tensor:
        """(B, P): the label of every point, the same number of each label of the step."""
        labels, count = len(self.info.labels), self.config.surf_points
        wanted = min(self.config.labels_per_step or labels, labels)
        generators = sample_generators(self.config.seed, batch, LABELS)
        rows = [torch.randperm(labels, generator=g)[:wanted] for g in generators]
        return torch.stack([row[torch.arange(count) % wanted] for row in rows]).to(batch.fixed.device)

    def _points(self, points: Tensor, channels: Tensor, batch: Batch) -> Tensor:
        """(B, P, N + 1): one of the points (B, L, M, N) of every channel (B, P), and the channel."""
        generators = sample_generators(self.config.seed, batch, POINTS)
        drawn = [torch.randint(points.shape[2], channels.shape[1:], generator=g) for g in generators]
        index = torch.stack(drawn).to(points.device)
        rows = torch.arange(len(points), device=points.device)[:, None]
        return torch.cat([points[rows, channels, index], channels[..., None].to(points.dtype)], dim=-1)

    def _mean(self, distance: Tensor, weights: Tensor) -> Tensor:
        """Squared distances in units of `dt_sigma`, averaged over the points that count."""
        return ((distance / self.config.dt_sigma).square() * weights).sum() / weights.sum().clamp(min=1)


def label_surface(mask: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The surface of one label.

    Args:
        mask: (I, J, K), true inside, at least one voxel and not all of them.
        count: of the points.

    Returns:
        The signed distance (I, J, K) float32, voxels, negative inside; and points (count, 3) float32, voxels, where it
        is 0 between two voxels. A small surface's points occur several times.
    """
    distances = signed_distance(mask)
    points = _crossings(distances)
    random = np.random.default_rng(_SEED)
    times = -(-count // len(points))
    chosen = np.concatenate([random.permutation(len(points)) for _ in range(times)])[:count]
    return distances.astype(np.float32), points[chosen].astype(np.float32)


def _reduced_shape(shape: Sequence[int], share: float) -> list[int]:
    """Of the distances."""
    return [max(2, round(n * share)) for n in shape]


def _crossings(distances: np.ndarray) -> np.ndarray:
    """(P, 3): where the line between two neighbouring voxels changes its sign."""
    found = []
    for axis in range(distances.ndim):
        below, above = (np.take(distances, range(s, distances.shape[axis] - 1 + s), axis) for s in (0, 1))
        places = np.argwhere((below < 0) != (above < 0))
        first, second = below[tuple(places.T)], above[tuple(places.T)]
        points = places.astype(float)
        points[:, axis] += first / (first - second)
        found.append(points)
    return np.concatenate(found)
