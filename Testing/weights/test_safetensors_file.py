from __future__ import annotations

import builtins
import dataclasses
import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import ConfigError, DependencyError, OutputError, WeightsError
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import METADATA_KEY, read_model, write_model

ARGUMENTS = {"features": [[3, 4], [4, 3, 5]], "int_steps": 5, "svf_resolution": 2}


@pytest.fixture
def an_entry() -> ModelEntry:
    return ModelEntry(
        id="mine",
        title="Mine",
        description="Aligns my images.",
        architecture="VxmDense",
        arguments=ARGUMENTS,
        file="elsewhere.h5",
        format="keras",
        sha256="0" * 64,
        anatomy="hip",
        modality="CT",
        space=NetworkSpace(2.0, "LPS", (32, 32, 32), 8, "foreground", "percentile"),
        requires_affine=True,
        measured=({"data": "hips", "metric": "Dice", "value": 0.8, "command": "make bench"},),
    )


@pytest.fixture
def a_network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build_network("VxmDense", ARGUMENTS)


@pytest.fixture
def a_file(a_network, an_entry, tmp_path) -> Path:
    write_model(a_network, an_entry, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def tensors_of(network: torch.nn.Module) -> dict[str, Tensor]:
    return {key: value.contiguous() for key, value in network.state_dict().items()}


def test_a_model_comes_back_as_it_was(a_file, a_network, an_entry):
    network, entry = read_model(a_file)
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), a_network.state_dict().values()))
    assert entry == dataclasses.replace(an_entry, file="mine.safetensors", format="safetensors", sha256=None)
    moving, fixed = torch.rand(2, 1, 1, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(moving, fixed).displacement, a_network(moving, fixed).displacement)


def test_only_the_file_is_left(a_file, a_network, an_entry):
    write_model(a_network, an_entry, a_file)
    assert [path.name for path in a_file.parent.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_read_as_float32(a_file, a_network, dtype, tmp_path):
    metadata = {METADATA_KEY: header_of(a_file)["__metadata__"][METADATA_KEY]}
    path = tmp_path / "half.safetensors"
    save_file({key: value.to(dtype) for key, value in tensors_of(a_network).items()}, path, metadata)
    network, _ = read_model(path)
    assert network.flow.weight.dtype == torch.float32
    torch.testing.assert_close(network.flow.weight, a_network.flow.weight, rtol=1e-2, atol=1e-7)


def header_of(path: Path) -> dict:
    content = path.read_bytes()
    return json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])


def rewrite_metadata(path: Path, network: torch.nn.Module, text: str | None) -> None:
    save_file(tensors_of(network), path, None if text is None else {METADATA_KEY: text})


WRONG_DESCRIPTIONS = [
    (None, "does not describe its network"),
    ("", "does not describe its network"),
    ("x" * 70000, "does not describe its network"),
    ("{", "describes its network wrongly"),
    ("[1]", "describes its network wrongly"),
    ("[" * 60000, "describes its network wrongly"),
    ("{}", "lacks id, title, description, architecture"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_DESCRIPTIONS)
def test_files_without_a_right_description_are_refused(a_file, a_network, text, message):
    rewrite_metadata(a_file, a_network, text)
    with pytest.raises(WeightsError, match=message):
        read_model(a_file)


CHANGED_FACTS = [
    ({"architecture": {"class": "os.system", "arguments": {}}}, "There is no network 'os.system'"),
    ({"architecture": {"class": "VxmDense", "arguments": {"colour": 1}}}, "cannot be built from its arguments"),
    ({"architecture": {"class": "VxmDense", "arguments": {"features": [[1e300], [1]]}}}, "numbers beyond 4096"),
    ({"architecture": {"class": "VxmDense", "arguments": {}}}, "does not hold a VxmDense network: .* missing"),
    ({"architecture": {"class": "optimise", "arguments": {}}}, "describes its network wrongly"),
    ({"space": {"multiple": 0}}, "multiple is 0; choose a number from 1 to 256"),
    ({"colour": "red"}, "has unknown colour"),
]


@pytest.mark.parametrize(("change", "message"), CHANGED_FACTS)
def test_files_that_contradict_their_description_are_refused(a_file, a_network, change, message):
    facts = json.loads(header_of(a_file)["__metadata__"][METADATA_KEY])
    rewrite_metadata(a_file, a_network, json.dumps({**facts, **change}))
    with pytest.raises(WeightsError, match=message):
        read_model(a_file)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64])
def test_other_numbers_are_refused(a_file, a_network, dtype):
    text = header_of(a_file)["__metadata__"][METADATA_KEY]
    save_file({**tensors_of(a_network), "flow.bias": torch.zeros(3, dtype=dtype)}, a_file, {METADATA_KEY: text})
    with pytest.raises(WeightsError, match=r"holds numbers of type .*[IF]64.*; only F32, F16, BF16 are read"):
        read_model(a_file)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 3000, -1])
def test_truncated_files_are_refused(a_file, kept):
    a_file.write_bytes(a_file.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="is damaged or no safetensors file"):
        read_model(a_file)


def test_a_header_that_lies_about_sizes_is_refused(a_file):
    content = a_file.read_bytes()
    a_file.write_bytes(content.replace(b'"data_offsets":[0,', b'"data_offsets":[8,', 1))
    with pytest.raises(WeightsError, match="is damaged or no safetensors file"):
        read_model(a_file)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.safetensors is damaged or no safetensors file"):
        read_model(tmp_path / "absent.safetensors")


def test_nothing_is_written_that_could_not_be_read(a_network, an_entry, tmp_path):
    wrong = dataclasses.replace(an_entry, arguments={**ARGUMENTS, "features": [[3], [3]]})
    with pytest.raises(WeightsError, match="does not hold a VxmDense network"):
        write_model(a_network, wrong, tmp_path / "mine.safetensors")
    with torch.no_grad():
        a_network.flow.bias[0] = float("inf")
    with pytest.raises(WeightsError, match=r"flow\.bias holds NaN or infinite numbers"):
        write_model(a_network, an_entry, tmp_path / "mine.safetensors")
    with torch.no_grad():
        a_network.flow.bias[0] = 1e30
    with pytest.raises(WeightsError, match=r"flow\.bias holds numbers up to 1e\+30, which no training gives"):
        write_model(a_network, an_entry, tmp_path / "mine.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_other_endings_are_refused(a_network, an_entry, tmp_path):
    with pytest.raises(ConfigError, match=r"mine\.pt does not end in \.safetensors"):
        write_model(a_network, an_entry, tmp_path / "mine.pt")


def test_a_folder_that_cannot_be_written_is_reported(a_network, an_entry, tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_model(a_network, an_entry, tmp_path / "absent" / "mine.safetensors")
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_model(a_network, an_entry, tmp_path / "taken.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.safetensors"]


def test_a_missing_package_is_named(a_file, monkeypatch):
    original = builtins.__import__

    def without(name: str, *args: object) -> object:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match="pip install safetensors"):
        read_model(a_file)
