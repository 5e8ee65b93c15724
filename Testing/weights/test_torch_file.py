from __future__ import annotations

import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from VoxelMorphLib.core.errors import WeightsError
from VoxelMorphLib.training.checkpoint import load_checkpoint
from VoxelMorphLib.weights.torch_file import network_from_torch

ENCODER, DECODER = [3, 4], [4, 3, 5]
CONFIG = {"inshape": (16, 16, 16), "nb_unet_features": [ENCODER, DECODER], "int_steps": 7, "int_downsize": 2}


def branch_state(half_res: bool = False, ndims: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors with the names and shapes of the branch's VxmDense of two levels."""
    generator = torch.Generator().manual_seed(seed)
    channels = {
        "unet_model.encoder.0.0.main": (2, 3),
        "unet_model.encoder.1.0.main": (3, 4),
        "unet_model.decoder.0.0.main": (4, 4),
        "unet_model.decoder.1.0.main": (4 + 4, 3),
        "unet_model.remaining.0.main": (3 if half_res else 3 + 3, 5),
        "flow": (5, ndims),
    }
    state = {}
    for name, (inputs, outputs) in channels.items():
        state[f"{name}.weight"] = 0.1 * torch.randn(outputs, inputs, *[3] * ndims, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    state["transformer.grid"] = torch.zeros(1, ndims, *[16] * ndims)
    state["integrate.transformer.grid"] = torch.zeros(1, ndims, *[8] * ndims)
    return state


def save(path: Path, state: object = None, **config: object) -> Path:
    torch.save({"config": {**CONFIG, **config}, "model_state": branch_state() if state is None else state}, path)
    return path


def branch_flow(state: dict[str, Tensor], images: Tensor, half_res: bool) -> Tensor:
    """Output of the flow convolution as the branch computes it: convolution, then upsampling, then the skip."""

    def conv(name: str, image: Tensor) -> Tensor:
        result = functional.conv3d(image, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        return result if name == "flow" else functional.leaky_relu(result, 0.2)

    first = conv("unet_model.encoder.0.0.main", images)
    second = conv("unet_model.encoder.1.0.main", functional.max_pool3d(first, 2))
    image = conv("unet_model.decoder.0.0.main", functional.max_pool3d(second, 2))
    image = torch.cat([functional.interpolate(image, scale_factor=2), second], dim=1)
    image = conv("unet_model.decoder.1.0.main", image)
    if not half_res:
        image = torch.cat([functional.interpolate(image, scale_factor=2), first], dim=1)
    return conv("flow", conv("unet_model.remaining.0.main", image))


@pytest.mark.parametrize("half_res", [False, True])
def test_the_network_computes_what_the_branch_computes(tmp_path, half_res):
    state = branch_state(half_res)
    network = network_from_torch(save(tmp_path / "a.pt", state, unet_half_res=half_res)).eval()
    moving, fixed = torch.rand(2, 1, 1, 16, 24, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = network(moving, fixed)
        expected = branch_flow(state, torch.cat([moving, fixed], dim=1), half_res)
    torch.testing.assert_close(output.flow, expected, rtol=1e-4, atol=1e-5)
    half = expected
    if not half_res:
        half = functional.interpolate(expected, scale_factor=0.5, mode="trilinear", align_corners=True) / 2
    torch.testing.assert_close(output.velocity, half, rtol=1e-4, atol=1e-5)
    assert output.displacement.shape == (1, 3, 16, 24, 8)


def test_the_configuration_is_kept(tmp_path):
    network = network_from_torch(save(tmp_path / "a.pt", int_steps=5, int_downsize=1, bidir=True))
    assert (network.int_steps, network.int_resolution, network.svf_resolution, network.bidir) == (5, 1, 1, True)
    assert not network_from_torch(save(tmp_path / "b.pt", int_steps=0)).diffeomorphic


def test_two_dimensional_networks_are_read(tmp_path):
    network = network_from_torch(save(tmp_path / "a.pt", branch_state(ndims=2), inshape=(16, 16)))
    assert network.unet.ndims == 2


def test_files_of_older_torch_versions_are_read(tmp_path):
    content = {"config": CONFIG, "model_state": branch_state()}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    network = network_from_torch(tmp_path / "a.pt")
    assert torch.equal(network.flow.bias, content["model_state"]["flow.bias"])


class Attack:
    """A pickle that would create a file when it is opened."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["config", "model_state", "whole"])
def test_pickled_programs_do_not_run(tmp_path, place, zipped):
    content = {"config": CONFIG, "model_state": branch_state()}
    attack = Attack(tmp_path / "attacked")
    content = attack if place == "whole" else {**content, place: attack}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"was not opened: .*could run programs"):
        network_from_torch(tmp_path / "a.pt")
    assert not (tmp_path / "attacked").exists()


def test_a_bare_pickle_does_not_run(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Attack(tmp_path / "attacked"), protocol=2))
    with pytest.raises(WeightsError, match=r"a\.pt (was not opened|is damaged)"):
        network_from_torch(tmp_path / "a.pt")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("kind", ["TorchScript", "tar archive"])
def test_containers_that_old_versions_of_torch_unpickle_do_not_reach_it(tmp_path, monkeypatch, kind):
    save(tmp_path / "a.pt")
    if kind == "TorchScript":
        with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
            archive.writestr("a/constants.pkl", pickle.dumps(()))
    else:
        (tmp_path / "pickle").write_bytes(pickle.dumps(Attack(tmp_path / "attacked")))
        with tarfile.open(tmp_path / "a.pt", "w") as archive:
            archive.add(tmp_path / "pickle", "pickle")
    monkeypatch.setattr(torch, "load", lambda *_arguments, **_options: pytest.fail("torch reads it"))
    with pytest.raises(WeightsError, match=f"a.pt was not opened: it .*{kind}.* Choose a file"):
        network_from_torch(tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=f"a.pt was not opened: it .*{kind}.* Choose a last.pt"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("kept", [0, 1, 20, 500, 4000, -1])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files_are_refused(tmp_path, kept, zipped):
    content = {"config": CONFIG, "model_state": branch_state()}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"a\.pt (was not opened: it is damaged|is damaged)"):
        network_from_torch(tmp_path / "a.pt")


def test_a_zip_bomb_is_refused(tmp_path):
    save(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(5_000_000))
    with pytest.raises(WeightsError, match="would unpack to 5 MB"):
        network_from_torch(tmp_path / "a.pt")


def test_a_zip_without_weights_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match="damaged or no torch file"):
        network_from_torch(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"state_dict": {}}, {"config": {}}, branch_state()])
def test_foreign_content_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="is no VoxelMorph file"):
        network_from_torch(tmp_path / "a.pt")


FOREIGN_CONFIGURATIONS = [
    ({"dropout": 0.5}, r"configuration that VxmDense does not know \(dropout\)"),
    ({"inshape": None}, r"does not know \(no inshape\)"),
    ({"inshape": (16, 16, 16, 16)}, "cannot be built"),
    ({"inshape": ()}, "cannot be built"),
    ({"nb_unet_features": [[0], [0]]}, "cannot be built"),
    ({"nb_unet_features": "many"}, "cannot be built"),
    ({"nb_unet_features": [[3, 4], [4, 10**9]]}, "numbers beyond 4096"),
    ({"nb_unet_levels": 3}, "cannot be built"),
    ({"nb_unet_features": 16, "nb_unet_levels": 10**9}, "numbers beyond 4096"),
    ({"nb_unet_features": 16, "nb_unet_levels": 2000, "unet_feat_mult": 4000.0}, "cannot be built"),
    ({"int_steps": -1}, "cannot be built"),
    ({"int_steps": "seven"}, "cannot be built"),
    ({"int_downsize": 0}, "cannot be built"),
    ({"src_feats": -5}, "cannot be built"),
    ({"nb_unet_features": None}, "does not hold a VxmDense network: .* layers are missing"),
    ({"nb_unet_features": [[3, 4], [4, 3, 6]]}, r"has the shape \(5, 6, 3, 3, 3\) instead of \(6, 6, 3, 3, 3\)"),
    ({"src_feats": 4096}, r"has the shape .* instead of \(3, 4097, 3, 3, 3\)"),
]


@pytest.mark.parametrize(("config", "message"), FOREIGN_CONFIGURATIONS)
def test_foreign_configurations_are_refused(tmp_path, config, message):
    with pytest.raises(WeightsError, match=message):
        network_from_torch(save(tmp_path / "a.pt", **config))


def test_a_configuration_that_is_no_dictionary_is_refused(tmp_path):
    torch.save({"config": 5, "model_state": branch_state()}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"does not know \(int\)"):
        network_from_torch(tmp_path / "a.pt")


def with_flow_bias(value: object) -> dict:
    return {**branch_state(), "flow.bias": value}


FOREIGN_STATES = [
    (with_flow_bias(torch.full((3,), float("nan"))), "flow.bias holds NaN or infinite numbers"),
    (with_flow_bias(torch.zeros(3, dtype=torch.int32)), "flow.bias holds torch.int32 instead of real numbers"),
    (with_flow_bias(torch.zeros(4)), r"flow.bias has the shape \(4,\) instead of \(3,\)"),
    (with_flow_bias([0.0, 0.0, 0.0]), "something else than named tensors"),
    ({5: torch.zeros(3)}, "something else than named tensors"),
    (torch.zeros(3), "something else than named tensors"),
    ({}, "12 layers are missing"),
    ({**branch_state(), "logsigma.weight": torch.zeros(3)}, r"1 are foreign \(logsigma.weight\)"),
]


@pytest.mark.parametrize(("state", "message"), FOREIGN_STATES)
def test_foreign_states_are_refused(tmp_path, state, message):
    with pytest.raises(WeightsError, match=message):
        network_from_torch(save(tmp_path / "a.pt", state))


def test_tensors_that_grow_when_they_are_read_are_refused(tmp_path):
    big = torch.zeros(1).expand(40_000, 40_000)  # 6.4 GB by strides of 0, 4 bytes in the file
    path = save(tmp_path / "inflated.pt", {"unet_model.encoder.0.0.main.weight": big})
    assert path.stat().st_size < 10_000
    with pytest.raises(WeightsError, match="would unpack to 6400 MB, far more than its size"):
        network_from_torch(path)


@pytest.mark.parametrize(
    "tensor", [torch.zeros(4, 4).to_sparse(), torch.zeros(4, 4, device="meta")], ids=["sparse", "meta"]
)
def test_tensors_without_plain_numbers_are_refused(tmp_path, tensor):
    with pytest.raises(
        WeightsError, match=r"odd\.pt (holds a sparse, quantised or empty tensor|was not opened|is damaged)"
    ):
        network_from_torch(save(tmp_path / "odd.pt", {"deep": [[tensor]]}))
