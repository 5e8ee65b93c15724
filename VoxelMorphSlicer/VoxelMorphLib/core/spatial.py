"""Sampling: a tensor image and a displacement (or absolute locations) in voxels become the moved image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from .errors import ConfigError, GeometryError

INTERPOLATIONS = ("linear", "nearest")
PADDINGS = ("border", "zeros", "hard")


def identity_grid(
    shape: Sequence[int], device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(1, N, *shape), the voxel coordinates of every voxel; component 0 along the first spatial axis."""
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def warp(
    image: Tensor, displacement: Tensor, interpolation: str = "linear", padding: str = "border", fill: float = 0.0
) -> Tensor:
    """Sample `image` where `displacement` points (pull: moved(x) = image(x + u(x))).

    Args:
        image: (B, C, *in), moving image; B = 1 serves every displacement.
        displacement: (B, N, *out), voxels of the image; component 0 along the first spatial axis. B = 1 serves every
            image. (B, C, N, *out) holds one displacement per channel.
        interpolation: "linear", or "nearest" (ties to the even voxel, values and dtype kept).
        padding: what lies outside the image: "border" its nearest voxel, "zeros" zero (linear interpolation blends
            over one voxel), "hard" `fill` wherever any coordinate is < 0 or > n - 1.
        fill: the value of "hard".

    Returns:
        (B, C, *out), a new tensor: float32 (float64 where both inputs are) when linear, else of the image's dtype.

    Raises:
        GeometryError: the numbers of axes, the batches or the channels do not fit.
        ConfigError: unknown interpolation or padding.

    Source: Balakrishnan et al., IEEE TMI 2019, doi:10.1109/TMI.2019.2897538, section III.
    """
    if displacement.ndim == image.ndim + 1:
        return _warp_channels(image, displacement, interpolation, padding, fill)
    _check(image, displacement)
    locations = _working(displacement) + _working(identity_grid(displacement.shape[2:], displacement.device))
    return sample_at(image, locations, interpolation, padding, fill)


def sample_at(
    image: Tensor, locations: Tensor, interpolation: str = "linear", padding: str = "border", fill: float = 0.0
) -> Tensor:
    """Sample `image` (B, C, *in) at absolute voxel coordinates `locations` (B, N, *out): (B, C, *out).

    Options, dtypes and errors as in `warp`; the output axes *out need not be as many as the image has.
    """
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(f"Unknown interpolation {interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}.")
    if padding not in PADDINGS:
        raise ConfigError(f"Unknown padding {padding!r}; choose one of {', '.join(PADDINGS)}.")
    _check(image, locations)
    image, locations = _same_batch(image, _working(locations))
    if interpolation == "nearest":
        sampled = _nearest(image, locations, padding)
    else:
        double = image.dtype == locations.dtype == torch.float64
        dtype = torch.float64 if double else torch.float32
        sampled = _linear(image.to(dtype), locations.to(dtype), padding)
    if padding == "hard":
        sampled = sampled.masked_fill(_outside(locations, image.shape[2:]), fill)
    return sampled


def warp_points(points: Tensor, displacement: Tensor) -> Tensor:
    """Move points by the displacement found at them: y = x + u(x), linear, clamped at the border.

    Args:
        points: (B, P, N), voxel coordinates on the grid of `displacement`.
        displacement: (B, N, *shape), voxels.

    Returns:
        (B, P, N), voxels. Under a pull displacement these are the places in the moving image that the points of the
        fixed image correspond to.

    Raises:
        GeometryError: the numbers of axes or the batches do not fit.
    """
    locations = _working(points).transpose(1, 2)
    return (locations + sample_at(displacement, locations)).transpose(1, 2)


def _warp_channels(image: Tensor, displacement: Tensor, interpolation: str, padding: str, fill: float) -> Tensor:
    """One displacement per channel: fold the channels into the batch."""
    if displacement.shape[1] != image.shape[1]:
        raise GeometryError(
            f"{displacement.shape[1]} displacements for {image.shape[1]} channels; give one per channel, or one for all."
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


def _check(image: Tensor, locations: Tensor) -> None:
    dims = image.ndim - 2
    if dims < 1 or locations.ndim < 3 or locations.shape[1] != dims:
        raise GeometryError(
            f"An image (B, C, *shape) of {tuple(image.shape)} needs {max(dims, 1)} displacement components in axis 1, "
            f"got a field of {tuple(locations.shape)}. Arrange the field as (B, N, *shape)."
        )


def _same_batch(image: Tensor, field: Tensor) -> tuple[Tensor, Tensor]:
    batch = max(image.shape[0], field.shape[0])
    if {image.shape[0], field.shape[0]} - {1, batch}:
        raise GeometryError(
            f"A batch of {image.shape[0]} images does not fit {field.shape[0]} fields; use equal batches, or one for all."
        )
    return image.expand(batch, *image.shape[1:]), field.expand(batch, *field.shape[1:])


def _working(tensor: Tensor) -> Tensor:
    """Half precision cannot tell neighbouring voxels apart beyond 256, so coordinates are float32 even under autocast."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _outside(locations: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, 1, *out), True where any coordinate lies outside [0, n - 1]."""
    last = torch.tensor([n - 1 for n in shape], device=locations.device, dtype=locations.dtype)
    last = last.view(1, -1, *[1] * (locations.ndim - 2))
    return ((locations < 0) | (locations > last)).any(1, keepdim=True)


def _linear(image: Tensor, locations: Tensor, padding: str) -> Tensor:
    dims = image.ndim - 2
    native = dims == 2 or (dims == 3 and image.device.type != "mps")
    if not native:
        return _linear_by_gather(image, locations, padding)
    out = locations.shape[2:]
    if len(out) != dims:  # grid_sample wants as many output axes as the image has
        locations = locations.reshape(*locations.shape[:2], -1, *[1] * (dims - 1))
    mode = "zeros" if padding == "zeros" else "border"
    sampled = functional.grid_sample(image, _normalised(locations, image.shape[2:]), "bilinear", mode, False)
    return sampled.reshape(*sampled.shape[:2], *out)


def _normalised(locations: Tensor, shape: Sequence[int]) -> Tensor:
    """Locations in voxels as grid_sample wants them: last axis, last spatial axis first, voxel n - 1/2 at 1.

    Subtracting the centre first is exact, so only one rounding is added. The convention align_corners=False serves
    axes of one voxel too.
    """
    axes = [(locations[:, a] - (n - 1) / 2) * (2 / n) for a, n in enumerate(shape)]
    return torch.stack(axes[::-1], dim=-1)


def _linear_by_gather(image: Tensor, locations: Tensor, padding: str) -> Tensor:
    """The weighted sum over the 2^N corners, for the cases that grid_sample lacks (1-D; 3-D on Apple GPUs)."""
    shape = image.shape[2:]
    if padding != "zeros":
        locations = torch.stack([locations[:, a].clamp(0, n - 1) for a, n in enumerate(shape)], dim=1)
    lower = locations.detach().floor()
    fraction = locations - lower
    result = torch.zeros((), dtype=image.dtype, device=image.device)
    for corner in product((0, 1), repeat=len(shape)):
        weights = [fraction[:, a] if upper else 1 - fraction[:, a] for a, upper in enumerate(corner)]
        weight = torch.stack(weights).prod(0).unsqueeze(1)
        offset = torch.tensor(corner, device=image.device, dtype=lower.dtype)
        values = _take(image, lower + offset.view(1, -1, *[1] * (lower.ndim - 2)), padding)
        result = result + weight * values
    return result


def _nearest(image: Tensor, locations: Tensor, padding: str) -> Tensor:
    return _take(image, locations.detach().round(), padding)


def _take(image: Tensor, voxels: Tensor, padding: str) -> Tensor:
    """Values (B, C, *out) at whole-numbered `voxels` (B, N, *out); beyond the image its border, or zero for "zeros"."""
    shape = image.shape[2:]
    index = torch.zeros((), dtype=torch.int64, device=image.device)
    for axis, n in enumerate(shape):
        index = index * n + voxels[:, axis].nan_to_num(0.0).clamp(0, n - 1).long()
    values = image.flatten(2).gather(2, index.flatten(1).unsqueeze(1).expand(-1, image.shape[1], -1))
    values = values.reshape(*image.shape[:2], *voxels.shape[2:])
    return values.masked_fill(_outside(voxels, shape), 0) if padding == "zeros" else values
