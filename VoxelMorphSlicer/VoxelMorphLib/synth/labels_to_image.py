"""LabelsToImage: the generator of the first SynthMorph networks, label maps -> deformed maps and images of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..core.config import Settings
from ..core.displacement import integrate_velocity
from ..core.errors import ConfigError, GeometryError
from ..core.filters import min_max
from ..core.resize import resize_displacement
from ..core.spatial import warp
from .label_tables import check_labels, look_up, one_hot, out_table
from .noise import bias_field, blur, perlin_noise
from .random_parts import Sample, samples_of

#: Squarings of the velocity, and voxels between its own.
STEPS, COARSENESS = 5, 2
#: Intensities are limited to 0 and this before they are scaled.
BRIGHTEST = 255.0


@dataclass(frozen=True)
class Synthesised:
    """Images that were made from label maps.

    Args:
        image: (B, C, *shape).
        labels: (B, L, *shape), memberships of the output labels, or (B, 1, *shape), their numbers.
        velocity: (B, N, *half), voxels of its own grid; None without deformation.
        displacement: (B, N, *shape), voxels of the output, pull; of the smooth deformation alone. None without.
        affine: (B, N + 1, N + 1) about the middle of the output grid, applied after the displacement; None without.
        mean: (B, C, *shape), intensities before anything is added to them; None where they are not kept.
        bias: (B, C or 1, *shape), factors; None where there are none.
    """

    image: Tensor
    labels: Tensor
    velocity: Tensor | None = None
    displacement: Tensor | None = None
    affine: Tensor | None = None
    mean: Tensor | None = None
    bias: Tensor | None = None


def joined(parts: Sequence[Synthesised]) -> Synthesised:
    """Several results of one generator as one batch."""

    def together(values: list[Tensor | None]) -> Tensor | None:
        return torch.cat([value for value in values if value is not None]) if values[0] is not None else None

    return Synthesised(**{name: together([getattr(part, name) for part in parts]) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Synthesised))


@dataclass(frozen=True)
class LabelsToImage(Settings):
    """The first generator, with all options of the original.

    Every item is made from a generator of its own, so that neither batch nor neighbours change it.

    Args:
        in_labels: that the maps may have; others count as the first one. Their numbering may have holes.
        out_labels: those that are returned: a list, or a mapping that merges them; None returns all. Voxels of others
            become 0, which counts only where 0 is returned.
        out_shape: of the result; () is that of the maps.
        crop: where a smaller `out_shape` lies in the maps, "centre", or "corner" as in the original.
        channels: of the images.
        mean_min, mean_max, std_min, std_max: limits of intensity and noise of each label; () takes 0 for the background
            (the first label) and 25, 225, 5 and 25; it can reach as high as the others.
        zero_background: share of the channels whose background is 0.
        warp_res: voxels between the points of the velocity's noise, one or more scales.
        warp_std: largest standard deviation of the velocity, voxels of its own grid.
        warp_modulate, bias_modulate, blur_modulate: draw the strength up to the given one, else it is the given one.
        bias_res, bias_std: scale in voxels, and strength, of the logarithm of the bias field.
        blur_std: standard deviation of the blur, voxels.
        normalize: scale the images to 0..1.
        gamma_std: standard deviation of the logarithm of gamma.
        dc_offset: largest number that is added in the end.
        one_hot: return memberships, else numbers.

    Raises:
        ConfigError: impossible values, empty lists, or unknown labels.

    Source: Hoffmann et al., IEEE TMI 2022, doi:10.1109/TMI.2021.3116879, section III.
    """

    in_labels: tuple[int, ...] = ()
    out_labels: Sequence[int] | Mapping[int, int] | None = None
    out_shape: tuple[int, ...] = ()
    crop: str = "centre"
    channels: int = 1
    mean_min: tuple[float, ...] = ()
    mean_max: tuple[float, ...] = ()
    std_min: tuple[float, ...] = ()
    std_max: tuple[float, ...] = ()
    zero_background: float = 0.2
    warp_res: tuple[float, ...] = (16,)
    warp_std: float = 0.5
    warp_modulate: bool = True
    bias_res: float = 40
    bias_std: float = 0.3
    bias_modulate: bool = True
    blur_std: float = 1
    blur_modulate: bool = True
    normalize: bool = True
    gamma_std: float = 0.25
    dc_offset: float = 0
    one_hot: bool = True

    def __post_init__(self) -> None:
        out_table(check_labels(self.in_labels, "input labels"), self.out_labels)
        count = len(self.labels)
        for name in ("mean_min", "mean_max", "std_min", "std_max"):
            given = getattr(self, name)
            if given and len(given) != count:
                raise ConfigError(f"{name} has {len(given)} values for {count} labels. Give one for each, or none.")
        amounts = (self.warp_std, self.bias_std, self.blur_std, self.gamma_std, self.dc_offset)
        if not all(0 <= amount < float("inf") for amount in amounts) or not 0 <= self.zero_background <= 1:
            raise ConfigError(
                f"warp_std, bias_std, blur_std, gamma_std and dc_offset are {amounts}, and zero_background is "
                f"{self.zero_background}. Give finite numbers from 0 on, and zero_background up to 1."
            )
        if self.crop not in ("centre", "corner"):
            raise ConfigError(f'crop is {self.crop!r}; choose "centre" or "corner".')

    @property
    def labels(self) -> tuple[int, ...]:
        """The input labels in ascending order."""
        return tuple(sorted(set(self.in_labels)))

    @property
    def table(self) -> dict[int, int]:
        """Input label -> output label."""
        return out_table(self.labels, self.out_labels)

    @property
    def out_values(self) -> tuple[int, ...]:
        """The output labels in the order of the channels."""
        return tuple(sorted(set(self.table.values())))

    def __call__(
        self,
        labels: Tensor,
        generators: Sequence[torch.Generator],
        velocity: Tensor | None = None,
        seeds: Mapping[str, int] | None = None,
    ) -> Synthesised:
        """Make one image of every map.

        Args:
            labels: (B, 1, *shape), whole numbers in any dtype.
            generators: one for each item, on the CPU.
            velocity: (B, N, *half), instead of a random one.
            seeds: fixed seeds of parts: warp, mean, std, noise, background, blur, bias, gamma, dc_offset.

        Raises:
            GeometryError: the maps do not fit the generators or `out_shape`.
        """
        shape = check_maps(labels, generators, self.out_shape)
        samples = samples_of(generators, labels.device, seeds)
        places = look_up(labels, self.labels, range(len(self.labels))).to(torch.int16)
        places, velocity, displacement = self._deform(places, shape, samples, velocity)
        mean, image = zip(*(self._paint(place[None], sample) for place, sample in zip(places, samples)))
        image, bias = self._degrade(torch.cat(image), samples)
        out = look_up(places, range(len(self.labels)), [self.table.get(label, 0) for label in self.labels])
        return Synthesised(
            image=self._rescale(image, samples),
            labels=one_hot(out, self.out_values) if self.one_hot else out,
            velocity=velocity,
            displacement=displacement,
            mean=torch.cat(mean),
            bias=bias,
        )

    def _deform(
        self, places: Tensor, shape: tuple[int, ...], samples: Sequence[Sample], velocity: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        start = [(old - new) // 2 if self.crop == "centre" else 0 for old, new in zip(places.shape[2:], shape)]
        if velocity is None and self.warp_std > 0:
            half = [max(1, n // COARSENESS) for n in shape]
            scales = [max(1, res / COARSENESS) for res in self.warp_res]
            drawn = [
                perlin_noise(s.part("warp"), len(shape), half, scales, self.warp_std, modulate=self.warp_modulate)
                for s in samples
            ]
            velocity = torch.cat(drawn)
        if velocity is None:
            window = tuple(slice(first, first + n) for first, n in zip(start, shape))
            return places[(..., *window)], None, None
        displacement = resize_displacement(integrate_velocity(velocity, STEPS), shape, scale=COARSENESS)
        shift = torch.tensor(start, dtype=torch.float32, device=places.device).view(1, -1, *(1 for _ in shape))
        moved = warp(places, displacement + shift if any(start) else displacement, "nearest", "hard")
        return moved, velocity, displacement

    def _paint(self, places: Tensor, sample: Sample) -> tuple[Tensor, Tensor]:
        """(1, C, *shape), means of labels and image with noise, of one map."""
        count, channels = len(self.labels), self.channels
        limits = [
            (self.mean_min, 0.0, 25.0),
            (self.mean_max, 225.0, 225.0),
            (self.std_min, 0.0, 5.0),
            (self.std_max, 25.0, 25.0),
        ]
        low, high, least, most = (
            [*(given or (first, *[other] * (count - 1)))] * channels for given, first, other in limits
        )
        means = sample.part("mean").between(low, high).view(channels, count)
        spreads = sample.part("std").between(least, most).view(channels, count)
        background = sample.part("background").uniform(0, 1, channels) < self.zero_background
        mean, spread = (values.to(places.device)[:, places[0, 0].long()][None] for values in (means, spreads))
        image = mean
        if spreads.any():
            image = torch.addcmul(mean, spread, sample.part("noise").noise(*mean.shape))
        if background.any():
            empty = (places == 0) & background.to(places.device).view(1, -1, *(1 for _ in places.shape[2:]))
            mean, image = mean.masked_fill(empty, 0), image.masked_fill(empty, 0)
        return mean, image

    def _degrade(self, image: Tensor, samples: Sequence[Sample]) -> tuple[Tensor, Tensor | None]:
        """Blur, and multiply by the bias field."""
        shape = image.shape[2:]
        if self.blur_std > 0:
            low = 0.0 if self.blur_modulate else self.blur_std
            sigma = torch.stack([s.part("blur").uniform(low, self.blur_std, len(shape)) for s in samples])
            image = blur(image, sigma, self.blur_std)
        if self.bias_std == 0:
            return image, None
        fields = [
            perlin_noise(s.part("bias"), 1, shape, [self.bias_res], self.bias_std, modulate=self.bias_modulate)
            for s in samples
        ]
        bias = bias_field(torch.cat(fields))
        return image * bias, bias

    def _rescale(self, image: Tensor, samples: Sequence[Sample]) -> Tensor:
        """Limit, scale, bend and shift the intensities."""
        image = image.clamp(0, BRIGHTEST)
        if self.normalize:
            image = min_max(image, dims=range(1, image.ndim))

        def per_channel(values: list[Tensor]) -> Tensor:
            return torch.stack(values).to(image.device).view(len(samples), self.channels, *(1 for _ in image.shape[2:]))

        if self.gamma_std > 0:
            power = per_channel([s.part("gamma").normal(self.gamma_std, self.channels) for s in samples])
            image = image ** power.exp()
        if self.dc_offset > 0:
            image = image + per_channel(
                [s.part("dc_offset").uniform(0, self.dc_offset, self.channels) for s in samples]
            )
        return image


def check_maps(labels: Tensor, generators: Sequence[torch.Generator], out_shape: Sequence[int] = ()) -> tuple[int, ...]:
    """The shape of what is made of label maps.

    Raises:
        GeometryError: they are no batch of maps, do not fit the generators, or are smaller than `out_shape`.
        ConfigError: they hold numbers that are not whole.
    """
    shape = tuple(out_shape or labels.shape[2:])
    if labels.ndim not in (4, 5) or labels.shape[1] != 1 or len(generators) != len(labels):
        raise GeometryError(
            f"Label maps (B, 1, *shape) with two or three axes and a generator for each are needed, got "
            f"{tuple(labels.shape)} and {len(generators)} generators."
        )
    if len(shape) != labels.ndim - 2 or any(n < 1 or n > old for n, old in zip(shape, labels.shape[2:])):
        raise GeometryError(
            f"Images of {shape} voxels cannot be made of label maps of {tuple(labels.shape[2:])}. Choose a shape that "
            "lies within them."
        )
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise ConfigError("The label maps hold numbers that are not whole. Give label maps, not images.")
    return shape
