"""Resizing of tensor images and displacements to another number of voxels over the same field of view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .errors import ConfigError, GeometryError
from .full_precision import at_least_float32, in_float32

ALIGNMENTS = ("corner", "legacy")


def resize(image: Tensor, shape: Sequence[int], alignment: str = "corner", interpolation: str = "linear") -> Tensor:
    """Sample `image` on a grid of `shape`.

    Args:
        image: (B, C, *old).
        shape: extents of the new grid, one per spatial axis.
        alignment: "corner" samples linspace(0, old - 1, new); "legacy" samples i * old / new, clamped at the border
            (the networks of 2018).
        interpolation: "linear", or "nearest" (ties to the even voxel).

    Returns:
        (B, C, *shape), float32 when linear, else of the image's dtype. Never shares memory with the input unless the
        shape is unchanged.

    Raises:
        GeometryError: another number of axes, or an extent below one.
        ConfigError: unknown alignment or interpolation.
    """
    shape = _checked(image, shape)
    if alignment not in ALIGNMENTS or interpolation not in ("linear", "nearest"):
        raise ConfigError(
            f"Cannot resize with alignment {alignment!r} and interpolation {interpolation!r}; "
            f"choose one of {', '.join(ALIGNMENTS)} and linear or nearest."
        )
    linear = interpolation == "linear"
    if linear:
        image = at_least_float32(image)
    if shape == tuple(image.shape[2:]):
        return image
    if linear and alignment == "corner" and _prefers_matrices(image):
        return _by_matrices(image, shape)
    if linear and alignment == "corner" and image.device.type != "mps":
        mode = ("linear", "bilinear", "trilinear")[len(shape) - 1]
        return functional.interpolate(image, shape, mode=mode, align_corners=True)
    for axis, extent in enumerate(shape, start=2):
        image = _resize_axis(image, axis, extent, alignment, linear)
    return image


def resize_displacement(
    displacement: Tensor,
    shape: Sequence[int],
    alignment: str = "corner",
    scale: float | Sequence[float] | None = None,
    interpolation: str = "linear",
) -> Tensor:
    """Resize a displacement (or velocity) to a grid of `shape` and convert its values to voxels of that grid.

    Args:
        displacement: (B, N, *old), voxels of the old grid.
        shape: extents of the new grid.
        alignment, interpolation: as in `resize`.
        scale: factor of the values, one or one per axis; default new / old extent.

    Returns:
        (B, N, *shape), voxels of the new grid.

    Raises:
        GeometryError: the number of components, axes or multipliers differs.
        ConfigError: unknown alignment or interpolation.
    """
    shape = _checked(displacement, shape)
    old = displacement.shape[2:]
    scale = [new / n for new, n in zip(shape, old)] if scale is None else scale
    factors = [float(factor) for factor in (scale if isinstance(scale, Sequence) else [scale])]
    if displacement.shape[1] != len(shape) or len(factors) not in (1, len(shape)):
        raise GeometryError(
            f"A displacement (B, N, *shape) of {tuple(displacement.shape)} and {len(factors)} multipliers do not "
            f"fit {len(shape)} axes; give one component and one multiplier per axis."
        )
    multiplier = _multiplier(factors, displacement)
    if torch.Size(shape).numel() < old.numel():  # multiply the smaller of the two
        return at_least_float32(resize(displacement, shape, alignment, interpolation)) * multiplier
    return resize(at_least_float32(displacement) * multiplier, shape, alignment, interpolation)


def _multiplier(factors: list[float], displacement: Tensor) -> Tensor | float:
    """One number if possible: copying a tensor to a GPU makes it wait."""
    if len(set(factors)) == 1:
        return factors[0]
    return torch.tensor(factors, device=displacement.device).view(1, -1, *[1] * len(factors))


def _checked(image: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    wanted = tuple(int(n) for n in shape)
    if len(wanted) != image.ndim - 2 or min(wanted, default=0) < 1:
        raise GeometryError(
            f"Cannot resize (B, C, *shape) of {tuple(image.shape)} to {wanted}; give one positive extent per axis."
        )
    return wanted


def _positions(old: int, new: int, alignment: str, device: torch.device) -> Tensor:
    """(new,), float32 positions in the old grid, computed as in the original so that ties of "nearest" agree."""
    index = torch.arange(new, dtype=torch.float32, device=device)
    if alignment == "legacy":
        return (index / (new / old)).clamp(max=old - 1)
    positions = index * ((old - 1) / max(new - 1, 1))
    if new > 1:
        positions[-1] = old - 1
    return positions


def _prefers_matrices(image: Tensor) -> bool:
    """torch parallelises its own 3-D interpolation over channels only, so a field would use three cores."""
    exact = torch.get_float32_matmul_precision() == "highest"
    return image.ndim == 5 and image.device.type == "cpu" and exact and not torch.is_grad_enabled()


@in_float32
def _by_matrices(image: Tensor, shape: Sequence[int]) -> Tensor:
    """`resize` of (B, C, I, J, K), linear and corner aligned, as a product with one sparse matrix per axis."""
    last, middle, first = (_matrix(image, axis, shape[axis - 2]) for axis in (4, 3, 2))
    image = middle @ (image @ last.T)
    return (first @ image.flatten(3)).unflatten(3, image.shape[3:])


def _matrix(image: Tensor, axis: int, extent: int) -> Tensor:
    """(extent, old), weight of every old voxel in every new one."""
    return _resize_axis(torch.eye(image.shape[axis], dtype=image.dtype), 0, extent, "corner", True)


def _resize_axis(image: Tensor, axis: int, extent: int, alignment: str, linear: bool) -> Tensor:
    old = image.shape[axis]
    if old == extent:
        return image
    positions = _positions(old, extent, alignment, image.device)
    if not linear:
        return image.index_select(axis, positions.round().long())
    lower = positions.floor().clamp(max=max(old - 2, 0))
    weight = (positions - lower).to(image.dtype).view(-1, *[1] * (image.ndim - 1 - axis))
    first = lower.long()
    return torch.lerp(image.index_select(axis, first), image.index_select(axis, (first + 1).clamp(max=old - 1)), weight)
