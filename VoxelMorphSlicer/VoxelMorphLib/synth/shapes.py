"""Label maps of random shapes, for networks that are trained without any data."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from ..core.errors import ConfigError, GeometryError
from ..core.resize import resize
from ..core.spatial import sample_at, warp
from .noise import coarse_noise, sum_of_grids
from .random_parts import Part, Sample

#: Voxels between the points of the noise that shapes are cut from, and of the warps of it.
IMAGE_SCALES, WARP_SCALES = (32, 64), (16, 32, 64)
#: Largest standard deviations of both.
IMAGE_STD, WARP_STD = 1.0, 16.0


def random_shapes(
    shape: Sequence[int],
    generators: Sequence[torch.Generator],
    labels: int = 16,
    image_scales: Sequence[float] = IMAGE_SCALES,
    warp_scales: Sequence[float] = WARP_SCALES,
    image_std: float = IMAGE_STD,
    warp_std: float = WARP_STD,
    shared_warps: bool = False,
    step: int = 2,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Label maps whose label is, at every voxel, the one whose deformed noise is the largest there.

    The noise is a sum of fields that are linear between few points. It is sampled where the warps point to without
    being made at full size.

    Args:
        shape: extents in 2-D or 3-D.
        generators: one for each map, on the CPU.
        labels: how many a map has at most, numbered from 0.
        image_scales, warp_scales: voxels between the points of the fields.
        image_std, warp_std: largest standard deviation of the noise and, in voxels, of the warps.
        shared_warps: the original takes the axis of labels for a spatial one, so that neighbouring labels, all of them
            where there are no more than the scales, share their warps; by default every label has its own.
        step: evaluate noise and warps at every so many voxels only, and interpolate the result. With 2 about four in a
            thousand voxels at 96^3 get another label than with 1, in a sixth of the time.
        device: of the maps.

    Returns:
        (B, 1, *shape), int16.

    Raises:
        ConfigError: fewer than two labels, or impossible scales.
        GeometryError: not two or three axes, or no generator.
    """
    if not 2 <= labels <= 2**15 or step < 1 or min(image_std, warp_std) < 0:
        raise ConfigError(
            f"Shapes with {labels} labels, step {step} and deviations {image_std} and {warp_std} cannot be made. "
            "Give at least two labels, a step of at least 1 and deviations from 0 on."
        )
    if len(shape) not in (2, 3) or min(shape) < 2 or not generators:
        raise GeometryError(f"Shapes have two or three axes of at least 2 voxels, got {tuple(shape)}.")
    place = torch.device(device)
    maps = []
    for generator in generators:
        sample = Sample(generator, place)
        images = coarse_noise(sample.part("image"), labels, shape, image_scales, image_std)
        warps = _coarse_warps(sample.part("warp"), labels, shape, warp_scales, warp_std, shared_warps)
        maps.append(_largest(images, warps, shape, step))
    return torch.stack(maps)[:, None]


def shapes_as_the_original(
    shape: Sequence[int], generators: Sequence[torch.Generator], labels: int = 16, shared_warps: bool = True
) -> Tensor:
    """`random_shapes` in the original's order of operations: fields at full size first, then warps; for comparison.

    The numbers drawn are those of `random_shapes`, so the maps agree but for the interpolation of an interpolation.
    """
    maps = []
    for generator in generators:
        sample = Sample(generator, torch.device("cpu"))
        images = coarse_noise(sample.part("image"), labels, shape, IMAGE_SCALES, IMAGE_STD)
        warps = _coarse_warps(sample.part("warp"), labels, shape, WARP_SCALES, WARP_STD, shared_warps)
        image = sum(resize(grid, shape) for grid in images)
        field = sum(resize(grid[0], shape) for grid in warps)
        moved = warp(image[0][:, None], field)
        maps.append(moved.argmax(0).to(torch.int16))
    return torch.stack(maps)


def _coarse_warps(
    part: Part, labels: int, shape: Sequence[int], scales: Sequence[float], std: float, shared: bool
) -> list[Tensor]:
    """(1, labels, N, *coarse) of every scale."""
    dims = len(shape)
    if not shared:
        grids = coarse_noise(part, labels * dims, shape, scales, std)
        return [grid.view(1, labels, dims, *grid.shape[2:]) for grid in grids]
    grids = []
    for scale in scales:
        size = float(part.uniform(0, std))
        coarse = size * part.noise(ceil(labels / scale), dims, *(ceil(n / scale) for n in shape))
        spread = resize(coarse.flatten(1).T[None], [labels])[0].T
        grids.append(spread.view(1, labels, *coarse.shape[1:]))
    return grids


def _largest(images: list[Tensor], warps: list[Tensor], shape: Sequence[int], step: int) -> Tensor:
    """(*shape), int16: the label of the largest deformed noise."""
    thin = [ceil((n - 1) / step) + 1 for n in shape]
    axes = [torch.linspace(0, n - 1, m, device=images[0].device) for n, m in zip(shape, thin)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
    best = label = None
    for number in range(warps[0].shape[1]):
        locations = sum_of_grids([warp[:, number] for warp in warps], thin) + grid
        value = _at(images, number, locations, shape)
        if step > 1:
            value = resize(value, shape)
        if best is None:
            best, label = value, torch.zeros(value.shape, dtype=torch.int16, device=value.device)
            continue
        larger = value > best
        label.masked_fill_(larger, number)
        torch.maximum(best, value, out=best)
    return label[0, 0]


def _at(images: list[Tensor], number: int, locations: Tensor, shape: Sequence[int]) -> Tensor:
    """(1, 1, *thin): the noise of one label at locations (1, N, *thin) in voxels."""
    total = None
    for image in images:
        ratio = [(coarse - 1) / (n - 1) for coarse, n in zip(image.shape[2:], shape)]
        factor = torch.tensor(ratio, device=locations.device).view(1, -1, *(1 for _ in shape))
        value = sample_at(image[:, number : number + 1], locations * factor)
        total = value if total is None else total + value
    return total
