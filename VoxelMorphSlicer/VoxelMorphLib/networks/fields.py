"""What a registration network returns: the fields that move images, and every tensor on the way to them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..core.displacement import compose, invert_displacement


@dataclass(frozen=True)
class FieldPair:
    """The fields of one or several image pairs, for the registration pipeline.

    Args:
        velocity: (B, N, *own), stationary velocity in voxels of its own grid, which spans the input grid after padding
            to the network's multiple; None where the network predicts a displacement directly.
        displacement: (B, N, *shape), voxels of the input grid; moves the moving image onto the fixed one (pull).
        inverse: (B, N, *shape), moves the fixed image onto the moving one; None if the network provides none.
        matrix: (B, N, N + 1), `displacement` as a matrix on voxel coordinates counted from voxel 0; None unless it is
            affine.
    """

    velocity: Tensor | None
    displacement: Tensor
    inverse: Tensor | None
    matrix: Tensor | None = None


@dataclass(frozen=True)
class RegistrationOutput:
    """All tensors of one forward pass, in the order in which they arise.

    `shape` is that of the input images, `padded` the same after padding to the network's multiple; the tensors at a
    resolution of their own span `padded`.

    Args:
        features: (B, F, *own), output of the encoder-decoder.
        flow: (B, N, *own), output of the flow convolution; the mean where a variance is predicted.
        logvar: (B, N, *own), logarithm of the variance of `flow`, or None.
        svf: (B, N, *own), `flow` or a sample of its distribution, at the resolution of the velocity.
        velocity: (B, N, *own), `svf` at the resolution of the integration.
        integrated: (B, N, *own), displacement in voxels of the integration's grid.
        displacement: (B, N, *shape), voxels; moves the moving image onto the fixed one.
        inverse: (B, N, *shape), moves the fixed image onto the moving one; None unless the network is bidirectional.
        moved: (B, C, *shape), the moving image moved by `displacement`.
        moved_fixed: (B, C, *shape), the fixed image moved by `inverse`, or None.
        regularised: the field that the training penalises: mean and logvar (B, 2N, *own) of a probabilistic network,
            else the one that the network's `reg_field` names.
    """

    features: Tensor
    flow: Tensor
    logvar: Tensor | None
    svf: Tensor
    velocity: Tensor
    integrated: Tensor
    displacement: Tensor
    inverse: Tensor | None
    moved: Tensor
    moved_fixed: Tensor | None
    regularised: Tensor


def via_template(to_moving: FieldPair, to_fixed: FieldPair) -> FieldPair:
    """The fields between two images via a third one, such as a template, that both were registered with.

    Args:
        to_moving: fields that move the third image onto the moving one.
        to_fixed: fields that move the third image onto the fixed one.

    Returns:
        No velocity. The displacement takes a point of the fixed image to the third image, and from there to the
        moving image.
    """
    return FieldPair(
        velocity=None,
        displacement=compose([_inverse(to_moving), to_fixed.displacement]),
        inverse=compose([_inverse(to_fixed), to_moving.displacement]),
    )


def _inverse(pair: FieldPair) -> Tensor:
    return invert_displacement(pair.displacement)[0] if pair.inverse is None else pair.inverse
