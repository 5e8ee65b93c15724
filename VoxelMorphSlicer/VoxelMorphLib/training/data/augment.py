"""Augmentation of batches: random flips, affine and smooth deformations, and changes of intensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...core.affine import affine_to_displacement
from ...core.affine_parameters import parameters_to_affine
from ...core.displacement import integrate_velocity
from ...core.errors import ConfigError
from ...core.filters import gaussian
from ...core.resize import resize_displacement
from ...core.spatial import warp
from ..options import TrainingConfig
from .case import Batch, join
from .sampling import AUGMENT, device_generator, torch_seed

#: Largest rotation, change of scale, and shift as a share of the extent, at strength 1.
ROTATION_DEG, SCALE, SHIFT = 10.0, 0.1, 0.1
#: Largest logarithm of gamma, change of brightness, and standard deviation of noise, at strength 1.
LOG_GAMMA, BRIGHTNESS, NOISE = 0.7, 0.3, 0.1
#: Smooth warps have their velocity on every second voxel, smoothed by so many of its voxels.
COARSENESS, SMOOTHING, SQUARINGS = 2, 4.0, 5


def augment(batch: Batch, config: TrainingConfig) -> Batch:
    """Augment each sample at random and independently of the others, on the batch's device.

    Both images of a pair are flipped alike; each is deformed and changed in intensity on its own. An atlas is only
    flipped. Label maps follow their images by nearest neighbour; what leaves the space is lost, what enters it is 0.

    Args:
        batch: from `TrainingData.batches`; not modified.
        config: `flips`, `augment_affine`, `augment_warp` (mm, or voxels where `voxel_size` is 0),
            `augment_intensity`, `atlas` and `seed`.

    Returns:
        The batch itself where nothing is asked for.

    Raises:
        ConfigError: geometric changes where a recipe derived something from the images that would not follow them.
    """
    geometric = config.flips or config.augment_affine > 0 or config.augment_warp > 0
    if not geometric and config.augment_intensity == 0:
        return batch
    if geometric and batch.extras:
        raise ConfigError(
            f"flips, augment_affine and augment_warp cannot follow what this recipe computes of each image "
            f"({', '.join(batch.extras)}). Set them to 0."
        )
    return join([_augment_sample(sample, config) for sample in _samples(batch)])


def random_flips(shape: Sequence[int], random: torch.Generator) -> list[int]:
    """Spatial axes, each with probability 1/2, counted from 0."""
    chosen = torch.rand(len(shape), generator=random) < 0.5
    return [axis for axis, is_chosen in enumerate(chosen.tolist()) if is_chosen]


def random_displacement(
    shape: Sequence[int], affine: float, rms_vox: float, random: torch.Generator, device: torch.device
) -> Tensor:
    """(1, N, *shape), voxels: a random affine map about the centre, after a random smooth diffeomorphism.

    Args:
        shape: three extents.
        affine: strength; 1 for up to 10 degrees about each axis, 10 % scale and a shift of 10 % of each extent.
        rms_vox: root mean square length of the velocity of the smooth part, voxels.
        random: on the CPU, so that all devices make the same maps.
        device: of the result.
    """
    smooth = _smooth_displacement(shape, rms_vox, random, device) if rms_vox > 0 else None
    uniform = 2 * torch.rand(3, len(shape), generator=random) - 1
    shift = uniform[0] * SHIFT * affine * torch.tensor(shape)
    parameters = torch.cat([shift, uniform[1] * ROTATION_DEG * affine, 1 + uniform[2] * min(SCALE * affine, 0.9)])
    matrix = parameters_to_affine(parameters[None], len(shape)).to(device)
    return affine_to_displacement(matrix, shape, warp_right=smooth)


def augment_intensities(image: Tensor, strength: float, random: torch.Generator) -> Tensor:
    """(1, C, *shape) between 0 and 1 with another gamma, brightness and added noise, still between 0 and 1."""
    gamma, brightness, noise = (strength * (2 * torch.rand(3, generator=random) - 1)).tolist()
    bent = image.clamp(0, 1) ** float(torch.tensor(LOG_GAMMA * gamma).exp()) * (1 + BRIGHTNESS * brightness)
    own = device_generator(image.device, int(torch.randint(2**62, (), generator=random)))
    grain = torch.randn(image.shape, generator=own, device=image.device)
    return (bent + NOISE * abs(noise) * grain).clamp(0, 1)


def _samples(batch: Batch) -> list[Batch]:
    def one(value: object, place: int) -> object:
        if isinstance(value, dict):
            return {name: item[place : place + 1] for name, item in value.items()}
        return value[place : place + 1] if isinstance(value, (Tensor, tuple)) else value

    names = [name for name in batch.__dataclass_fields__ if name != "skipped"]
    samples = [Batch(**{name: one(getattr(batch, name), i) for name in names}) for i in range(len(batch))]
    return [replace(samples[0], skipped=batch.skipped), *samples[1:]]


def _augment_sample(sample: Batch, config: TrainingConfig) -> Batch:
    random = torch.Generator().manual_seed(torch_seed(config.seed, sample.numbers[0], AUGMENT))
    if config.flips:
        axes = random_flips(sample.fixed.shape[2:], random)
        sample = replace(
            sample,
            **{
                name: _flipped(getattr(sample, name), axes)
                for name in ("fixed", "moving", "fixed_labels", "moving_labels")
            },
        )
    if sample.moving is None or not config.atlas:
        image, labels = _augment_image(sample.fixed, sample.fixed_labels, config, random)
        sample = replace(sample, fixed=image, fixed_labels=labels)
    if sample.moving is not None:
        image, labels = _augment_image(sample.moving, sample.moving_labels, config, random)
        sample = replace(sample, moving=image, moving_labels=labels)
    return sample


def _augment_image(
    image: Tensor, labels: Tensor | None, config: TrainingConfig, random: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """One image and its label map, deformed alike."""
    if config.augment_affine > 0 or config.augment_warp > 0:
        rms = config.augment_warp / (config.voxel_size or 1.0)
        displacement = random_displacement(image.shape[2:], config.augment_affine, rms, random, image.device)
        image = warp(image, displacement, padding="zeros")
        labels = None if labels is None else warp(labels, displacement, "nearest", "zeros")
    if config.augment_intensity > 0:
        image = augment_intensities(image, config.augment_intensity, random)
    return image, labels


def _flipped(tensor: Tensor | None, axes: Sequence[int]) -> Tensor | None:
    return None if tensor is None else tensor.flip([axis + 2 for axis in axes])


def _smooth_displacement(shape: Sequence[int], rms_vox: float, random: torch.Generator, device: torch.device) -> Tensor:
    """(1, N, *shape), voxels: integrated Gaussian noise, smoothed and scaled to a root mean square length."""
    coarse = [max(2, -(-n // COARSENESS)) for n in shape]
    margin = round(3 * SMOOTHING)  # so that the field is as strong at the border as inside
    noise = torch.randn(1, len(shape), *(n + 2 * margin for n in coarse), generator=random).to(device)
    velocity = gaussian(noise, SMOOTHING)[(..., *(slice(margin, margin + n) for n in coarse))]
    velocity = velocity - velocity.mean(dim=(2, 3, 4), keepdim=True)  # shifts belong to the affine part
    length = velocity.square().sum(dim=1).mean().sqrt()
    velocity = velocity * (rms_vox / COARSENESS / length.clamp(min=1e-12))
    return resize_displacement(integrate_velocity(velocity, SQUARINGS), shape)
