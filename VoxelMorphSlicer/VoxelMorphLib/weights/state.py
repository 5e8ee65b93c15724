"""A network filled with the tensors of a file, after both have been compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import WeightsError
from .architectures import build_network


def network_from_state(name: str, arguments: dict[str, Any], state: dict[str, Tensor], path: Path) -> nn.Module:
    """Build the named network and fill it.

    The shapes are compared with a network without memory first, so that a file cannot ask for more memory than
    its own tensors take.

    Args:
        name: of the class, see `architectures`.
        arguments: of its constructor.
        state: every tensor of the network by its name.
        path: of the file, for messages.

    Raises:
        WeightsError: tensors are missing, foreign, of another shape or type, or hold NaN or infinity.
    """
    shapes = build_network(name, arguments, device="meta").state_dict()
    expected = {key: tuple(value.shape) for key, value in shapes.items()}
    problem = _problem(expected, state)
    if problem:
        raise WeightsError(f"{path} does not hold a {name} network: {problem}. Choose a file that belongs to it.")
    network = build_network(name, arguments)
    network.load_state_dict(state)
    return network


def _problem(expected: dict[str, tuple[int, ...]], state: dict[str, Tensor]) -> str | None:
    missing, foreign = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or foreign:
        return f"{len(missing)} layers are missing ({_first(missing)}), {len(foreign)} are foreign ({_first(foreign)})"
    for key, shape in expected.items():
        if tuple(state[key].shape) != shape:
            return f"{key} has the shape {tuple(state[key].shape)} instead of {shape}"
        if not state[key].is_floating_point():
            return f"{key} holds {state[key].dtype} instead of real numbers"
        if not torch.isfinite(state[key]).all():
            return f"{key} holds NaN or infinite numbers"
    return None


def _first(names: list[str]) -> str:
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "") if names else "none"
