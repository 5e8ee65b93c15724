"""Recorded spatial transformers, integrations and resizings of all releases."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.layout import as_transform, channels_first, channels_last
from VoxelMorphLib.core.affine import add_identity, affine_to_displacement, from_xy, is_affine, rescale_affine
from VoxelMorphLib.core.displacement import integrate_velocity
from VoxelMorphLib.core.resize import resize, resize_displacement
from VoxelMorphLib.core.spatial import sample_at, warp

METHODS = {"ss": "scaling-squaring", "quadrature": "quadrature"}


def options(case: ReferenceCase) -> dict:
    """Interpolation and padding of a call; some recordings name them only in the text of the call."""
    text = case.description["what"]
    nearest = case.args.get("interp_method", "linear") == "nearest" or "nearest" in text
    fill = case.args.get("fill_value")
    if fill is None:
        named = re.search(r"fill(?:_value=| )(-?[\d.]+)", text)
        fill = float(named.group(1)) if named else None
    interpolation = "nearest" if nearest else "linear"
    return {"interpolation": interpolation} | ({} if fill is None else {"padding": "hard", "fill": float(fill)})


def displacement_of(case: ReferenceCase, transform: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The dense displacement of a recorded transform on a grid of `shape`."""
    xy = case.args.get("indexing") == "xy"
    if is_affine(transform) and case.family.startswith("legacy"):
        # Matrices that hold the difference from identity; there "xy" concerns only the displacement they amount to.
        transform = affine_to_displacement(add_identity(transform), shape)
    if xy:
        transform = from_xy(transform)
    if not is_affine(transform):
        return transform
    return affine_to_displacement(transform, shape, case.args.get("shift_center", True))


def spatial_transformer(case: ReferenceCase) -> dict:
    image, transform = channels_first(case.inputs["vol"]), as_transform(case.inputs["trf"])
    if case.args.get("single_transform"):
        transform = transform[:1]
    if "weight" in case.outputs:
        return gradients(case, {"vol": image, "trf": transform}, warp)
    shape = tuple(case.args.get("shape", image.shape[2:]))
    return {"result": channels_last(warp(image, displacement_of(case, transform, shape), **options(case)))}


def transform_model(case: ReferenceCase) -> dict:
    image, transform = channels_first(case.inputs["vol"]), as_transform(case.inputs["trf"])
    factor = case.args.get("rescale")
    if factor is not None:
        transform = rescaled(transform, factor)
    return {"result": channels_last(warp(image, displacement_of(case, transform, image.shape[2:]), **options(case)))}


def transform(case: ReferenceCase) -> dict:
    """One item without a batch axis; a displacement per channel has one axis more than the image."""
    image, shift = channels_first(case.inputs["vol"][None]), case.inputs["loc_shift"][None]
    # The recording does not say so, but this variant was called with fill_value=0.
    padding = "hard" if "no_channel" in case.name else "border"
    return {"result": channels_last(warp(image, per_channel(image, shift), padding=padding))[0]}


def batch_transform(case: ReferenceCase) -> dict:
    image = channels_first(case.inputs["vol"])
    return {"result": channels_last(warp(image, per_channel(image, case.inputs["loc_shift"])))}


def per_channel(image: torch.Tensor, shift: np.ndarray) -> torch.Tensor:
    """(B, *shape, N) -> (B, N, *shape); (B, *shape, C, N) -> (B, C, N, *shape)."""
    if shift.ndim == image.ndim:
        return channels_first(shift)
    return torch.from_numpy(np.moveaxis(shift, (-2, -1), (1, 2)).copy())


def interpn(case: ReferenceCase) -> dict:
    image, locations = channels_first(case.inputs["vol"][None]), channels_first(case.inputs["loc"][None])
    return {
        "linear": channels_last(sample_at(image, locations))[0],
        "nearest": channels_last(sample_at(image, locations, "nearest"))[0],
        "linear_fill0": channels_last(sample_at(image, locations, padding="hard"))[0],
    }


def vecint(case: ReferenceCase) -> dict:
    velocity = channels_first(case.inputs["vec"])
    steps, method = steps_of(case), METHODS[case.args.get("method", "ss")]
    if "weight" in case.outputs:
        return gradients(case, {"vec": velocity}, lambda tensor: integrate_velocity(tensor, steps, method))
    if case.args.get("indexing") == "xy":  # the original does not swap back
        velocity = from_xy(velocity)
    return {"result": channels_last(integrate_velocity(velocity, steps, method))}


def steps_of(case: ReferenceCase) -> int:
    named = re.search(r"int_steps=(\d+)", case.description["what"])
    return case.args.get("int_steps", int(named.group(1)) if named else 7)


def gradients(case: ReferenceCase, tensors: dict, function) -> dict:
    """Gradients of sum(weight * function(...)) with respect to every tensor, and that sum."""
    leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    loss = (channels_first(case.outputs["weight"]) * function(*leaves.values())).sum()
    loss.backward()
    results = {f"grad_{name}": channels_last(tensor.grad) for name, tensor in leaves.items()}
    return results | {"y": loss.detach().numpy(), "weight": case.outputs["weight"]}


def rescale_transform(case: ReferenceCase) -> dict:
    given, factor = as_transform(case.inputs["trf"]), case.args["zoom_factor"]
    if is_affine(given):
        return {"result": rescale_affine(given, factor)}
    return {"result": channels_last(rescaled(given, factor, interpolation=case.args.get("interp_method", "linear")))}


def rescaled(displacement: torch.Tensor, factor: float, **keywords) -> torch.Tensor:
    shape = [int(n * factor) for n in displacement.shape[2:]]
    return resize_displacement(displacement, shape, scale=factor, **keywords)


def resized(case: ReferenceCase) -> dict:
    """Corner-aligned in the later releases, legacy in the first one."""
    image = channels_first(case.inputs["vol"])
    factors = np.broadcast_to(case.args["zoom_factor"], image.ndim - 2)
    alignment = "legacy" if case.family.startswith("legacy") else "corner"
    return {"result": channels_last(resize(image, [int(n * f) for n, f in zip(image.shape[2:], factors)], alignment))}


def legacy_trf_resize(case: ReferenceCase) -> dict:
    displacement, factor = channels_first(case.inputs["trf"]), 1 / case.args["vel_resize"]
    shape = [int(n * factor) for n in displacement.shape[2:]]
    return {"result": channels_last(resize_displacement(displacement, shape, "legacy", scale=factor))}


FAMILIES = {
    "spatial_transformer": spatial_transformer,
    "legacy_spatial_transformer": spatial_transformer,
    "release02_spatial_transformer": spatial_transformer,
    "transform": transform,
    "transform_model": transform_model,
    "batch_transform": batch_transform,
    "interpn": interpn,
    "vecint": vecint,
    "legacy_vecint": vecint,
    "release02_vecint": vecint,
    "rescale_transform": rescale_transform,
    "resize": resized,
    "legacy_resize": resized,
    "legacy_trf_resize": legacy_trf_resize,
}


def tolerance(case: ReferenceCase, output: str) -> float:
    """As the README of the recordings states it; nearest neighbours are equal exactly."""
    if output == "nearest" or (output == "result" and options(case)["interpolation"] == "nearest"):
        return 0.0 if "zoom_factor" not in case.args else 1e-5
    loose = "weight" in case.outputs or ("vecint" in case.family and steps_of(case) >= 7)
    return 1e-4 if loose else 1e-5


@pytest.mark.parametrize("case", cases("C_functions", lambda case: case.family in FAMILIES))
def test_function(case: ReferenceCase) -> None:
    results = FAMILIES[case.family](case)
    for name, expected in case.outputs.items():
        assert_within(results[name], expected, tolerance(case, name))
