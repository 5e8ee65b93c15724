"""Arrays become tensors and come back, with and without torch's own NumPy."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from support.imports import LIBRARY
from support.without_numpy import forbid_numpy
from VoxelMorphLib.core.tensors import TYPES, as_array, as_tensor

VALUES = np.arange(24).reshape(2, 3, 4) % 7
LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "reversed": lambda array: array[::-1, :, ::-1],
    "strided": lambda array: array[:, ::2],
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "empty": lambda array: array[:, :0],
    "one": lambda array: array[0, 0, 0:1].reshape(()),
}


@pytest.fixture(params=["with NumPy", "without"], autouse=True)
def numpy_of_torch(request, monkeypatch):
    if request.param == "without":
        forbid_numpy(monkeypatch)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [str(each) for each in TYPES])
def test_values_and_types_stay(name, layout):
    array = LAYOUTS[layout](VALUES.astype(name))
    tensor = as_tensor(array)
    assert tensor.dtype == getattr(torch, name) and tuple(tensor.shape) == array.shape
    assert tensor.tolist() == array.tolist()
    back = as_array(tensor)
    assert back.dtype == np.dtype(name)
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(("name", "wider"), [("uint16", torch.int32), ("uint32", torch.int64)])
def test_unsigned_numbers_become_wider(name, wider):
    array = np.array([0, np.iinfo(name).max], name)
    tensor = as_tensor(array)
    assert tensor.dtype == wider and tensor.tolist() == array.tolist()


def test_another_type_is_made_on_the_way():
    tensor = as_tensor(np.array([1.5, -2], np.float64), torch.float32)
    assert tensor.dtype == torch.float32 and tensor.tolist() == [1.5, -2]


def test_arrays_that_may_not_change_are_copied():
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    as_tensor(array).add_(1)
    assert not array.any()


def test_views_of_tensors_and_those_with_gradients_come_back():
    tensor = torch.arange(24.0).reshape(2, 3, 4).movedim(0, -1)[:, ::2].requires_grad_(True)
    np.testing.assert_array_equal(as_array(tensor), np.moveaxis(np.arange(24.0).reshape(2, 3, 4), 0, -1)[:, ::2])


def test_what_no_tensor_holds_is_refused():
    with pytest.raises(TypeError, match="complex128"):
        as_tensor(np.zeros(2, complex))


def test_everything_goes_over_this_bridge():
    found = {
        path.name
        for path in LIBRARY.rglob("*.py")
        if re.search(r"\.numpy\(\)|from_numpy", path.read_text(encoding="utf-8")) and path.name != "tensors.py"
    }
    assert not found, f"use core.tensors in {found}, or Macs stop"
