"""Damaged bytes anywhere in a file end in one of our errors or in a network, never in anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.torch_files import write_branch_file
from VoxelMorphLib.core.errors import VoxelMorphError
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.load import load_network
from VoxelMorphLib.weights.safetensors_file import write_model

FEATURES = [[1], [1]]
DAMAGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), max_size=4)


def a_safetensors_file(path: Path) -> None:
    arguments = {"features": FEATURES}
    entry = ModelEntry("mine", "Mine", "Aligns.", "VxmDense", arguments, file="mine.h5", format="keras")
    write_model(build_network("VxmDense", arguments), entry, path)


def a_torch_file(path: Path) -> None:
    write_branch_file(path, FEATURES)


@pytest.fixture(scope="module", params=[a_safetensors_file, a_torch_file], ids=["safetensors", "torch"])
def sound_file(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "mine.safetensors"
    request.param(path)
    return path


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(damages=DAMAGES, kept=st.floats(0.2, 1))
def test_damaged_files_end_in_an_error_or_a_network(sound_file, damages, kept):
    content = bytearray(sound_file.read_bytes())
    for place, noise in damages:
        start = int(place * len(content))
        content[start : start + len(noise)] = noise
    path = sound_file.with_name("damaged")
    path.write_bytes(content[: int(kept * len(content))])
    try:
        network, _entry = load_network(path)
    except VoxelMorphError:
        return
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
