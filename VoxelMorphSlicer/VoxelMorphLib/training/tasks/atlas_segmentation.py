"""AtlasSegmentationTask: a probabilistic atlas, from files or label maps, learns to label images."""

from __future__ import annotations

import dataclasses
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.filters import gaussian
from ...core.io.npz import read_npz
from ...core.io.paths import is_file
from ...core.losses.anatomy import soft_dice
from ...core.tensors import as_tensor
from ...networks.atlas_segmentation import ProbAtlasSegmentation
from ..data.case import Batch, DatasetInfo, Intensities
from ..recipes import AtlasSegmentationConfig
from .registration import RegistrationTask, one_hot, weighted

#: Arguments of a VxmDense that follow from the atlas.
_OWN = ("moving_features", "fixed_features")
#: Intensities run from 0 to 1; even a label of constant intensity is taken to have some noise.
_SMALLEST_SIGMA = 0.05


class AtlasSegmentationTask(RegistrationTask):
    """The deformed atlas explains each image; pairs are registered via the atlas.

    Raises:
        ConfigError: there is no atlas, or the images have several channels.
        ImageError: the file of the atlas or of the intensities cannot be read.
    """

    samples = "single"
    needs_mean = True
    network_class = ProbAtlasSegmentation

    def __init__(self, config: AtlasSegmentationConfig, info: DatasetInfo):
        if info.channels != 1:
            raise ConfigError(
                f"The recipe atlas-segmentation knows images of one channel, these have {info.channels}. Choose one."
            )
        self.atlas = make_prob_atlas(config, info)
        known = known_intensities(config, info, len(self.atlas)) or _estimated(info, self.atlas)
        super().__init__(config, dataclasses.replace(info, intensities=known))
        self._watch = AtlasWatch()

    def arguments(self) -> dict[str, Any]:
        known = zip(("means", "sigmas"), map(list, self.info.intensities or ()))
        return {
            **{name: value for name, value in super().arguments().items() if name not in _OWN},
            "labels": len(self.atlas),
            "atlas_shape": list(self.info.shape),
            "warp_atlas": self.config.warp_atlas,
            "stats_after_warp": self.config.stat_post_warp,
            **dict(known),
        }

    def build(self) -> nn.Module:
        network = super().build()
        network.start_from(self.atlas)
        return network

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        output = network(batch.fixed, generator=generator)
        self._watch(lambda: output.posterior.detach(), self.network.atlas)
        return weighted(
            {
                "evidence": (self.config.image_weight, lambda: -output.log_evidence.mean()),
                "penalty": (self.config.smoothness, lambda: self.penalty_term(output.registration.regularised)),
            }
        )

    def labels_of(self, network: nn.Module, image: Tensor) -> Tensor | None:
        if self.config.prob_atlas or len(self.info.labels) + 1 != len(self.atlas):
            return None  # nobody knows which channel is which label
        numbers = torch.tensor((0, *self.info.labels), device=image.device)
        return numbers[network(image).posterior.argmax(1, keepdim=True)]

    def images(self) -> dict[str, Tensor]:
        return {"atlas": self.network.atlas.clone()}


class AtlasWatch:
    """Warns once when the labels that are found agree with the atlas much less than at first.

    The loss may fall all the while: Gaussians that explain the image better than the labels do, and an atlas that is
    bent to where they fit, have no likeness to the labels any more.
    """

    #: Steps between two looks, looks that are averaged, and the part of the first agreement that is too little.
    EVERY, LOOKS, LEAST = 10, 5, 0.8

    def __init__(self) -> None:
        self._steps, self._agreements, self._first, self._told = 0, deque[float](maxlen=self.LOOKS), 0.0, False

    def __call__(self, posterior: Callable[[], Tensor], atlas: Tensor) -> None:
        """Look at (B, L, *shape) beside the atlas (L, *shape), at some of the steps."""
        self._steps += 1
        if self._told or self._steps % self.EVERY or len(atlas) < 2:
            return
        found = posterior()
        self._agreements.append(float(soft_dice(atlas[None, 1:].expand_as(found[:, 1:]), found[:, 1:])[0].mean()))
        now = sum(self._agreements) / len(self._agreements)
        if len(self._agreements) < self.LOOKS or not self._first:
            self._first = now
        elif now < self.LEAST * self._first:
            self._told = True
            warnings.warn(
                f"The labels that the network finds leave its atlas: their overlap with it is {now:.2f}, at first it "
                f"was {self._first:.2f}, however the loss falls. Raise smoothness or lower lr; with validation pairs "
                "that have label maps the best network is kept.",
                stacklevel=2,
            )


def make_prob_atlas(config: AtlasSegmentationConfig, info: DatasetInfo) -> Tensor:
    """The atlas that a configuration names.

    Returns:
        (L, *shape), float32, sums to 1; background first unless a file says otherwise.

    Raises:
        ConfigError: there is none, or its shape is not that of the training space.
        ImageError: the file cannot be read.
    """
    if config.prob_atlas:
        atlas = _read(config.prob_atlas, info.shape)
    elif info.atlas_labels is not None and info.labels:
        atlas = gaussian(one_hot(info.atlas_labels[None], (0, *info.labels)), config.atlas_blur, "border")[0]
    elif info.label_mean is not None:
        atlas = info.label_mean.float()
    else:
        raise ConfigError(
            "The recipe atlas-segmentation needs a probabilistic atlas. Give prob_atlas, atlas and atlas_labels, or "
            "label_list."
        )
    return atlas / atlas.sum(0, keepdim=True).clamp(min=1e-6)


def count_atlas_labels(path: str) -> int:
    """How many labels the atlas in an .npz file has.

    Raises:
        ImageError: the file cannot be read.
    """
    return read_npz(path)[0].shape[-1]


def known_intensities(config: AtlasSegmentationConfig, info: DatasetInfo, labels: int) -> Intensities | None:
    """What `init_stat` holds, or what the info keeps of it where the file is gone; None where nothing is known.

    Raises:
        ConfigError: the file fits another number of labels.
        ImageError: the file cannot be read.
    """
    if not config.init_stat or (info.intensities and not is_file(config.init_stat)):
        return info.intensities
    return read_statistics(config.init_stat, labels)


def read_statistics(path: str, labels: int) -> Intensities:
    """Means and standard deviations of the labels' intensities.

    Args:
        path: .npz file with "init_mu" and "init_sigma".
        labels: how many there are.

    Raises:
        ConfigError: another number of them.
        ImageError: the file cannot be read.
    """
    means, sigmas = (tuple(read_npz(path, (key,))[0].ravel().tolist()) for key in ("init_mu", "init_sigma"))
    if len(means) != labels or len(sigmas) != labels:
        raise ConfigError(
            f"{path} knows {len(means)} means and {len(sigmas)} standard deviations, but the atlas has {labels} "
            "labels. Give one of each per label."
        )
    return means, sigmas


def _estimated(info: DatasetInfo, atlas: Tensor) -> Intensities | None:
    """Intensities of the labels in the mean image; None without one, or where it is blank, as for an export.

    They stay known, so that a training cannot wander off to Gaussians that have no label.
    """
    if info.mean is None or not info.mean.any():
        return None
    means, sigmas = estimate_statistics(info.mean, atlas)
    return tuple(means.tolist()), tuple(sigmas.tolist())


def estimate_statistics(image: Tensor, atlas: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (L,) of the image (1, *shape) under every label of the atlas (L, *shape)."""
    total = atlas.flatten(1).sum(1).clamp(min=1e-6)
    means = (atlas * image).flatten(1).sum(1) / total
    squares = (image - means.view(-1, *(1 for _ in image.shape[1:]))).square()
    return means, ((atlas * squares).flatten(1).sum(1) / total).sqrt().clamp(min=_SMALLEST_SIGMA)


def _read(path: str, shape: tuple[int, ...]) -> Tensor:
    array, _ = read_npz(path)
    if array.ndim != len(shape) + 1 or tuple(array.shape[:-1]) != tuple(shape):
        raise ConfigError(
            f"The atlas {path} has the shape {array.shape}, but the training space {tuple(shape)}. Give one of the "
            "shape (I, J, K, labels) on that grid, or set shape."
        )
    return as_tensor(array).movedim(-1, 0).float().clamp(min=0).contiguous()
