"""Integration: a stationary velocity becomes the displacement of its flow at time one."""

from __future__ import annotations

from torch import Tensor

from .errors import ConfigError
from .precision import at_least_float32
from .spatial import warp


def integrate_velocity(
    velocity: Tensor, steps: int = 7, method: str = "scaling-squaring", padding: str = "border"
) -> Tensor:
    """Displacement of exp(velocity); exp(-velocity) is its inverse.

    Args:
        velocity: (B, N, *shape), voxels of its own grid per unit time.
        steps: number of squarings (2^steps small steps), or of small steps for "quadrature".
        method: "scaling-squaring", or "quadrature" (sum of `steps` Euler steps).
        padding: what the velocity is outside its grid, "border" or "zeros".

    Returns:
        (B, N, *shape), voxels, float32. With scaling-squaring and 0 steps the velocity itself, as in the original.

    Raises:
        ConfigError: unknown method or impossible number of steps.

    Source: Dalca et al., MICCAI 2018, doi:10.1007/978-3-030-00928-1_82, section 2.1; Arsigny et al., MICCAI 2006.
    """
    if method == "scaling-squaring" and steps >= 0:
        displacement = at_least_float32(velocity) / 2**steps
        for _ in range(steps):
            displacement = displacement + warp(displacement, displacement, padding=padding)
        return displacement
    if method == "quadrature" and steps >= 1:
        step = at_least_float32(velocity) / steps
        displacement = step
        for _ in range(steps - 1):
            displacement = displacement + warp(step, displacement, padding=padding)
        return displacement
    raise ConfigError(
        f"Cannot integrate by {method!r} in {steps} steps; "
        "choose scaling-squaring with 0 or more, or quadrature with 1 or more."
    )
