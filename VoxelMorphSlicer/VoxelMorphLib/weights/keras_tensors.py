"""The arrays of one Keras layer become tensors under this project's names and with its axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..core.tensors import as_tensor
from .keras_models import coarse_shape

Arrays = dict[str, np.ndarray]


def layer_tensors(path: str, arrays: Arrays, arguments: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of one module by their full names.

    Args:
        path: of the module.
        arrays: of the layer by their short names, channels last.
        arguments: of the network's constructor.

    Raises:
        ValueError: the arrays of this path have impossible shapes.
    """
    if "hyperkernel_kernel" in arrays:
        named = _generators(path, arrays, int(arguments["ndims"]))
    elif path == "generator.dense":
        named = _named(path, _coarse_first(arrays, coarse_shape(arguments)))
    elif "mean" in arrays:
        named = {f"{path}.mean": _channels_first(arrays["mean"]), f"{path}.count": arrays["count"]}
    elif "bias" in arrays:
        named = _named(path, arrays)
    else:
        named = {path: _channels_first(arrays["kernel"])}
    return {name: as_tensor(array) for name, array in named.items()}


def _named(path: str, arrays: Arrays) -> Arrays:
    kernel = np.moveaxis(arrays["kernel"], (-1, -2), (0, 1))  # (k..., in, out) -> (out, in, k...)
    return {f"{path}.weight": kernel, f"{path}.bias": arrays["bias"]}


def _channels_first(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, -1, 0)


def _coarse_first(arrays: Arrays, coarse: list[int]) -> Arrays:
    """A dense layer whose outputs are voxels and channels, the channels first."""
    kernel, bias = arrays["kernel"], arrays["bias"]
    kernel = np.moveaxis(kernel.reshape(-1, *coarse), -1, 1).reshape(len(kernel), -1)
    return {"kernel": kernel, "bias": _channels_first(bias.reshape(coarse)).reshape(-1)}


def _generators(path: str, arrays: Arrays, ndims: int) -> Arrays:
    """Kernel and bias of a convolution as functions of hyperparameters; they have consecutive numbers."""
    parent, _, number = path.rpartition(".")
    outputs = arrays["hyperbias_bias"].size
    shape = [*[3] * ndims, -1, outputs]

    def outputs_first(array: np.ndarray) -> np.ndarray:
        return np.moveaxis(array.reshape(len(array), *shape), (-1, -2), (1, 2))

    return {
        f"{path}.weight": outputs_first(arrays["hyperkernel_kernel"]),
        f"{path}.bias": outputs_first(arrays["hyperkernel_bias"][None])[0],
        f"{parent}.{int(number) + 1}.weight": arrays["hyperbias_kernel"],
        f"{parent}.{int(number) + 1}.bias": arrays["hyperbias_bias"],
    }
