"""Convolution, activation and pooling in one, two or three dimensions, with the constants of VoxelMorph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Union

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ..core.errors import GeometryError

Convolution = Union[nn.Conv1d, nn.Conv2d, nn.Conv3d]

#: Slope of LeakyReLU below zero in every VoxelMorph network (torch's own default is 0.01).
NEGATIVE_SLOPE = 0.2

#: Standard deviation of a unit normal truncated at two standard deviations, by which Keras divides.
_TRUNCATED_STD = 0.87962566103423978

_CONVOLUTIONS: dict[int, Callable[..., Convolution]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_FUNCTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

#: torch hands the gradient of a single image to its own slow code when the product of its first four extents is no
#: larger (use_mkldnn in ATen/native/Convolution.cpp), which takes 5 to 10 times as long.
_SMALL = 20480


def convolution(ndims: int, in_channels: int, out_channels: int, stride: int = 1) -> Convolution:
    """A 3-wide convolution with Keras' he_normal initialisation and zero bias.

    Source: He et al., ICCV 2015, arXiv:1502.01852; truncation as in Keras' VarianceScaling.
    """
    module = _CONVOLUTIONS[ndims](in_channels, out_channels, 3, stride=stride, padding=1)
    std = math.sqrt(2 / (in_channels * 3**ndims)) / _TRUNCATED_STD
    nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    assert module.bias is not None
    nn.init.zeros_(module.bias)
    return module


def network_input(image: Tensor, ndims: int, multiple: int, dtype: torch.dtype) -> Tensor:
    """The images in the type and memory order that the convolutions of an encoder-decoder expect.

    Args:
        image: (B, C, *shape), every extent a multiple of `multiple`.
        ndims: number of spatial axes.
        multiple: of voxels.
        dtype: of the weights.

    Raises:
        GeometryError: the number of axes or an extent does not fit.
    """
    if image.ndim != ndims + 2 or any(n % multiple for n in image.shape[2:]):
        raise GeometryError(
            f"The network needs (B, C, *shape) with {ndims} axes of a multiple of {multiple} voxels, got "
            f"{tuple(image.shape)}. Pad the images."
        )
    image = image.to(dtype)
    return channels_last(image) if image.device.type == "cpu" else image


def convolve(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int = 1,
    padding: int | Sequence[int] = 1,
) -> Tensor:
    """Convolve (B, C, *shape) with weight (F, C, *kernel).

    On the CPU torch takes its slow fallback for a single float32 image with few rows, which costs a factor of 5 in the
    coarse levels of a U-net, so oneDNN is called directly where torch has it. In bfloat16 its gradient for the weights
    is NaN now and then where the first axis has two voxels (torch 2.13), so such images are convolved in float32.
    """
    ndims = image.ndim - 2
    if ndims == 3 and image.device.type == "cpu" and image.shape[2] == 2 and torch.is_grad_enabled() and _autocast():
        with torch.autocast("cpu", enabled=False):
            return convolve(image.float(), weight, bias, stride, padding)
    if ndims > 1 and image.device.type == "cpu" and image.dtype == torch.float32 and _has_onednn() and not _autocast():
        if torch.is_grad_enabled() and is_slow(image, weight, stride, padding):
            return convolve_small(image, weight, bias)
        pads = [padding] * ndims if isinstance(padding, int) else list(padding)
        return torch.mkldnn_convolution(image, weight, bias, pads, [stride] * ndims, [1] * ndims, 1)
    return _FUNCTIONS[ndims](image, weight, bias, stride=stride, padding=padding)


def activate(image: Tensor) -> Tensor:
    """LeakyReLU in place: the memory of `image` is reused."""
    return functional.leaky_relu(image, NEGATIVE_SLOPE, inplace=True)


def convolve_and_activate(
    image: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int | Sequence[int] = 1
) -> Tensor:
    """`activate(convolve(...))`, on the CPU without gradients in one pass over the memory where torch supports it."""
    ndims = image.ndim - 2
    if ndims == 1 or torch.is_grad_enabled() or not _has_fused_activation(image):
        return activate(convolve(image, weight, bias, stride, padding))
    pads = [padding] * ndims if isinstance(padding, int) else list(padding)
    ones = [1] * ndims
    fused = torch.ops.mkldnn._convolution_pointwise
    return fused(image, weight, bias, pads, [stride] * ndims, ones, 1, "leaky_relu", [NEGATIVE_SLOPE], "")


def max_pool(image: Tensor, factor: int) -> Tensor:
    """The maximum of every `factor` voxels per axis; voxels that do not fill a window are dropped."""
    return _POOLS[image.ndim - 2](image, factor)


def upsample(image: Tensor, factor: int) -> Tensor:
    """Repeat every voxel `factor` times along each axis."""
    return functional.interpolate(image, scale_factor=factor, mode="nearest")


def channels_last(image: Tensor) -> Tensor:
    """The same values with the channels of a voxel adjacent in memory, so that oneDNN need not reorder them."""
    if image.ndim - 2 not in _CHANNELS_LAST:
        return image
    image = image.contiguous(memory_format=_CHANNELS_LAST[image.ndim - 2])
    if image.shape[1] > 1:
        return image
    # The strides of a single channel fit every order, and torch takes them for the other one, in which it would go on.
    return image.as_strided(image.shape, (image[0].numel(), 1, *image.stride()[2:]))


def _autocast() -> bool:
    """Whether autocast is on, which operators that are called directly ignore."""
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # torch before 2.4
        return torch.is_autocast_cpu_enabled()


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


def _has_fused_activation(image: Tensor) -> bool:
    """Whether torch has the fused operator that its compiler uses; it has no public name."""
    if (
        image.device.type != "cpu"
        or _autocast()
        or not _has_onednn()
        or not hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    ):
        return False
    if image.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return image.dtype == torch.float32


def is_slow(image: Tensor, weight: Tensor, stride: int, padding: object) -> bool:
    """Whether torch alone would compute the gradient of this convolution slowly, and `convolve_small` can help."""
    same = stride == 1 and padding == 1 and all(n == 3 for n in weight.shape[2:])
    return same and image.ndim == 5 and len(image) == 1 and image.shape[1:4].numel() <= _SMALL


def convolve_small(image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve one image with a fast gradient.

    Args:
        image: (1, C, *shape), float32 on the CPU.
        weight: (F, C, 3, 3, 3).
        bias: (F,) or None.

    Returns:
        (1, F, *shape); the border is padded with zeros.
    """
    return _SmallConvolution.apply(image, weight, bias)


class _SmallConvolution(torch.autograd.Function):
    """The image's gradient is a convolution with the mirrored weights; that of the weights is computed on two halves of
    the image at once, because torch leaves batches to oneDNN."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(image, weight)
        return _onednn(image, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        image, weight = ctx.saved_tensors
        of_image = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_image = _onednn(gradient, weight.transpose(0, 1).flip(2, 3, 4), None)
        if any(ctx.needs_input_grad[1:]):
            wanted = [False, *ctx.needs_input_grad[1:]]
            odd = image.shape[2] % 2
            gradients = _halves(functional.pad(gradient, (0, 0, 0, 0, 0, odd)), overlap=0)
            images = _halves(functional.pad(image, (0, 0, 0, 0, 1, 1 + odd)), overlap=2)
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(
                gradients, images, weight, [len(weight)], [1, 1, 1], [0, 1, 1], [1, 1, 1], False, [0, 0, 0], 1, wanted
            )
        return of_image, of_weight, of_bias


def _onednn(image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.mkldnn_convolution(image, weight, bias, [1] * 3, [1] * 3, [1] * 3, 1)


def _halves(image: Tensor, overlap: int) -> Tensor:
    """(1, C, n, ...) -> (2, C, (n + overlap) / 2, ...)."""
    extent = (image.shape[2] + overlap) // 2
    first, last = image.narrow(2, 0, extent), image.narrow(2, image.shape[2] - extent, extent)
    return torch.cat([first, last]).contiguous(memory_format=torch.channels_last_3d)
