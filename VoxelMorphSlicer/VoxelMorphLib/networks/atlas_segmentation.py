"""ProbAtlasSegmentation: deforms an atlas onto an image and finds the intensities of its labels, unsupervised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import ConfigError, GeometryError
from ..core.options import check_range
from .convolution import NEGATIVE_SLOPE, Convolution, activate, convolution, convolve
from .dense import VxmDense
from .fields import FieldPair, RegistrationOutput, via_template
from .padding import crop
from .template import copy_image

#: Smaller probabilities of an atlas are raised to this one, so that their logarithm exists.
_SMALLEST = 1e-36


@dataclass(frozen=True)
class SegmentationOutput:
    """The tensors of one pass.

    Args:
        registration: of the atlas (moving) with the image (fixed).
        means: (B, L), mean intensity of every label; None without a Gaussian likelihood.
        log_variances: (B, L), of the intensities, or None.
        log_likelihood: (B, L, *shape), log p(intensity | label).
        log_joint: (B, L, *shape), log p(intensity, label), with the atlas as the labels' prior.
    """

    registration: RegistrationOutput
    means: Tensor | None
    log_variances: Tensor | None
    log_likelihood: Tensor
    log_joint: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """(B, 1, *shape), log p(intensity); its mean is what unsupervised training maximises."""
        return torch.logsumexp(self.log_joint, dim=1, keepdim=True)

    @property
    def posterior(self) -> Tensor:
        """(B, L, *shape), p(label | intensity); sums to one."""
        return torch.softmax(self.log_joint, dim=1)


class ProbAtlasSegmentation(VxmDense):
    """A VxmDense that registers an atlas with an image, and estimates a Gaussian of intensities for every label.

    Args:
        ndims: number of spatial axes, 1 to 3.
        labels: channels of the atlas.
        means, sigmas: known means and standard deviations of the labels' intensities; None lets the network find them.
        warp_atlas: use the deformed atlas as prior instead of the atlas itself.
        stats_after_warp: estimate intensities from the image and the deformed atlas instead of the U-net's features.
        stat_features: features of the first convolution that estimates intensities.
        stat_weight: weight of the network's estimate where `means` or `sigmas` are known.
        gaussian: Gaussian likelihood; else the network predicts the likelihood of every voxel.
        atlas_shape: shape of an atlas stored with the weights, see `start_from`; None if every call passes its own.
        options: the other arguments of `VxmDense`.

    Raises:
        ConfigError: impossible or contradicting values.

    Source: Dalca et al., MICCAI 2019, arXiv:1904.11319.
    """

    atlas: Tensor | None

    def __init__(
        self,
        ndims: int = 3,
        labels: int = 2,
        means: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
        warp_atlas: bool = True,
        stats_after_warp: bool = False,
        stat_features: int = 16,
        stat_weight: float = 1e-3,
        gaussian: bool = True,
        atlas_shape: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(ndims, **{**options, "moving_features": labels, "fixed_features": 1})
        check_range("labels", labels, 1, 4096)
        if stats_after_warp and not warp_atlas:
            raise ConfigError("stats_after_warp needs the deformed atlas; set warp_atlas too.")
        if not (gaussian or stats_after_warp) and self.unet.reduction > 1:
            raise ConfigError("A likelihood of every voxel needs features at full resolution; set svf_resolution to 1.")
        self.warp_atlas, self.stats_after_warp = warp_atlas, stats_after_warp
        self.stat_weight, self.gaussian = stat_weight, gaussian
        inputs = labels + 1 if stats_after_warp else self.unet.out_channels
        self.stats = nn.ModuleList(
            convolution(ndims, n, wanted) for n, wanted in ((inputs, stat_features), (stat_features, labels))
        )
        self.mean_head = _weak_convolution(ndims, labels) if gaussian else None
        self.log_variance_head = _weak_convolution(ndims, labels) if gaussian else None
        self.likelihood = None if gaussian else convolution(ndims, labels, labels)
        self.register_buffer("atlas", None if atlas_shape is None else torch.zeros(labels, *atlas_shape))
        self.known_means = _known("means", means, labels)
        self.known_log_variances = _known("sigmas", sigmas, labels, lambda sigma: 2 * log(sigma))

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Of the images, voxels along each axis, which the stored atlas has; None without one."""
        return None if self.atlas is None else tuple(self.atlas.shape[1:])

    def start_from(self, atlas: Tensor) -> None:
        """Set the atlas that is stored with the weights.

        Args:
            atlas: (labels, *atlas_shape), probability of every label.

        Raises:
            GeometryError: the shape differs.
        """
        copy_image(atlas, self.atlas)

    def forward(self, image: Tensor, atlas: Tensor | None = None, **options: Any) -> SegmentationOutput:
        """Segment images.

        Args:
            image: (B, 1, *shape).
            atlas: (B or 1, labels, *shape), probability of every label; None takes the stored one.
            options: `sample` and `generator` of `RegistrationNetwork.forward`.

        Raises:
            GeometryError: image and atlas do not fit each other or the network, or there is no atlas.
        """
        if atlas is None:
            if self.atlas is None:
                raise GeometryError("This network keeps no atlas. Give one, or build the network with atlas_shape.")
            atlas = self.atlas[None]
        if len(atlas) == 1:
            atlas = atlas.expand(len(image), *atlas.shape[1:])
        output = super().forward(atlas, image, **options)
        features = self._features(output, image)
        if self.gaussian:
            means = self._statistic(features, self.mean_head, self.known_means)
            log_variances = self._statistic(features, self.log_variance_head, self.known_log_variances)
            log_likelihood = gaussian_log_density(image, means, log_variances)
        else:
            means = log_variances = None
            log_likelihood = _block(features, self.likelihood)
        prior = _log_probability(output.moved if self.warp_atlas else atlas)
        return SegmentationOutput(output, means, log_variances, log_likelihood, log_likelihood + prior)

    def fields(
        self, moving: Tensor, fixed: Tensor, sample: bool = False, generator: torch.Generator | None = None
    ) -> FieldPair:
        """Between two images via the stored atlas; without one, between an atlas (moving) and an image (fixed)."""
        if self.atlas is None:
            return super().fields(moving, fixed, sample, generator)
        atlas = self.atlas.expand(len(fixed), *self.atlas.shape)
        to_moving = super().fields(atlas, moving, sample, generator)
        return via_template(to_moving, super().fields(atlas, fixed, sample, generator))

    def log_prior(self, atlas: Tensor, registration: RegistrationOutput) -> Tensor:
        """(B, F, *shape): log of the probabilities (B or 1, F, *shape) of any labels, deformed as the atlas was."""
        return _log_probability(self.move(atlas, registration.displacement) if self.warp_atlas else atlas)

    def _features(self, output: RegistrationOutput, image: Tensor) -> Tensor:
        """(B, labels, *own): features from which the labels' intensities are estimated."""
        if self.stats_after_warp:
            features = torch.cat([output.moved, image], dim=1)
        else:  # as in the original, before the activation of the U-net's last convolution, which can be undone
            features = functional.leaky_relu(output.features.float(), 1 / NEGATIVE_SLOPE)
            features = crop(features, [-(-n // self.unet.reduction) for n in image.shape[2:]])
        for module in self.stats:
            features = _block(features, module)
        return features

    def _statistic(self, features: Tensor, head: Convolution, known: Sequence[float] | None) -> Tensor:
        """(B, labels): the largest response in the image, added to the known value."""
        response = convolve(features, head.weight, head.bias, padding=0).flatten(2).amax(dim=2)
        return response if known is None else self.stat_weight * response + response.new_tensor(known)


def gaussian_log_density(image: Tensor, means: Tensor, log_variances: Tensor) -> Tensor:
    """Logarithm of the normal density of every voxel under every label.

    Args:
        image: (B, 1, *shape).
        means, log_variances: (B, L).

    Returns:
        (B, L, *shape).
    """
    ones = [1] * (image.ndim - 2)
    means, log_variances = means.unflatten(1, (-1, *ones)), log_variances.unflatten(1, (-1, *ones))
    return -((image - means) ** 2 * torch.exp(-log_variances) + log_variances + log(2 * pi)) / 2


def _log_probability(atlas: Tensor) -> Tensor:
    return atlas.clamp(_SMALLEST, 1.0).log()


def _block(image: Tensor, module: Convolution) -> Tensor:
    return activate(convolve(image, module.weight, module.bias))


def _weak_convolution(ndims: int, labels: int) -> Convolution:
    module = convolution(ndims, labels, labels)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=1e-5)
    return module


def _known(
    name: str, values: Sequence[float] | None, labels: int, convert: Callable[[float], float] = float
) -> list[float] | None:
    if values is None:
        return None
    if len(values) != labels:
        raise ConfigError(f"{len(values)} {name} do not fit {labels} labels; give one for each.")
    for value in values:
        check_range(name, value, 1e-12 if name == "sigmas" else -1e9, 1e9)
    return [convert(value) for value in values]


@dataclass(frozen=True)
class Segmentation:
    """The most probable labels.

    Args:
        labels: (B, *shape), int64, channel of the atlas.
        confidence: (B, *shape), posterior probability of that label, 0 to 1.
    """

    labels: Tensor
    confidence: Tensor


def segment(
    network: ProbAtlasSegmentation, image: Tensor, atlas: Tensor, classes: Sequence[int], group: int = 21
) -> Segmentation:
    """Find the most probable label of every voxel, some labels at a time.

    Labels of one class share their intensities: the network registers the atlas of the classes, and every label takes
    the deformation from it and the likelihood of its class.

    Args:
        network: has as many labels as there are classes.
        image: (B, 1, *shape).
        atlas: (B or 1, F, *shape), probability of every label.
        classes: the class of every label, counted from 0.
        group: labels at a time.

    Raises:
        GeometryError: classes, atlas and network do not fit, or image and atlas do not.

    Source: Dalca et al., MICCAI 2019, arXiv:1904.11319.
    """
    with torch.no_grad():
        output = network(image, merge_labels(atlas, classes, network.moving_features))
        best = total = labels = None
        for start in range(0, len(classes), max(group, 1)):
            own = slice(start, start + max(group, 1))
            joint = output.log_likelihood[:, list(classes[own])] + network.log_prior(atlas[:, own], output.registration)
            largest, index = joint.max(dim=1)
            evidence = joint.logsumexp(dim=1)
            if best is None:
                best, total, labels = largest, evidence, index
                continue
            labels = torch.where(largest > best, index + start, labels)
            best, total = torch.maximum(best, largest), torch.logaddexp(total, evidence)
        return Segmentation(labels, (best - total).exp())


def merge_labels(atlas: Tensor, classes: Sequence[int], count: int) -> Tensor:
    """The atlas of the classes.

    Args:
        atlas: (B, F, *shape), probability of every label.
        classes: the class of every label, counted from 0.
        count: of classes.

    Returns:
        (B, count, *shape), the sums over each class.

    Raises:
        GeometryError: another number of labels, or a class beyond the count.
    """
    if atlas.shape[1] != len(classes) or not all(0 <= c < count for c in classes):
        raise GeometryError(
            f"The classes {list(classes)[:5]} of {len(classes)} labels do not fit an atlas of {atlas.shape[1]} labels "
            f"and a network of {count}; give every label one from 0 to {count - 1}."
        )
    merged = atlas.new_zeros(len(atlas), count, *atlas.shape[2:])
    return merged.index_add(1, torch.as_tensor(list(classes), device=atlas.device), atlas)
