"""LabelsToImageNew: the later generator of SynthMorph, with random affine maps, cropped fields of view and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.affine import affine_to_displacement, square
from ..core.affine_parameters import parameters_to_affine
from ..core.config import Settings
from ..core.displacement import compose, integrate_velocity
from ..core.errors import ConfigError
from ..core.filters import min_max
from ..core.resize import resize_displacement
from ..core.spatial import warp
from .label_tables import check_labels, look_up, one_hot, out_table
from .labels_to_image import COARSENESS, STEPS, Synthesised, check_maps
from .noise import bias_field, blur, crop_mask, smooth_noise, thick_slices
from .random_parts import Part, Sample, samples_of

Span = tuple[float, ...]


@dataclass(frozen=True)
class LabelsToImageNew(Settings):
    """The later generator, with all options of the original.

    Args:
        in_labels: labels of the maps, or a mapping label -> intensity class: labels of one class share their
            intensities, such as the two sides of a structure. Others count as 0 and look like the first class.
        out_labels: those that are returned: a list, or a mapping that merges them; None returns all.
        out_shape: of the result, about the middle of the maps; () is their own.
        channels: of the images.
        one_hot: return memberships; of other labels they are 0. Else numbers.
        half_res: make everything on every second voxel; shifts are still in voxels of the maps.
        axes_flip, axes_swap: mirror each axis at random; exchange axes at random, which needs equal extents.
        aff_shift, aff_rotate, aff_scale, aff_shear: largest shift (voxels), rotation (degrees), change of scale and
            shear, uniform on both sides of 0.
        aff_normal_shift, aff_normal_rotate, aff_normal_scale, aff_normal_shear: take these as standard deviations of
            normal numbers.
        warp_min, warp_max: limits of the velocity's maximum, voxels of its own grid; a largest of 0 leaves it out.
        warp_blur_min, warp_blur_max: limits of its width at half maximum, voxels; one, or one per axis.
        warp_zero_mean: remove the mean of the displacement.
        crop_min, crop_max, crop_prob, crop_axes: see `noise.crop_mask`.
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
    half_res: bool = False
    axes_flip: bool = False
    axes_swap: bool = False
    aff_shift: float = 0
    aff_rotate: float = 0
    aff_scale: float = 0
    aff_shear: float = 0
    aff_normal_shift: bool = False
    aff_normal_rotate: bool = False
    aff_normal_scale: bool = False
    aff_normal_shear: bool = False
    warp_min: float = 0.01
    warp_max: float = 2
    warp_blur_min: Span = (8,)
    warp_blur_max: Span = (32,)
    warp_zero_mean: bool = False
    crop_min: float = 0
    crop_max: float = 0.2
    crop_prob: float = 0
    crop_axes: tuple[int, ...] | None = None
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
        out_table(check_labels(list(self.in_labels), "input labels"), self.out_labels)
        for name in ("mean_min", "mean_max"):
            given, count = getattr(self, name), len(self.classes)
            if given and len(given) != count:
                raise ConfigError(f"{name} has {len(given)} values for {count} classes. Give one for each, or none.")
        for low, high in (("warp", "warp"), ("noise", "noise"), ("blur", "blur"), ("bias", "bias"), ("crop", "crop")):
            least, most = getattr(self, f"{low}_min"), getattr(self, f"{high}_max")
            if not 0 <= least < float("inf") or not 0 <= most < float("inf") or (most and least > most):
                raise ConfigError(
                    f"{low}_min is {least} and {high}_max {most}. Give finite numbers from 0 on, in order."
                )
        if not 0 <= self.gamma < 1:
            raise ConfigError(f"gamma is {self.gamma}; give a number from 0 to below 1.")
        if self.crop_max >= 1:
            raise ConfigError(f"crop_max is {self.crop_max}, which leaves nothing. Give a share below 1.")
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
        affine = torch.cat([self._affine(s, len(shape)) for s in samples]) if affine is None else square(affine.float())
        velocity, displacement = self._displacement(shape, samples, velocity)
        places = look_up(labels, self.labels, range(1, len(self.labels) + 1)).to(torch.int16)
        places = self._moved(places, whole, step, affine, displacement, samples)
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

    def _affine(self, sample: Sample, dims: int) -> Tensor:
        """(1, N + 1, N + 1), about the middle of the grid."""
        turns = dims * (dims - 1) // 2
        parts = (
            ("shift", "shift", dims),
            ("rot", "rotate", turns),
            ("scale", "scale", dims),
            ("shear", "shear", turns),
        )

        def drawn(part: Part, name: str, count: int) -> Tensor:
            amount = getattr(self, f"aff_{name}")
            if getattr(self, f"aff_normal_{name}"):
                return part.normal(amount, count)
            return part.uniform(-amount, amount, count)

        values = [drawn(sample.part(part), name, count) for part, name, count in parts]
        values[2] = values[2].clamp(min=-0.9)  # a scale near 0 leaves nothing
        return parameters_to_affine(torch.cat(values)[None], dims, shift_scale=True, last_row=True)

    def _displacement(
        self, shape: tuple[int, ...], samples: Sequence[Sample], velocity: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        if velocity is None:
            if self.warp_max == 0:
                return None, None
            half = [max(1, n // COARSENESS) for n in shape]
            low, high = (self._blurs(limits, len(shape)) for limits in (self.warp_blur_min, self.warp_blur_max))
            drawn = [
                smooth_noise(
                    s.part("warp"),
                    len(half),
                    half,
                    low,
                    high,
                    self._positive(self.warp_min),
                    self.warp_max,
                    reduce="max",
                )
                for s in samples
            ]
            velocity = torch.cat(drawn)
        displacement = resize_displacement(integrate_velocity(velocity, STEPS), shape, scale=COARSENESS)
        if self.warp_zero_mean:
            displacement = displacement - displacement.mean(tuple(range(2, displacement.ndim)), keepdim=True)
        return velocity, displacement

    def _blurs(self, limits: Span, dims: int) -> list[float]:
        given = [limits] if isinstance(limits, (int, float)) else list(limits)
        return [
            value / COARSENESS / (2 if self.half_res else 1) for value in (given * dims if len(given) == 1 else given)
        ]

    def _moved(
        self,
        places: Tensor,
        whole: tuple[int, ...],
        step: int,
        affine: Tensor,
        displacement: Tensor | None,
        samples: Sequence[Sample],
    ) -> Tensor:
        """The places of labels on the output grid, 0 outside the maps and outside the field of view."""
        dims, shape = len(whole), tuple(max(1, n // step) for n in whole)
        middle = [(n - 1) / 2 for n in whole]
        spread = torch.diag(torch.tensor([float(step)] * dims + [1.0]))
        to_middle, from_middle = _shifted(middle, -1) @ spread, torch.linalg.inv(spread) @ _shifted(middle, 1)
        inner = from_middle @ affine.cpu() @ to_middle  # on voxels of the output grid
        to_map = torch.stack([self._orientation(sample, dims) for sample in samples])
        outer = _shifted([(old - 1) / 2 for old in places.shape[2:]], 1) @ to_map @ to_middle
        whole_matrix = outer @ inner
        if displacement is None:
            plain = torch.equal(whole_matrix, torch.eye(dims + 1).expand_as(whole_matrix))
            field = affine_to_displacement(whole_matrix.to(places.device), shape, shift_center=False)
            moved = places if plain and tuple(places.shape[2:]) == shape else warp(places, field, "nearest", "hard")
        else:
            # As in the original the affine map is a field too, which its border values continue outside the grid.
            field = affine_to_displacement(inner.to(places.device), shape, shift_center=False)
            field = compose([outer.to(places.device), compose([field, displacement])], shift_center=False)
            moved = warp(places, field, "nearest", "hard")
        if self.crop_prob == 0:
            return moved
        masks = [
            crop_mask(s.part("crop"), shape, self.crop_min, self.crop_max, self.crop_prob, axes=self.crop_axes)
            for s in samples
        ]
        return moved * torch.cat(masks).to(moved.device, moved.dtype)

    def _orientation(self, sample: Sample, dims: int) -> Tensor:
        """(N + 1, N + 1): random reflections and exchanges of axes."""
        matrix = torch.eye(dims + 1)
        if self.axes_flip:
            matrix[range(dims), range(dims)] = torch.where(sample.part("flip").uniform(0, 1, dims) < 0.5, -1.0, 1.0)
        if self.axes_swap:
            matrix = matrix[[*sample.part("swap").order(dims), dims]]
        return matrix

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
            size = self._positive(self.bias_min), self.bias_max
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

    def _positive(self, least: float) -> float:
        """Sizes of random fields are above 0."""
        return max(least, 1e-6)


def _shifted(middle: Sequence[float], sign: int) -> Tensor:
    """(N + 1, N + 1): adds the middle of a grid, or takes it away."""
    matrix = torch.eye(len(middle) + 1)
    matrix[:-1, -1] = sign * torch.tensor(middle)
    return matrix
