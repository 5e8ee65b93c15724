"""Recorded building blocks: barycentres, blurs, convolutions, points, distances and array helpers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.layout import channels_first, channels_last
from torch.nn import functional
from VoxelMorphLib.core.arrays import distance, pad_centred, signed_distance, zoom_nearest
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.filters import gaussian, min_max
from VoxelMorphLib.core.spatial import barycentre, values_at, warp_points, warp_surface
from VoxelMorphLib.networks.convolution import convolve
from VoxelMorphLib.networks.padding import pad_same
from VoxelMorphLib.networks.template import MeanStream


def barycenter(case: ReferenceCase) -> dict:
    return {"result": barycentre(channels_first(case.inputs["x"]), case.args["normalize"], case.args["shift_center"])}


def conv(case: ReferenceCase) -> dict:
    """The odd variant drops the first voxel of every axis."""
    features = channels_first(case.inputs["x"])
    kernel = torch.from_numpy(np.moveaxis(case.inputs["k"], (-1, -2), (0, 1)).copy())
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[features.ndim - 3]
    odd = [slice(1, None)] * (features.ndim - 2)

    def same(image: torch.Tensor, stride: int) -> np.ndarray:
        return channels_last(convolve(pad_same(image, kernel.shape[2:], stride), kernel, stride=stride))

    return {"s1": same(features, 1), "s2": same(features, 2), "s2_odd": same(features[(..., *odd)], 2)}


def maxpool_upsample(case: ReferenceCase) -> dict:
    """The odd variant drops the first voxel of the first axis."""
    image = channels_first(case.inputs["x"])
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[image.ndim - 3]
    return {
        "pool": channels_last(pool(image, 2)),
        "pool_odd": channels_last(pool(image[:, :, 1:], 2)),
        "up": channels_last(functional.interpolate(image, scale_factor=2)),
    }


def hyperconv(case: ReferenceCase) -> dict:
    """Every item has kernels of its own, which a `Hypernetwork` runs one after the other."""
    kernels = torch.from_numpy(np.moveaxis(case.inputs["k"], (-1, -2), (1, 2)).copy())
    biases = torch.from_numpy(case.inputs["b"].copy())
    features = pad_same(channels_first(case.inputs["x"]), kernels.shape[3:])
    items = [convolve(features[i : i + 1], kernels[i], biases[i], padding=0) for i in range(len(features))]
    return {"result": channels_last(torch.cat(items))}


def mean_stream(case: ReferenceCase) -> dict:
    """Training updates with x0, x1, ..., then inference."""
    items = [channels_first(case.inputs[f"x{i}"]) for i in range(len(case.inputs))]
    stream = MeanStream(items[0].shape[1:], cap=case.args["cap"])
    results = {f"t{i}": channels_last(stream(item)) for i, item in enumerate(items)}
    results["inference"] = channels_last(stream.eval()(items[0]))
    return results | {"mean": channels_last(stream.mean[None])[0], "count": stream.count}


def gaussian_blur(case: ReferenceCase) -> dict:
    return {"result": channels_last(gaussian(channels_first(case.inputs["x"]), case.args["sigma"]))}


def jacobian(case: ReferenceCase) -> dict:
    return {"result": jacobian_determinant(channels_first(case.inputs["disp"][None]))[0]}


def minmax_norm(case: ReferenceCase) -> dict:
    image = channels_first(case.inputs["x"])
    spatial = min_max(image, dims=range(2, image.ndim))
    return {"all": channels_last(min_max(image)), "spatial": channels_last(spatial)}


def point_spatial_transformer(case: ReferenceCase) -> dict:
    points, displacement = torch.from_numpy(case.inputs["pts"].copy()), channels_first(case.inputs["trf"])
    if "sdt_vol_resize" in case.args:
        return {"result": warp_surface(points, displacement, case.args["sdt_vol_resize"])}
    return {"result": warp_points(points, displacement)}


def value_at_location(case: ReferenceCase) -> dict:
    points = torch.from_numpy(case.inputs["pts"].copy())
    return {"result": values_at(channels_first(case.inputs["vol"]), points).abs()}


def distances(case: ReferenceCase) -> dict:
    return {"signed": signed_distance(case.inputs["mask"]), "dist": distance(case.inputs["mask"])}


def py_dice(case: ReferenceCase) -> dict:
    """The labels of the subset are not recorded; 9 is absent from both arrays."""
    from VoxelMorphLib.core.metrics import dice

    first, second = case.inputs["a"], case.inputs["b"]
    return {
        "dice": dice(first, second),
        "with_zero": dice(first, second, include_zero=True),
        "subset": dice(first, second, labels=[1, 3, 9]),
    }


def py_pad(case: ReferenceCase) -> dict:
    return {"result": pad_centred(case.inputs["a"], case.outputs["result"].shape)}


def py_resize(case: ReferenceCase) -> dict:
    """Recorded with a feature axis."""
    array = case.inputs["a"]
    return {"f2": zoom_nearest(array, 2)[..., None], "f05": zoom_nearest(array, 0.5)[..., None]}


FAMILIES = {
    "barycenter": barycenter,
    "conv": conv,
    "maxpool_upsample": maxpool_upsample,
    "hyperconv": hyperconv,
    "mean_stream": mean_stream,
    "gaussian_blur": gaussian_blur,
    "jacobian_determinant": jacobian,
    "minmax_norm": minmax_norm,
    "point_spatial_transformer": point_spatial_transformer,
    "value_at_location": value_at_location,
    "signed_distance": distances,
    "py_dice": py_dice,
    "py_pad": py_pad,
    "py_resize": py_resize,
}


@pytest.mark.parametrize("case", cases("C_functions", lambda case: case.family in FAMILIES))
def test_function(case: ReferenceCase) -> None:
    results = FAMILIES[case.family](case)
    for name, expected in case.outputs.items():
        assert_within(results[name], expected, 1e-5)
