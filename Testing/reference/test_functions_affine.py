"""Recorded matrices: parameters, inverses, fits, dense shifts and compositions of all releases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.layout import as_transform, channels_first, channels_last
from VoxelMorphLib.core.affine import (
    add_identity,
    affine_to_displacement,
    fit_affine,
    from_xy,
    invert_affine,
    is_affine,
    remove_identity,
    rescale_affine,
    square,
)
from VoxelMorphLib.core.affine_parameters import (
    affine_to_parameters,
    angles_to_rotation,
    parameters_to_affine,
    rotation_to_angles,
)
from VoxelMorphLib.core.displacement import compose


def tensor(case: ReferenceCase, name: str) -> torch.Tensor:
    return torch.from_numpy(case.inputs[name].copy())


def add_identity_layer(case: ReferenceCase) -> dict:
    return {"result": add_identity(tensor(case, "par"))}


def affine_identity(case: ReferenceCase) -> dict:
    matrix = tensor(case, "mat")
    return {
        "add": add_identity(matrix),
        "remove": remove_identity(matrix),
        "square": square(matrix),
        "rescale3": rescale_affine(matrix, 3),
    }


def affine_matrix_to_params(case: ReferenceCase) -> dict:
    matrix = tensor(case, "mat")
    parameters = affine_to_parameters(matrix, reflections="original")
    return {"par": parameters, "back": parameters_to_affine(parameters, ndims=matrix.shape[-2])}


def params_to_affine(case: ReferenceCase) -> dict:
    keywords = {name: case.args[name] for name in ("deg", "shift_scale", "last_row") if name in case.args}
    return {"result": parameters_to_affine(tensor(case, "par"), case.args["ndims"], **keywords)}


def angles_to_rotation_matrix(case: ReferenceCase) -> dict:
    return {"result": angles_to_rotation(tensor(case, "ang"))}


def rotation_matrix_to_angles(case: ReferenceCase) -> dict:
    rotation = angles_to_rotation(tensor(case, "ang"))
    return {"mat": rotation, "ang": rotation_to_angles(torch.from_numpy(case.outputs["mat"].copy()))}


def affine_to_dense_shift(case: ReferenceCase) -> dict:
    single = case.inputs["mat"].ndim == 2
    matrix = tensor(case, "mat")[None] if single else tensor(case, "mat")
    right = channels_first(case.inputs["warp"]) if "warp" in case.inputs else None
    swap = from_xy if case.args.get("indexing") == "xy" else torch.clone
    center = case.args.get("shift_center", True)
    dense = swap(affine_to_displacement(swap(matrix), case.args["shape"], shift_center=center, warp_right=right))
    return {"result": channels_last(dense)[0] if single else channels_last(dense)}


def fitted(case: ReferenceCase) -> dict:
    moving, fixed = tensor(case, "x_source"), tensor(case, "x_target")
    if "weights" not in case.inputs:
        return {"result": fit_affine(moving, fixed)}
    weights = tensor(case, "weights")
    return {"w2": fit_affine(moving, fixed, weights), "w3": fit_affine(moving, fixed, weights[..., None])}


def inverted(case: ReferenceCase) -> dict:
    matrix = tensor(case, "mat")
    return {"layer": invert_affine(matrix), "square": invert_affine(square(matrix))}


def composed(case: ReferenceCase) -> dict:
    transforms = [as_transform(case.inputs[f"t{i}"]) for i in range(len(case.inputs))]
    result = compose(
        transforms,
        shift_center=case.args.get("shift_center", True),
        shape=case.args.get("shape"),
        interpolation=case.args.get("interp_method", "linear"),
    )
    return {"result": result if is_affine(result) else channels_last(result)}


FAMILIES = {
    "add_identity_layer": add_identity_layer,
    "affine_identity": affine_identity,
    "affine_matrix_to_params": affine_matrix_to_params,
    "params_to_affine_matrix": params_to_affine,
    "params_to_affine_layer": params_to_affine,
    "angles_to_rotation_matrix": angles_to_rotation_matrix,
    "rotation_matrix_to_angles": rotation_matrix_to_angles,
    "affine_to_dense_shift": affine_to_dense_shift,
    "release02_affine_to_dense_shift": affine_to_dense_shift,
    "fit_affine": fitted,
    "invert_affine": inverted,
    "compose": composed,
    "release02_compose": composed,
}


@pytest.mark.parametrize("case", cases("C_functions", lambda case: case.family in FAMILIES))
def test_function(case: ReferenceCase) -> None:
    results = FAMILIES[case.family](case)
    for name, expected in case.outputs.items():
        assert_within(results[name], np.asarray(expected), 1e-5)
