"""The recorded networks around VxmDense: hyperparameters, labels, surfaces, one pair, templates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.layout import channels_first
from support.tiny_networks import TINY
from torch import Tensor
from VoxelMorphLib.networks.fields import RegistrationOutput
from VoxelMorphLib.networks.semi_supervised import VxmDenseSemiSupervisedPointCloud
from VoxelMorphLib.weights.keras import network_from_keras

#: Tolerance of the recordings' README: 1e-4 + 1e-4 * max|reference|.
TOLERANCE = 1e-4

Tensors = dict[str, "Tensor | None"]


def image(case: ReferenceCase, name: str) -> Tensor | None:
    return channels_first(case.inputs[name]) if name in case.inputs else None


def plain(case: ReferenceCase, name: str) -> Tensor | None:
    return torch.from_numpy(case.inputs[name].copy()) if name in case.inputs else None


def registered(output: RegistrationOutput, *more: Tensor | None) -> Tensors:
    """Our tensors under the recorded names; `more` are the outputs of the model after the registration's own."""
    moving = [output.moved] if output.moved_fixed is None else [output.moved, output.moved_fixed]
    return {
        "unet": output.features,
        "flow_conv": output.flow,
        "svf": output.svf,
        "preint_flow": output.velocity,
        "postint_flow": output.integrated,
        "pos_flow": output.displacement,
        "neg_flow": output.inverse,
        "y_source": output.moved,
        "y_target": output.moved_fixed,
        **numbered(*moving, output.regularised, *(tensor for tensor in more if tensor is not None)),
    }


def numbered(*outputs: Tensor) -> Tensors:
    return {f"model_output_{i}": tensor for i, tensor in enumerate(outputs)}


def hyper(case: ReferenceCase, network) -> Tensors:
    return registered(network(image(case, "source"), image(case, "target"), plain(case, "hyp")))


def labelled(case: ReferenceCase, network) -> Tensors:
    names = ("source", "target", "source_seg", "target_seg")
    output = network(*(image(case, name) for name in names))
    return registered(output.registration, output.moved_labels, output.moved_fixed_labels)


def surfaces(case: ReferenceCase, network) -> Tensors:
    output = network(
        image(case, "source"),
        image(case, "target"),
        moving_distance=image(case, "subj_dt"),
        fixed_surface=plain(case, "atl_surface"),
        fixed_distance=image(case, "atl_dt"),
        moving_surface=plain(case, "subj_surface"),
    )
    return registered(output.registration, output.distance, output.fixed_distance)


def instance(case: ReferenceCase, network) -> Tensors:
    output = network(image(case, "source"))
    return {"y_source": output.moved, "preint_flow": output.velocity, "pos_flow": output.displacement}


def template(case: ReferenceCase, network) -> Tensors:
    output = network(image(case, "source"))
    return {**registered(output.registration), "atlas": output.template, "mean_stream": output.mean_displacement}


def conditional(case: ReferenceCase, network) -> Tensors:
    """The recorded bases differ from subject to subject."""
    network.base = image(case, "atlas")
    output = network(plain(case, "pheno"), image(case, "source"))
    displacement, mean = output.registration.displacement, output.mean_displacement
    return {
        "flow_conv": output.registration.flow,
        "atlas": output.template,
        "atlas_gen": output.template - network.base,
        **numbered(output.registration.moved, *([] if mean is None else [mean]), displacement, displacement),
    }


NETWORKS: dict[str, Callable[..., Tensors]] = {
    "HyperVxmDense": hyper,
    "VxmDenseSemiSupervisedSeg": labelled,
    "VxmDenseSemiSupervisedPointCloud": surfaces,
    "InstanceDense": instance,
    "TemplateCreation": template,
    "ConditionalTemplateCreation": conditional,
}


def recorded_layout(tensor: Tensor) -> np.ndarray:
    return (tensor if tensor.ndim < 3 else tensor.movedim(1, -1)).detach().numpy()


@pytest.mark.parametrize("case", cases("B_networks", lambda case: case.kind in NETWORKS))
def test_every_recorded_tensor_is_reproduced(case):
    network = network_from_keras(case.archive.with_suffix(".h5"))
    assert type(network).__name__ == case.kind
    with torch.no_grad():
        tensors = NETWORKS[case.kind](case, network)
    missing = [name for name in case.outputs if tensors.get(name) is None]
    assert not missing, f"no tensor of ours for {missing}"
    for name, recorded in case.outputs.items():
        assert_within(recorded_layout(tensors[name]), recorded, TOLERANCE)


def test_recordings_of_one_direction_hold_no_surface_of_the_moving_image(tmp_path):
    shape = (1, 16, 12, 1)
    arrays = {f"in_{name}": np.zeros(shape, np.float32) for name in ("source", "target", "subj_dt")}
    np.savez(tmp_path / "one.npz", **arrays, in_atl_surface=np.zeros((1, 5, 3), np.float32))
    case = ReferenceCase("B_networks", "one", {}, tmp_path / "one.npz")
    tensors = surfaces(case, VxmDenseSemiSupervisedPointCloud(2, features=TINY))
    assert tensors["model_output_3"].shape == (1, 5) and "model_output_4" not in tensors
