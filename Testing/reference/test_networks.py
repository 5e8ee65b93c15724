"""The recorded small networks of the original, every recorded tensor compared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.tiny_networks import as_original
from torch import Tensor, nn
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.dense import RegistrationNetwork
from VoxelMorphLib.networks.fields import RegistrationOutput
from VoxelMorphLib.networks.unet import Unet
from VoxelMorphLib.weights.keras import find_architecture, keras_state, network_from_keras
from VoxelMorphLib.weights.keras_file import read_keras

#: Tolerance of the recordings' README: 1e-4 + 1e-4 * max|reference|.
TOLERANCE = 1e-4

#: Arguments of the recorded Unet that leave no sure trace in its weights, and their defaults.
UNET_OPTIONS = {
    "final_activation_function": ("final_activation", None),
    "max_pool": ("pooling", 2),
    "nb_upsample_skips": ("upsample_skips", 0),
    "do_res": ("residual", False),
}


def cartesian(case: ReferenceCase) -> bool:
    """The recorded fields have x before y; ours never do."""
    return case.args.get("indexing") == "xy"


def channels_first(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.moveaxis(array, -1, 1))


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.movedim(1, -1)


def images(case: ReferenceCase) -> list[Tensor]:
    order = case.description.get("model_inputs_order", ["source", "target"])
    return [channels_first(case.inputs[name]) for name in order]


def build_unet(case: ReferenceCase) -> nn.Module:
    file = read_keras(case.archive.with_suffix(".h5"))
    found = find_architecture(file)
    options = {ours: case.args.get(theirs, default) for theirs, (ours, default) in UNET_OPTIONS.items()}
    unet = Unet(**{**found.arguments, **options})
    unet.load_state_dict(keras_state(file, found))
    return unet


def build_dense(case: ReferenceCase) -> RegistrationNetwork:
    file = read_keras(case.archive.with_suffix(".h5"))
    recorded = dataclasses.replace(file, class_name="VxmDense", config=case.args)  # a file of weights has none itself
    return network_from_keras(file.path, **find_architecture(recorded).arguments)


def build_legacy(case: ReferenceCase) -> RegistrationNetwork:
    options = {name: case.args[name] for name in ("int_steps", "bidir") if name in case.args}
    return network_from_keras(case.archive.with_suffix(".h5"), indexing=case.args.get("indexing", "ij"), **options)


def run(case: ReferenceCase, network: RegistrationNetwork) -> RegistrationOutput:
    """One pass; a recorded draw of the velocity is drawn again."""
    if "z_sample" not in case.outputs or np.array_equal(case.outputs["z_sample"], case.outputs["flow_conv"]):
        with torch.no_grad():
            return network(*images(case))
    noise = (case.outputs["z_sample"] - case.outputs["flow_conv"]) / np.exp(case.outputs["log_sigma"] / 2)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *_, **__: channels_first(noise.astype(np.float32)))
        return network(*images(case), sample=True)


def dense_tensors(case: ReferenceCase, output: RegistrationOutput) -> dict[str, Tensor | None]:
    """Our tensors under the recorded names.

    The original leaves the displacement at the resolution of the integration under some options, and then moves the
    image on that coarse grid; ours always arrive on the input grid, so the comparison stops one step earlier.
    """
    displacement, moved = output.displacement, output.moved
    coarse = case.outputs["y_source"].shape[1:-1] != tuple(moved.shape[2:])
    if coarse:
        displacement, moved = output.integrated, warp(images(case)[0], output.integrated)
    moving = [moved] if output.moved_fixed is None else [moved, output.moved_fixed]
    regularised = displacement if coarse and case.args.get("reg_field") == "warp" else output.regularised
    return {
        "unet": output.features,
        "flow_conv": output.flow,
        "log_sigma": output.logvar,
        "z_sample": output.svf,
        "svf": output.svf,
        "preint_flow": output.velocity,
        "postint_flow": output.integrated,
        "pos_flow": displacement,
        "neg_flow": output.inverse,
        "y_source": moved,
        "y_target": output.moved_fixed,
        **{f"model_output_{i}": tensor for i, tensor in enumerate([*moving, regularised])},
    }


def legacy_tensors(case: ReferenceCase, output: RegistrationOutput) -> dict[str, Tensor | None]:
    moving = [output.moved] if output.moved_fixed is None else [output.moved, output.moved_fixed]
    tensors = {
        "flow_conv": output.flow,
        "flow_integrated": output.integrated,
        "warp": output.displacement,
        "neg_warp": output.inverse,
        **{f"model_output_{i}": tensor for i, tensor in enumerate([*moving, output.regularised])},
    }
    if cartesian(case):
        images_of = {f"model_output_{i}" for i in range(len(moving))}
        swap = [1, 0, *range(2, output.flow.shape[1])]
        tensors = {name: t if t is None or name in images_of else t[:, swap] for name, t in tensors.items()}
    return tensors


def dense(case: ReferenceCase) -> dict[str, Tensor | None]:
    return dense_tensors(case, run(case, build_dense(case)))


def legacy(case: ReferenceCase) -> dict[str, Tensor | None]:
    return legacy_tensors(case, run(case, build_legacy(case)))


def unet(case: ReferenceCase) -> dict[str, Tensor | None]:
    with torch.no_grad():
        return {"output": build_unet(case)(*images(case))}


NETWORKS = {"Unet": unet, "VxmDense": dense, "cvpr2018_net": legacy, "miccai2018_net": legacy}


@pytest.mark.parametrize("case", cases("B_networks", lambda case: case.kind in NETWORKS))
def test_every_recorded_tensor_is_reproduced(case):
    tensors = NETWORKS[case.kind](case)
    missing = [name for name in case.outputs if tensors.get(name) is None]
    assert not missing, f"no tensor of ours for {missing}"
    for name, recorded in case.outputs.items():
        # with fill_value, a sample exactly on the border may fall to either side
        flips = 1e-3 if case.args.get("fill_value") is not None and name.startswith(("y_", "model_output")) else 0.0
        assert_within(channels_last(tensors[name]), recorded, TOLERANCE, flips=flips)


@pytest.mark.parametrize("case", cases("B_networks", lambda case: case.kind == "miccai2018_net"))
def test_the_original_mode_gives_what_the_fixed_one_gave(case):
    """With the weights that the first code would have stored for the same network."""
    network = build_legacy(case)
    output = run(case, as_original(network))
    recorded = case.outputs
    assert_within(channels_last(output.displacement), recorded["warp"], TOLERANCE)
    assert_within(channels_last(output.flow * 2**network.int_steps), recorded["flow_conv"], TOLERANCE)
    assert_within(channels_last(output.moved), recorded["model_output_0"], TOLERANCE)
