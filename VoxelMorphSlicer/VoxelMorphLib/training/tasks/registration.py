"""RegistrationTask: a dense network learns to register image pairs; with the loss terms that tasks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.losses.by_name import make_loss
from ...networks.dense import VxmDense
from ...networks.fields import RegistrationOutput
from ...networks.legacy import VxmMiccai2018
from ..data.case import Batch, DatasetInfo
from ..data.sampling import AUGMENT, torch_seed
from ..options import TrainingConfig
from ..recipes import ProbabilisticConfig
from ..task import Task

Terms = dict[str, tuple[float, Callable[[], Tensor]]]
#: Compares (fixed, moved), both (B, C, *shape).
ImageTerm = Callable[[Tensor, Tensor], Tensor]
#: Of a field (B, N, *shape).
FieldTerm = Callable[[Tensor], Tensor]
#: Streams of random numbers in addition to those of the data.
HYPERPARAMETER, LABELS, POINTS = range(AUGMENT + 1, AUGMENT + 4)


def dense_arguments(config: TrainingConfig, info: DatasetInfo) -> dict[str, Any]:
    """Arguments of a VxmDense, as plain values for a weights file."""
    return {
        "ndims": len(info.shape),
        "features": [list(config.encoder), list(config.decoder)],
        "int_steps": config.int_steps,
        "svf_resolution": config.svf_resolution,
        "int_resolution": config.int_resolution,
        "bidir": config.bidir,
        "moving_features": info.channels,
        "fixed_features": info.channels,
        **({"symmetric": True} if config.symmetric else {}),
    }


class RegistrationTask(Task):
    """Pairs are compared by `image_loss`, in both directions with `bidir`, and the velocity is penalised."""

    #: What is built with `arguments`.
    network_class: type[nn.Module] = VxmDense

    def __init__(self, config: TrainingConfig, info: DatasetInfo):
        super().__init__(config, info)
        self.image_term, self.penalty_term = image_term(config), penalty_term(config)

    def arguments(self) -> dict[str, Any]:
        """Of the network's class, as plain values."""
        return dense_arguments(self.config, self.info)

    def build(self) -> nn.Module:
        return self.network_class(**self.arguments())

    def losses(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        output = network(batch.moving, batch.fixed, generator=generator)
        return weighted(self.registration_terms(output, batch))

    def registration_terms(self, output: RegistrationOutput, batch: Batch) -> Terms:
        """Weighted similarity and penalty of one forward pass."""
        weight = self.config.image_weight
        terms: Terms = {}
        if output.moved_fixed is not None:
            weight = weight / 2
            terms["image_back"] = (weight, lambda: self.image_term(batch.moving, output.moved_fixed))
        return {
            "image": (weight, lambda: self.image_term(batch.fixed, output.moved)),
            **terms,
            "penalty": (self.config.smoothness, lambda: self.penalty_term(output.regularised)),
        }

    def published(self) -> tuple[nn.Module, str, dict[str, Any]]:
        return self.network, type(self.network).__name__, self.arguments()


class AtlasTask(RegistrationTask):
    """The fixed image of every pair is the atlas.

    Raises:
        ConfigError: there is no atlas.
    """

    def __init__(self, config: TrainingConfig, info: DatasetInfo):
        if info.atlas is None:
            raise ConfigError("The recipe atlas registers all images with one. Give its file as atlas.")
        super().__init__(config, info)


class ProbabilisticTask(RegistrationTask):
    """Velocities are drawn from the predicted distribution, whose divergence from a smooth prior is penalised.

    Raises:
        ConfigError: the network of 2018 is wanted symmetric, or with other numbers of features than it has.
    """

    def __init__(self, config: ProbabilisticConfig, info: DatasetInfo):
        if config.original:
            self.network_class = VxmMiccai2018
        super().__init__(config, info)
        variant = "miccai2018" if config.original else config.kl_variant
        self.penalty_term = make_loss("kl", prior_lambda=config.prior_lambda, variant=variant)

    def arguments(self) -> dict[str, Any]:
        dense = super().arguments()
        if not self.config.original:
            return {**dense, "use_probs": True}
        if self.config.symmetric:
            raise ConfigError("The network of 2018 cannot be symmetric. Turn original or symmetric off.")
        kept = ("ndims", "features", "int_steps", "bidir", "moving_features", "fixed_features")
        return {**{name: dense[name] for name in kept}, "original": True}


def image_term(config: TrainingConfig) -> ImageTerm:
    """The loss that `config.image_loss` and its options name, without its weight."""
    options = {
        "ncc": {"window": config.ncc_window, "form": config.ncc_form},
        "mse": {"image_sigma": config.image_sigma},
    }
    return make_loss(config.image_loss, **options.get(config.image_loss, {}))


def penalty_term(config: TrainingConfig) -> FieldTerm:
    """The penalty that `config.penalty` and its options name, without its weight."""
    if config.penalty == "bending":
        return make_loss("bending")
    multiplier = config.penalty_multiplier or config.int_resolution
    return make_loss("gradient", penalty=config.penalty, multiplier=float(multiplier))


def weighted(terms: dict[str, tuple[float, Callable[[], Tensor]]]) -> dict[str, Tensor]:
    """The terms times their weights; terms of weight 0 are never computed.

    Args:
        terms: weight and term by name.

    Raises:
        ConfigError: no term has a weight.
    """
    active = {name: weight * term() for name, (weight, term) in terms.items() if weight}
    if not active:
        raise ConfigError(f"All of {', '.join(terms)} have the weight 0, so nothing can be learned. Raise one.")
    return active


def one_hot(labels: Tensor, values: Sequence[int], step: int = 1) -> Tensor:
    """Membership of every `step`-th voxel.

    Args:
        labels: (B, 1, *shape), label values.
        values: of the channels.
        step: voxels of the label map per voxel of the result, whose voxel i is voxel i * step.

    Returns:
        (B, len(values), *coarse), float32, 0 or 1.
    """
    coarse = labels[(..., *(slice(None, None, step) for _ in labels.shape[2:]))]
    channels = torch.as_tensor(list(values), dtype=labels.dtype, device=labels.device)
    return (coarse == channels.view(1, -1, *(1 for _ in labels.shape[2:]))).float()


def check_labels(config: TrainingConfig, info: DatasetInfo) -> None:
    """Raise ConfigError where a recipe that learns from label maps has none."""
    if not info.labels or not info.labelled:
        raise ConfigError(
            f"The recipe {config.recipe} learns from label maps, and the data have no label. Give label_list, or "
            "images that hold their label maps."
        )
    if config.atlas and info.atlas_labels is None:
        raise ConfigError(
            f"The recipe {config.recipe} compares the labels of images with those of the atlas, which has none. Give "
            "atlas_labels."
        )


def sample_generators(seed: int, batch: Batch, stream: int) -> list[torch.Generator]:
    """One generator on the CPU for every sample of a batch; it depends on seed, sample number and stream alone."""
    return [torch.Generator().manual_seed(torch_seed(seed, number, stream)) for number in batch.numbers]
