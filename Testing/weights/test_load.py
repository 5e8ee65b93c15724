from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from support.shared_data import weights_folder
from support.torch_files import write_branch_file
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import Cancelled, ConfigError, DeviceError, VoxelMorphError, WeightsError
from VoxelMorphLib.networks.borders import VxmBorderDetector
from VoxelMorphLib.networks.unet import unet_precision
from VoxelMorphLib.weights import load
from VoxelMorphLib.weights.architectures import build_network
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.file_format import file_format
from VoxelMorphLib.weights.load import load_network
from VoxelMorphLib.weights.safetensors_file import write_model

PUBLISHED = {
    "vxm-dense-brain-T1-mse": "vxm_dense_brain_T1_3D_mse.h5",
    "vxm-cvpr2018-vm1-cc": "cvpr2018_vm1_cc.h5",
    "vxm-miccai2018": "miccai2018_10_02_init1.h5",
}
ARGUMENTS = {"features": [[3, 4], [4, 3, 5]], "int_steps": 5}


@pytest.fixture
def an_entry() -> ModelEntry:
    return ModelEntry(
        id="mine",
        title="Mine",
        description="Aligns my images.",
        architecture="VxmDense",
        arguments=ARGUMENTS,
        file="mine.safetensors",
        format="safetensors",
        space=NetworkSpace(2.0, "LPS", multiple=4),
    )


@pytest.fixture
def a_file(an_entry, tmp_path) -> Path:
    torch.manual_seed(1)
    write_model(build_network("VxmDense", ARGUMENTS), an_entry, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


@pytest.fixture
def a_torch_file(tmp_path) -> Path:
    write_branch_file(tmp_path / "my model (2).pt", ARGUMENTS["features"])
    return tmp_path / "my model (2).pt"


@pytest.mark.parametrize(("name", "file"), PUBLISHED.items())
def test_published_models_load_by_id(name, file):
    network, entry = load_network(name, weights_folder())
    assert entry == load_catalogue()[name]
    assert type(network).__name__ == entry.architecture
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(("name", "file"), PUBLISHED.items())
def test_the_catalogue_describes_the_published_networks(name, file):
    network, entry = load_network(name, weights_folder())
    described = build_network(entry.architecture, entry.arguments, device="meta")
    shapes = {key: value.shape for key, value in described.state_dict().items()}
    assert {key: value.shape for key, value in network.state_dict().items()} == shapes
    for option in ("int_steps", "svf_resolution", "int_resolution", "alignment", "multiple", "diffeomorphic"):
        assert getattr(network, option) == getattr(described, option), option
    assert entry.space.multiple == network.multiple


@pytest.mark.parametrize(("name", "file"), PUBLISHED.items())
def test_a_published_file_is_recognised_under_any_name(name, file, tmp_path):
    copy = tmp_path / "renamed.bin"
    shutil.copy(weights_folder() / file, copy)
    assert load_network(str(copy))[1] == load_catalogue()[name]
    assert load_network(copy)[1].id == name


def test_a_published_file_with_a_change_is_only_some_network(tmp_path):
    path = tmp_path / "cvpr.h5"
    path.write_bytes((weights_folder() / "cvpr2018_vm1_cc.h5").read_bytes() + b"x")
    _, entry = load_network(path)
    assert (entry.id, entry.sha256, entry.architecture) == ("cvpr", None, "VxmCvpr2018")
    assert entry.space == load_catalogue()["vxm-cvpr2018-vm1-cc"].space
    assert entry.requires_affine
    assert entry.requires_skull_strip


def test_own_files_say_what_they_are(a_file, an_entry):
    network, entry = load_network(a_file)
    assert entry == an_entry
    assert network.int_steps == 5
    assert not network.training


def test_files_of_the_torch_branch_load(a_torch_file):
    network, entry = load_network(a_torch_file)
    assert (entry.id, entry.title, entry.format) == ("my-model-2", "my model (2).pt", "torch")
    assert entry.space == NetworkSpace(multiple=4)
    assert not entry.requires_affine
    assert network.diffeomorphic


def test_precision_concerns_the_convolutions_only(a_file):
    network, _ = load_network(a_file, precision="bfloat16")
    assert network.unet.encoder[0][0].convolution.weight.dtype == torch.bfloat16
    assert network.flow.weight.dtype == torch.float32
    with pytest.raises(ConfigError, match="precision is 'float8'"):
        load_network(a_file, precision="float8")


@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("detector", [True, False])
def test_automatic_precision_halves_detectors_where_the_processor_can(a_file, tmp_path, units, detector, monkeypatch):
    monkeypatch.setattr(load, "is_faster_in_bfloat16", lambda device: units and device == "cpu")
    if detector:
        arguments = {"features": [[4], [4, 4]], "conv_per_level": 1}
        entry = ModelEntry("b", "B", "A test.", "VxmBorderDetector", arguments, file="b", format="safetensors")
        write_model(VxmBorderDetector(**arguments), entry, tmp_path / "b.safetensors")
    network, _ = load_network(tmp_path / "b.safetensors" if detector else a_file, precision="auto")
    assert unet_precision(network) == ("bfloat16" if units and detector else "float32")


def test_an_unknown_device_is_refused_before_anything_is_read(a_file):
    with pytest.raises(DeviceError, match="no device 'abacus'"):
        load_network("vxm-dense-brain-T1-mse", device="abacus")


def test_an_entry_can_be_given_itself(a_file, an_entry, a_cache_folder):
    a_cache_folder.mkdir()
    shutil.copy(a_file, a_cache_folder)
    content = a_file.read_bytes()
    entry = dataclasses.replace(an_entry, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    assert load_network(entry)[1] is entry


def test_the_users_models_load_by_id(a_file, an_entry, a_cache_folder):
    a_cache_folder.mkdir()
    shutil.copy(a_file, a_cache_folder)
    (a_cache_folder / "models.json").write_text(json.dumps({"models": [an_entry.to_dict()]}))
    assert load_network("mine")[1] == an_entry


def test_networks_that_are_not_built_are_refused_before_the_download(an_entry):
    entry = dataclasses.replace(an_entry, architecture="VxmTransformer", url="https://example.org/mine.safetensors")
    with pytest.raises(ConfigError, match=r"mine needs the network VxmTransformer, which this version cannot run yet"):
        load_network(entry)


def test_optimise_has_no_network():
    with pytest.raises(ConfigError, match="The model optimise has no network to load"):
        load_network("optimise")


def test_unknown_ids_are_refused_with_all_ids():
    with pytest.raises(ConfigError, match=r"no model 'vxm-denze-brain-T1-mse'\. Did you mean vxm-dense-brain-T1-mse\?"):
        load_network("vxm-denze-brain-T1-mse")


@pytest.mark.parametrize("name", ["absent.h5", "absent.pt", "some/where", Path("absent")])
def test_absent_files_are_refused(name):
    with pytest.raises(WeightsError, match=f"There is no weights file {name}"):
        load_network(name)


def test_an_id_comes_before_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "optimise").write_bytes(b"x")
    with pytest.raises(ConfigError, match="has no network to load"):
        load_network("optimise")


FOREIGN = [b"", b"hello, world, this is text", b"\x1f\x8b" + bytes(50), b"<html></html>", bytes(100)]


@pytest.mark.parametrize("content", FOREIGN)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.h5 is (no weights file \(it begins with|empty \(0 bytes\))"):
        load_network(path)


def test_folders_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="There is no weights file"):
        load_network(tmp_path)
    with pytest.raises(WeightsError, match="cannot be read"):
        file_format(tmp_path)


@pytest.mark.parametrize("head", [b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02", (20).to_bytes(8, "little") + b"{"])
def test_damaged_files_of_every_format_are_refused(tmp_path, head):
    path = tmp_path / "model"
    path.write_bytes(head + bytes(range(256)) * 4)
    with pytest.raises(WeightsError, match="damaged"):
        load_network(path)


def test_formats_are_told_by_content(a_file, a_torch_file, tmp_path):
    assert file_format(a_file) == "safetensors"
    assert file_format(a_torch_file) == "torch"
    with zipfile.ZipFile(tmp_path / "a.h5", "w") as archive:
        archive.writestr("x", "y")
    assert file_format(tmp_path / "a.h5") == "torch"


def test_a_network_that_registers_nothing_is_refused(tmp_path, an_entry):
    unet = dataclasses.replace(an_entry, architecture="Unet", arguments={"features": [[3], [3]]})
    write_model(build_network("Unet", unet.arguments), unet, tmp_path / "unet.safetensors")
    with pytest.raises(WeightsError, match="holds a Unet, which registers nothing"):
        load_network(tmp_path / "unet.safetensors")


def test_a_file_of_another_network_than_its_entry_is_refused(a_file, an_entry, a_cache_folder):
    a_cache_folder.mkdir()
    shutil.copy(a_file, a_cache_folder)
    entry = dataclasses.replace(an_entry, architecture="VxmCvpr2018", arguments={})
    with pytest.raises(WeightsError, match="holds a VxmDense network, but the model mine is a VxmCvpr2018"):
        load_network(entry)


def test_progress_runs_from_start_to_end_and_can_cancel(a_file):
    reports = []
    load_network(a_file, progress=lambda *report: reports.append(report))
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert reports[-1] == (1.0, "Mine is ready")

    def cancel(_fraction: float, _text: str) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        load_network(a_file, progress=cancel)


@pytest.mark.parametrize("kept", range(0, 1100000, 100000))
def test_truncated_published_files_never_load(tmp_path, kept):
    path = tmp_path / "model.h5"
    path.write_bytes((weights_folder() / "cvpr2018_vm1_cc.h5").read_bytes()[:kept])
    with pytest.raises(VoxelMorphError):
        load_network(path)


@pytest.mark.slow
def test_shapes_are_compared_without_importing_torchs_compiler():
    code = "import sys; from VoxelMorphLib.weights.architectures import build_network; "
    code += "build_network('VxmMiccai2018', {}, 'meta'); sys.exit('torch._dynamo' in sys.modules)"
    library = Path(sys.modules["VoxelMorphLib"].__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=library, timeout=120)
