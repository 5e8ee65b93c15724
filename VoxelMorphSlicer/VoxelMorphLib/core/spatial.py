"""Sampling of tensor images at displaced voxels, locations and points; barycentres of channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .errors import ConfigError, GeometryError
from .full_precision import at_least_float32, in_float32

INTERPOLATIONS = ("linear", "nearest")
PADDINGS = ("border", "zeros", "hard")
#: Number of samples below which threads cost more than they save.
SMALL = 2**15
#: Samples that are processed at a time without gradient, so that their coordinates stay in the CPU's cache.
SLAB = 2**18
#: Largest number of values in all copies of a gradient.
LARGEST_COPIES = 2**26


def warp(
    image: Tensor, displacement: Tensor, interpolation: str = "linear", padding: str = "border", fill: float = 0.0
) -> Tensor:
    """Sample `image` where `displacement` points (pull: moved(x) = image(x + u(x))).

    Args:
        image: (B, C, *in), moving image; one image (B = 1) is used for all displacements.
        displacement: (B, N, *out), voxels of the image; component 0 along the first spatial axis. One
            displacement (B = 1) is used for all images. (B, C, N, *out) holds one displacement per channel.
        interpolation: "linear", or "nearest" (ties to the even voxel, values and dtype kept).
        padding: value outside the image: "border" that of its nearest voxel, "zeros" zero (linear interpolation blends
            over one voxel), "hard" `fill` wherever any coordinate is < 0 or > n - 1.
        fill: the value of "hard".

    Returns:
        (B, C, *out), a new tensor: float32 (float64 if both inputs are) when linear, else of the image's dtype.

    Raises:
        GeometryError: the numbers of axes, batches or channels do not match.
        ConfigError: unknown interpolation or padding.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section III.
    """
    _check_options(interpolation, padding)
    if displacement.ndim == image.ndim + 1:
        return _warp_channels(image, displacement, interpolation, padding, fill)
    _check(image, displacement, axes=image.ndim - 2)
    image, displacement = _same_batch(image, at_least_float32(displacement))
    planes, extent = _planes(image, displacement), displacement.shape[2]
    if planes >= extent:
        return _warp_slab(image, displacement, 0, interpolation, padding, fill)
    first = _warp_slab(image, displacement[:, :, :planes], 0, interpolation, padding, fill)
    moved = first.new_empty(*first.shape[:2], *displacement.shape[2:])
    moved[:, :, :planes] = first
    for start in range(planes, extent, planes):
        slab = displacement[:, :, start : start + planes]
        moved[:, :, start : start + planes] = _warp_slab(image, slab, start, interpolation, padding, fill)
    return moved


def sample_at(
    image: Tensor, locations: Tensor, interpolation: str = "linear", padding: str = "border", fill: float = 0.0
) -> Tensor:
    """Sample `image` (B, C, *in) at absolute voxel coordinates `locations` (B, N, *out): (B, C, *out).

    Options, dtypes and errors as in `warp`; the number of output axes *out is free.
    """
    _check_options(interpolation, padding)
    _check(image, locations)
    image, locations = _same_batch(image, at_least_float32(locations))
    return _sample(image, list(locations.unbind(1)), interpolation, padding, fill)


def warp_points(points: Tensor, displacement: Tensor) -> Tensor:
    """Move points by the displacement found at them: y = x + u(x), linear, clamped at the border.

    Args:
        points: (B, P, N), voxel coordinates on the grid of `displacement`.
        displacement: (B, N, *shape), voxels.

    Returns:
        (B, P, N), voxels. For a pull displacement, the points of the moving image that correspond to the given points
        of the fixed image.

    Raises:
        GeometryError: the numbers of axes or batches do not match.
    """
    locations = at_least_float32(points).transpose(1, 2)
    return (locations + sample_at(displacement, locations)).transpose(1, 2)


def values_at(image: Tensor, points: Tensor) -> Tensor:
    """(B, P, C): the image (B, C, *shape) at points (B, P, N), voxels; linear, clamped at the border."""
    return sample_at(image, points.transpose(1, 2)).transpose(1, 2)


def warp_surface(points: Tensor, displacement: Tensor, scale: float = 1.0) -> Tensor:
    """Move points that carry a label: x -> x + scale u(x).

    Args:
        points: (B, P, N + 1), voxels on the grid of `displacement`, the label in the last column.
        displacement: (B, N, *shape), voxels.
        scale: multiplier of the displacement.

    Returns:
        (B, P, N + 1), labels unchanged.
    """
    places, label = points[..., :-1], points[..., -1:]
    return torch.cat([places + scale * values_at(displacement, places), label], dim=-1)


@in_float32
def barycentre(image: Tensor, normalize: bool = False, shift_center: bool = False) -> Tensor:
    """The mean position of the voxels, weighted by their values.

    Args:
        image: (B, C, *shape), not negative.
        normalize: positions as a fraction of the extents.
        shift_center: positions are relative to the centre of the grid, (n - 1) / 2, otherwise to voxel 0.

    Returns:
        (B, C, N), voxels (or fractions); 0 for a channel without mass.
    """
    mass = image.flatten(2).sum(2)
    divisor = torch.where(mass == 0, torch.ones_like(mass), mass)
    centres = []
    for axis, extent in enumerate(image.shape[2:], start=2):
        position = torch.arange(extent, device=image.device, dtype=image.dtype)
        position = position - (extent - 1) / 2 if shift_center else position
        profile = image.movedim(axis, 2).reshape(*mass.shape, extent, -1).sum(-1)
        centre = (profile * position).sum(-1) / divisor
        centres.append(centre / extent if normalize else centre)
    return torch.stack(centres, dim=-1)


def _warp_channels(image: Tensor, displacement: Tensor, interpolation: str, padding: str, fill: float) -> Tensor:
    """One displacement per channel: fold the channels into the batch."""
    if displacement.shape[1] != image.shape[1]:
        raise GeometryError(
            f"{displacement.shape[1]} displacements for {image.shape[1]} channels; give one for each, or one for all."
        )
    image, displacement = _same_batch(image, displacement)
    moved = warp(
        image.reshape(-1, 1, *image.shape[2:]),
        displacement.reshape(-1, *displacement.shape[2:]),
        interpolation,
        padding,
        fill,
    )
    return moved.reshape(*image.shape[:2], *displacement.shape[3:])


def _check_options(interpolation: str, padding: str) -> None:
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(f"Unknown interpolation {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}.")
    if padding not in PADDINGS:
        raise ConfigError(f"Unknown padding {padding!r}; choose one of {', '.join(PADDINGS)}.")


def _check(image: Tensor, field: Tensor, axes: int | None = None) -> None:
    """`axes`: how many output axes the field must have."""
    dims = image.ndim - 2
    if dims < 1 or field.ndim < 3 or field.shape[1] != dims or axes not in (None, field.ndim - 2):
        raise GeometryError(
            f"An image (B, C, *shape) of {tuple(image.shape)} needs a field (B, N, *out) with one component per axis "
            f"of the shape, got {tuple(field.shape)}."
        )


def _same_batch(image: Tensor, field: Tensor) -> tuple[Tensor, Tensor]:
    batch = max(image.shape[0], field.shape[0])
    if {image.shape[0], field.shape[0]} - {1, batch}:
        raise GeometryError(
            f"{image.shape[0]} images do not fit {field.shape[0]} fields; use equal batches, or one for all."
        )
    return image.expand(batch, *image.shape[1:]), field.expand(batch, *field.shape[1:])


def _warp_slab(
    image: Tensor, displacement: Tensor, start: int, interpolation: str, padding: str, fill: float
) -> Tensor:
    """`warp` for some planes of the output, of which the first has index `start` in the grid."""
    if interpolation == "linear" and padding != "hard" and _has_grid_sample(image):
        image, displacement = _same_float(image, displacement)
        return _grid_sample(image, _displaced_grid(displacement, start, image.shape[2:]), padding)
    return _sample(image, _coordinates(displacement, start), interpolation, padding, fill)


def _sample(image: Tensor, coordinates: list[Tensor], interpolation: str, padding: str, fill: float) -> Tensor:
    """`coordinates`: for each axis of the image a tensor (B, *out), voxels."""
    if interpolation == "nearest":
        sampled = _take(image, [axis.detach().round() for axis in coordinates], padding)
    else:
        image, *coordinates = _same_float(image, *coordinates)
        sampled = _linear(image, coordinates, padding)
    if padding == "hard":
        sampled = sampled.masked_fill(_outside(coordinates, image.shape[2:]).unsqueeze(1), fill)
    return sampled


def _same_float(*tensors: Tensor) -> list[Tensor]:
    """All in float64 if all are already, else in float32."""
    double = all(tensor.dtype == torch.float64 for tensor in tensors)
    return [tensor.to(torch.float64 if double else torch.float32) for tensor in tensors]


def _planes(image: Tensor, displacement: Tensor) -> int:
    """How many planes of the first output axis to process at a time."""
    if displacement.device.type != "cpu" or _wants_gradient(image, displacement):
        return displacement.shape[2]
    return max(1, SLAB * displacement.shape[2] // max(displacement[:, 0].numel(), 1))


def _coordinates(displacement: Tensor, start: int) -> list[Tensor]:
    """Voxel coordinates that `displacement` (B, N, *out) points to; its first plane is number `start` of the grid."""
    coordinates = []
    for axis, n in enumerate(displacement.shape[2:]):
        first = start if axis == 0 else 0
        voxels = torch.arange(first, first + n, device=displacement.device, dtype=displacement.dtype)
        coordinates.append(displacement[:, axis] + voxels.view(-1, *[1] * (displacement.ndim - 3 - axis)))
    return coordinates


def _wants_gradient(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _outside(coordinates: list[Tensor], shape: Sequence[int]) -> Tensor:
    """(B, *out), True where any coordinate lies outside [0, n - 1]."""
    outside = torch.zeros_like(coordinates[0], dtype=torch.bool)
    for axis, n in zip(coordinates, shape):
        outside |= (axis < 0) | (axis > n - 1)
    return outside


def _linear(image: Tensor, coordinates: list[Tensor], padding: str) -> Tensor:
    if _has_grid_sample(image):
        return _grid_sample(image, _normalised(coordinates, image.shape[2:]), padding)
    return _linear_by_gather(image, coordinates, padding)


def _has_grid_sample(image: Tensor) -> bool:
    """torch has none for 1-D, and on Apple GPUs none for 3-D."""
    return image.ndim == 4 or (image.ndim == 5 and image.device.type != "mps")


def _grid_sample(image: Tensor, grid: Tensor, padding: str) -> Tensor:
    """Sample (B, C, *in) at `grid` (B, N, *out) as `_normalised` gives it: (B, C, *out)."""
    batch, dims, *out = grid.shape
    parts = _parts(image, prod(out))
    # Samples may have any order, so the output becomes rows, one per part.
    rows = grid.reshape(batch, dims, parts, -1).permute(0, 2, 3, 1).reshape(batch * parts, *[1] * (dims - 1), -1, dims)
    mode = "zeros" if padding == "zeros" else "border"
    copies = image.expand(batch * parts, *image.shape[1:])
    sampled = functional.grid_sample(copies, rows, "bilinear", mode, False)
    return sampled.unflatten(0, (batch, parts)).transpose(1, 2).reshape(*image.shape[:2], *out)


def _parts(image: Tensor, samples: int) -> int:
    """Number of parts to cut a single item into: on the CPU grid_sample parallelises over the batch only."""
    if image.device.type != "cpu" or image.shape[0] > 1 or samples < SMALL:
        return 1
    threads = torch.get_num_threads()
    if _wants_gradient(image):  # the gradient needs one copy of the image per part
        threads = min(threads, LARGEST_COPIES // image.numel())
    return max((parts for parts in range(1, threads + 1) if samples % parts == 0), default=1)


def _normalised(coordinates: list[Tensor], shape: Sequence[int]) -> Tensor:
    """(B, N, *out) in grid_sample's convention: last spatial axis first, 1 at voxel n - 1/2.

    Subtracting the centre first is nearly exact, so this adds a single rounding error. align_corners=False also
    works for axes of one voxel.
    """
    axes = [(axis - (n - 1) / 2).mul_(2 / n) for axis, n in zip(coordinates, shape)]
    return torch.stack(axes[::-1], dim=1)


def _displaced_grid(displacement: Tensor, start: int, shape: Sequence[int]) -> Tensor:
    """`_normalised(_coordinates(displacement, start), shape)` in one step per axis."""
    return _DisplacedGrid.apply(displacement, start, shape)


class _DisplacedGrid(torch.autograd.Function):
    """Each value is written once, and its gradient read once, where autograd would copy all axes to join them."""

    @staticmethod
    def forward(ctx: Any, displacement: Tensor, start: int, shape: Sequence[int]) -> Tensor:
        ctx.shape = shape
        grid = torch.empty_like(displacement)
        for axis, (count, n) in enumerate(zip(displacement.shape[2:], shape)):
            first = start if axis == 0 else 0
            voxels = torch.arange(first, first + count, device=displacement.device, dtype=displacement.dtype)
            place = ((voxels - (n - 1) / 2) * (2 / n)).view(-1, *[1] * (displacement.ndim - 3 - axis))
            torch.add(place, displacement[:, axis], alpha=2 / n, out=grid[:, -1 - axis])
        return grid

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        sides = gradient.new_tensor([2 / n for n in ctx.shape])
        return gradient.flip(1) * sides.view(-1, *[1] * len(ctx.shape)), None, None


def _linear_by_gather(image: Tensor, coordinates: list[Tensor], padding: str) -> Tensor:
    """The weighted sum over 2^N corners, where grid_sample is missing (1-D; 3-D on Apple GPUs)."""
    if padding != "zeros":
        coordinates = [axis.clamp(0, n - 1) for axis, n in zip(coordinates, image.shape[2:])]
    lower = [axis.detach().floor() for axis in coordinates]
    fractions = [axis - below for axis, below in zip(coordinates, lower)]
    result = image.new_zeros(())
    for corner in product((0, 1), repeat=len(lower)):
        weights = [fraction if upper else 1 - fraction for fraction, upper in zip(fractions, corner)]
        values = _take(image, [below + upper for below, upper in zip(lower, corner)], padding)
        result = result + prod(weights[1:], start=weights[0]).unsqueeze(1) * values
    return result


def _take(image: Tensor, voxels: list[Tensor], padding: str) -> Tensor:
    """Values (B, C, *out) at integer coordinates; outside the image those of its border, or zero for "zeros"."""
    shape = image.shape[2:]
    inside = [axis.nan_to_num(0.0).clamp(0, n - 1).long() for axis, n in zip(voxels, shape)]
    index = inside[0]
    for axis, n in zip(inside[1:], shape[1:]):
        index = index * n + axis
    values = image.flatten(2).gather(2, index.flatten(1).unsqueeze(1).expand(-1, image.shape[1], -1))
    values = values.reshape(*image.shape[:2], *voxels[0].shape[1:])
    return values.masked_fill(_outside(voxels, shape).unsqueeze(1), 0) if padding == "zeros" else values
