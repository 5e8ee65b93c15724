"""The gradient of small convolutions agrees with torch's own one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from VoxelMorphLib.networks.convolution import convolve, convolve_small, is_slow


def gradients(function, *tensors):
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    result = function(*leaves)
    weights = torch.linspace(-1, 1, result.numel()).reshape(result.shape)
    return [result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)]


def a_convolution(shape, channels=3, features=5):
    torch.manual_seed(0)
    return torch.randn(1, channels, *shape), torch.randn(features, channels, 3, 3, 3), torch.randn(features)


@pytest.mark.parametrize("shape", [(8, 6, 4), (7, 5, 9), (1, 4, 3), (2, 1, 1)])
def test_all_gradients_are_those_of_torch(shape):
    tensors = a_convolution(shape)
    ours = gradients(convolve_small, *tensors)
    theirs = gradients(lambda image, weight, bias: functional.conv3d(image, weight, bias, padding=1), *tensors)
    for our, their in zip(ours, theirs):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)


def test_images_in_either_memory_order_give_the_same_gradients():
    image, weight, bias = a_convolution((6, 8, 4))
    last = image.contiguous(memory_format=torch.channels_last_3d)
    for one, other in zip(
        gradients(convolve_small, image, weight, bias), gradients(convolve_small, last, weight, bias)
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_an_input_image_needs_no_gradient():
    image, weight, bias = a_convolution((6, 8, 4))
    weight.requires_grad_()
    convolve_small(image, weight, bias).sum().backward()
    assert image.grad is None
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "slow"),
    [
        ((1, 2, 48, 64, 48), 3, 1, 1, True),
        ((1, 32, 24, 32, 24), 3, 1, 1, False),
        ((2, 2, 48, 64, 48), 3, 1, 1, False),
        ((1, 2, 48, 64, 48), 3, 2, 1, False),
        ((1, 2, 48, 64, 48), 1, 1, 0, False),
        ((1, 2, 48, 64), 3, 1, 1, False),
    ],
)
def test_only_the_convolutions_that_torch_computes_slowly_are_taken_over(shape, kernel, stride, padding, slow):
    image = torch.empty(shape, device="meta")
    weight = torch.empty(4, shape[1], *[kernel] * (len(shape) - 2), device="meta")
    assert is_slow(image, weight, stride, padding) is slow


def test_a_network_layer_takes_the_fast_way():
    image, weight, bias = a_convolution((6, 8, 4))
    assert "SmallConvolution" in type(convolve(image, weight.requires_grad_(), bias).grad_fn).__name__


def test_gradients_of_two_planes_are_finite_in_half_precision():
    """In torch 2.13 some of them are whatever was in the memory before."""
    torch.manual_seed(0)
    image, weight = torch.randn(1, 64, 2, 3, 2), torch.randn(64, 64, 3, 3, 3)
    for _ in range(20):
        torch.full((4 * weight.numel(),), float("nan"))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            _result, *found = gradients(lambda *tensors: convolve(*tensors, None).float(), image, weight)
        assert all(torch.isfinite(gradient).all() for gradient in found)
