"""Single precision for every loss, whatever autocast says."""

from __future__ import annotations

import functools
from typing import Callable, TypeVar

import torch

Function = TypeVar("Function", bound=Callable)


def in_float32(function: Function) -> Function:
    """Run `function` outside autocast with half-precision tensor arguments widened to float32; float64 stays.

    Sums over windows and volumes lose everything in 16 bits: the variance of a window is the difference of two
    nearly equal sums.
    """

    @functools.wraps(function)
    def run(*args, **kwargs):
        with torch.autocast(_device_type((*args, *kwargs.values())), enabled=False):
            return function(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})

    return run


def _device_type(values: tuple) -> str:
    return next((value.device.type for value in values if torch.is_tensor(value)), "cpu")


def _widen(value):
    if torch.is_tensor(value) and value.dtype != torch.float64:
        return value.float()
    return value
