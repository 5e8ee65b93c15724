"""Processors that are faster in bfloat16 are told by what torch says of them."""

from __future__ import annotations

import pytest
import torch
from VoxelMorphLib.core.devices import is_faster_in_bfloat16


@pytest.mark.parametrize(
    ("told", "faster"),
    [
        ({"amx_bf16": True, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, True),
        ({"amx_bf16": False, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, False),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC 9R14"}, True),
        ({"avx512_bf16": False, "cpu_name": "AMD EPYC 7R13"}, False),
        ({}, False),
    ],
)
def test_matrix_units_and_those_of_amd_are_faster_in_bfloat16(told, faster, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert is_faster_in_bfloat16("cpu") == faster
    assert not is_faster_in_bfloat16("cuda:0")


def test_older_torch_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not is_faster_in_bfloat16("cpu")
