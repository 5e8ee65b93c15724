"""The gradient of a convolution on the CPU that stays with oneDNN where torch would leave it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

#: torch hands the gradient of a single image to its own slow code when the product of its first four extents is no
#: larger (use_mkldnn in ATen/native/Convolution.cpp), which takes 5 to 10 times as long.
_SMALL = 20480


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
    def forward(ctx, image, weight, bias):
        ctx.save_for_backward(image, weight)
        return _onednn(image, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
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
