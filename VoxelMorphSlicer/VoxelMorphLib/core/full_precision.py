"""Keeps computations in float32 or float64, whatever the precision of the surrounding network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


def at_least_float32(tensor: Tensor) -> Tensor:
    """Float32, or float64 if it already is; half precision cannot distinguish voxel coordinates above 256."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def as_double(tensor: Tensor) -> Tensor:
    """`tensor` in float64; moved to the CPU from devices without it (Apple GPUs)."""
    return tensor.to("cpu", torch.float64) if tensor.device.type == "mps" else tensor.double()


def in_float32(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` outside autocast, with its tensor arguments widened by `at_least_float32`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        tensors = [value for value in (*args, *kwargs.values()) if torch.is_tensor(value)]
        with _outside_autocast(tensors[0].device.type if tensors else "cpu"):
            return function(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})

    return run


def _widen(value: Any) -> Any:
    return at_least_float32(value) if torch.is_tensor(value) else value


def _outside_autocast(device_type: str) -> AbstractContextManager:
    try:
        return torch.autocast(device_type, enabled=False)
    except RuntimeError:  # torch before 2.5 has no autocast on Apple GPUs
        return nullcontext()
