"""LabelsToImageNew: the later generator of SynthMorph, moved label maps -> images of random intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.affine import square
from ..core.errors import ConfigError
from ..core.filters import min_max
from .label_motion import LabelMotion, Span, positive
from .label_tables import check_labels, look_up, one_hot, out_table
from .labels_to_image import Synthesised, check_maps
from .noise import bias_field, blur, smooth_noise, thick_slices
from .random_parts import Sample, samples_of


@dataclass(frozen=True)
class LabelsToImageNew(LabelMotion):
    """The later generator, with all options of the original; those of the motion are described there.

    Args:
        in_labels: labels of the maps, or a mapping label -> intensity class: labels of one class share their
            intensities, such as the two sides of a structure. Others count as 0 and look like the first class.
        out_labels: those that are returned: a list, or a mapping that merges them; None returns all.
        out_shape: of the result, about the middle of the maps; () is their own.
        channels: of the images.
        one_hot: return memberships; of other labels they are 0. Else numbers.
        mean_min, mean_max: limits of the intensity of every class; () takes 0 and 1.
        noise_min, noise_max: limits of the noise, as a share of the brightest voxel.
        zero_background: share of the channels whose background is 0.
        blur_min, blur_max: limits of the standard deviation of the blur, voxels.
        bias_min, bias_max, bias_blur_min, bias_blur_max: limits of the maximum and the width of the logarithm of the
            bias field; a largest of 0 leaves it out.
        slice_stride_min, slice_stride_max, slice_prob, slice_axes: see `noise.thick_slices`.
        normalize: scale every channel to 0..1.
        gamma: largest difference of gamma from 1, below 1.

    Raises:
        ConfigError: impossible values, empty lists, or unknown labels.

    Source: Hoffmann et al., Imaging Neuroscience 2024, doi:10.1162/imag_a_00197.
    """

    in_labels: Sequence[int] | Mapping[int, int] = ()
    out_labels: Sequence[int] | Mapping[int, int] | None = None
    out_shape: tuple[int, ...] = ()
    channels: int = 1
    one_hot: bool = True
    mean_min: Span = ()
    mean_max: Span = ()
    noise_min: float = 0.1
    noise_max: float = 0.2
    zero_background: float = 0
    blur_min: float = 0
    blur_max: float = 1
    bias_min: float = 0.01
    bias_max: float = 0.1
    bias_blur_min: float = 32
    bias_blur_max: float = 64
    slice_stride_min: float = 1
    slice_stride_max: float = 8
    slice_prob: float = 0
    slice_axes: tuple[int, ...] | None = None
    normalize: bool = True
    gamma: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        out_table(check_labels(list(self.in_labels), "input labels"), self.out_labels)
        for name in ("mean_min", "mean_max"):
            given, count = getattr(self, name), len(self.classes)
            if given and len(given) != count:
                raise ConfigError(f"{name} has {len(given)} values for {count} classes. Give one for each, or none.")
        for name in ("noise", "blur", "bias"):
            self.check_limits(name)
        if not 0 <= self.gamma < 1:
            raise ConfigError(f"gamma is {self.gamma}; give a number from 0 to below 1.")
        if self.slice_stride_min < 1 or self.slice_stride_max < self.slice_stride_min:
            raise ConfigError(
                f"Slices of {self.slice_stride_min} to {self.slice_stride_max} voxels cannot be made. Give thicknesses "
                "from 1 on, in order."
            )

    @property
    def labels(self) -> tuple[int, ...]:
        """The input labels in ascending order."""
        return tuple(sorted(set(self.in_labels)))

    @property
    def classes(self) -> tuple[int, ...]:
        """The intensity classes in ascending order."""
        return tuple(sorted(set(self.in_labels.values()))) if isinstance(self.in_labels, Mapping) else self.labels

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
        affine: Tensor | None = None,
        seeds: Mapping[str, int] | None = None,
    ) -> Synthesised:
        """Make one image of every map.

        Args:
            labels: (B, 1, *shape), whole numbers in any dtype.
            generators: one for each item, on the CPU.
            velocity: (B, N, *half), instead of a random one.
            affine: (B, N + 1, N + 1) about the middle of the output grid, instead of a random one.
            seeds: fixed seeds of parts: shift, rot, scale, shear, flip, swap, warp, crop, mean, bias, noise,
                background, blur, slice, gamma.

        Raises:
            GeometryError: the maps do not fit the generators or `out_shape`.
        """
        whole = check_maps(labels, generators, self.out_shape)
        samples = samples_of(generators, labels.device, seeds)
        step = 2 if self.half_res else 1
        shape = tuple(max(1, n // step) for n in whole)
        affine = (
            torch.cat([self.affine_map(s, len(shape)) for s in samples]) if affine is None else square(affine.float())
        )
        velocity, displacement = self.deformation(shape, samples, velocity)
        places = look_up(labels, self.labels, range(1, len(self.labels) + 1)).to(torch.int16)
        places = self.moved(places, whole, step, affine, displacement, samples)
        means = torch.cat([self._means(place[None], sample) for place, sample in zip(places, samples)])
        image, bias = self._noisy(means, places, samples)
        out = [self.table.get(label, -1) for label in self.labels]
        out = look_up(places, range(len(out) + 1), [self.table.get(0, -1), *out])
        return Synthesised(
            image=self._rescaled(image, samples),
            labels=one_hot(out, self.out_values) if self.one_hot else out.clamp(min=0),
            velocity=velocity,
            displacement=displacement,
            affine=affine,
            mean=means,
            bias=bias,
        )

    def _means(self, places: Tensor, sample: Sample) -> Tensor:
        """(1, C, *shape), the intensity of the class of each voxel; no label looks like the first class."""
        classes = self.classes
        low, high = self.mean_min or [0.0] * len(classes), self.mean_max or [1.0] * len(classes)
        drawn = sample.part("mean").between([*low] * self.channels, [*high] * self.channels)
        of_class = drawn.view(self.channels, len(classes))
        mapping = self.in_labels if isinstance(self.in_labels, Mapping) else dict(zip(self.labels, self.labels))
        index = [0, *(classes.index(mapping[label]) for label in self.labels)]
        return of_class[:, index].to(places.device)[:, places[0, 0].long()][None]

    def _noisy(self, means: Tensor, places: Tensor, samples: Sequence[Sample]) -> tuple[Tensor, Tensor | None]:
        """Bias field, noise, empty background, blur and thick slices."""
        shape, items = means.shape[2:], range(len(samples))
        image, bias = means, None
        if self.bias_max > 0:
            low, high = self.bias_blur_min, self.bias_blur_max
            size = positive(self.bias_min), self.bias_max
            fields = [
                smooth_noise(s.part("bias"), self.channels, shape, low, high, *size, reduce="max") for s in samples
            ]
            bias = bias_field(torch.cat(fields))
            image = image * bias
        if self.noise_max > 0:
            strength = torch.stack(
                [s.part("noise").uniform(self.noise_min, self.noise_max, self.channels) for s in samples]
            )
            noise = torch.cat([s.part("noise").noise(1, self.channels, *shape) for s in samples])
            brightest = image.abs().amax(dim=tuple(range(1, image.ndim)), keepdim=True)
            image = image + noise * brightest * strength.to(image.device).view(len(samples), -1, *(1 for _ in shape))
        if self.zero_background > 0:
            empty = torch.stack(
                [s.part("background").uniform(0, 1, self.channels) < self.zero_background for s in samples]
            )
            first = 1 if self.labels[0] == 0 else 0
            ground = (places == 0) | (places == first)
            image = image.masked_fill(ground & empty.to(image.device).view(len(samples), -1, *(1 for _ in shape)), 0)
        if self.blur_max > 0:
            sigma = [s.part("blur").uniform(self.blur_min, self.blur_max, len(shape)) for s in samples]
            image = blur(image, torch.stack(sigma), self.blur_max)
        if self.slice_prob > 0:
            limits = self.slice_stride_min, self.slice_stride_max, self.slice_prob, self.slice_axes
            image = torch.cat([thick_slices(image[i : i + 1], samples[i].part("slice"), *limits) for i in items])
        return image, bias

    def _rescaled(self, image: Tensor, samples: Sequence[Sample]) -> Tensor:
        if self.normalize:
            image = min_max(image, dims=range(2, image.ndim))
        if self.gamma > 0:
            powers = [s.part("gamma").uniform(1 - self.gamma, 1 + self.gamma, self.channels) for s in samples]
            power = torch.stack(powers).to(image.device).view(len(samples), -1, *(1 for _ in image.shape[2:]))
            image = image.clamp(min=0) ** power
        return image
