"""The recorded affine and joint networks of the original, every recorded tensor compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.conformance import ReferenceCase, assert_within, cases
from support.keras_files import synthmorph_layers, write_keras
from torch import Tensor
from VoxelMorphLib.core.affine import affine_to_displacement
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.affine_detector import AffineOutput, VxmAffineFeatureDetector, scaling
from VoxelMorphLib.networks.joint import HyperVxmJoint, JointOutput
from VoxelMorphLib.weights.keras import network_from_keras
from VoxelMorphLib.weights.keras_synthmorph import joint_from_keras

#: Tolerances of the recordings' README: 1e-4 + 1e-4 * max|reference|; 1e-3 absolute for joint networks.
TOLERANCE, JOINT_TOLERANCE = 1e-4, 1e-3


def is_affine(case: ReferenceCase) -> bool:
    return case.name.startswith("affine_")


def is_joint(case: ReferenceCase) -> bool:
    return case.name.startswith("joint_")


def channels_first(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.moveaxis(array, -1, 1))


def as_recorded(tensor: Tensor, matrix: bool) -> Tensor:
    return tensor if matrix else tensor.movedim(1, -1)


def build(case: ReferenceCase):
    """The network with the recorded weights and options; those of the affine part are named `aff.`."""
    options = {name: value for name, value in case.args.items() if name != "in_shape"}
    affine = {name[4:]: options.pop(name) for name in list(options) if name.startswith("aff.")}
    if affine:
        options["affine"] = affine
    return network_from_keras(case.archive.with_suffix(".h5"), ndims=len(case.args["in_shape"]), **options)


def from_two_files(case: ReferenceCase, folder: Path) -> HyperVxmJoint:
    """The same as `build`, of a file of the affine part and one of the deformable part, as they are published."""
    whole = build(case)
    deform = HyperVxmJoint(**{**whole.options, "skip_affine": True, "affine": None})
    deform.deform.load_state_dict(whole.deform.state_dict())
    parts = {"affine": whole.affine, "deform": deform}
    paths = [write_keras(folder / f"{name}.h5", synthmorph_layers(part)) for name, part in parts.items()]
    return joint_from_keras(*paths, **{**whole.options, "skip_affine": False})


def affine_tensors(output: AffineOutput, dense: bool) -> dict[str, Tensor | None]:
    transforms = (output.displacement, output.inverse) if dense else (output.matrix, output.inverse_matrix)
    return {
        "trans_1": transforms[0],
        "trans_2": transforms[1],
        "moved_1": output.moved,
        "moved_2": output.moved_fixed,
        "feat_1": output.features,
        "feat_2": output.features_fixed,
    }


def moved_as_recorded(case: ReferenceCase, output: AffineOutput) -> dict[str, Tensor]:
    """The original forgets the change of resolution here: it moves a corner of the image at full resolution."""
    moved = {}
    for side, matrix in enumerate((output.matrix, output.inverse_matrix), start=1):
        whole = compose([matrix, scaling(0.5, matrix)], shift_center=False)
        corner = affine_to_displacement(whole, [n // 2 for n in case.args["in_shape"]], shift_center=False)
        moved[f"moved_{side}"] = warp(channels_first(case.inputs[f"image_{side}"]), corner, padding="hard")
    return moved


def joint_tensors(output: JointOutput) -> dict[str, Tensor | None]:
    pairs = {
        "tot": (output.displacement, output.inverse),
        "def": (output.deformation, output.inverse_deformation),
        "aff": (output.matrix, output.inverse_matrix),
        "svf": (output.svf, output.inverse_svf),
        "moved": (output.moved, output.moved_fixed),
    }
    return {f"{name}_{side + 1}": pair[side] for name, pair in pairs.items() for side in (0, 1)}


def flips_of(name: str) -> float:
    """A sample exactly on the border, where the moved image becomes zero, may fall to either side."""
    return 1e-3 if name.startswith("moved") else 0.0


@pytest.mark.parametrize("case", cases("B_networks", is_affine))
def test_affine_networks_are_reproduced(case):
    network = build(case)
    assert isinstance(network, VxmAffineFeatureDetector)
    with torch.no_grad():
        output = network(*[channels_first(case.inputs[name]) for name in ("image_1", "image_2")])
    dense = case.args.get("make_dense", True)
    tensors = affine_tensors(output, dense)
    if network.return_trans_to_half_res:
        tensors.update(moved_as_recorded(case, output))
    for name, recorded in case.outputs.items():
        matrix = name.startswith("trans") and not dense
        assert_within(as_recorded(tensors[name], matrix), recorded, TOLERANCE, flips=flips_of(name))


@pytest.mark.parametrize("case", cases("B_networks", is_joint))
def test_joint_networks_are_reproduced(case, tmp_path):
    network = build(case)
    assert isinstance(network, HyperVxmJoint)
    if network.affine is not None:
        network = from_two_files(case, tmp_path)
    images = [channels_first(case.inputs[name]) for name in ("image_1", "image_2")]
    hyper = torch.from_numpy(case.inputs["hyp"])
    with torch.no_grad():
        output = network(*images, hyper)
    tensors = joint_tensors(output)
    for name, recorded in case.outputs.items():
        shown = as_recorded(tensors[name], name.startswith("aff"))
        assert_within(shown, recorded, 0, absolute=JOINT_TOLERANCE, flips=flips_of(name))
    if hyper.shape[0] == 1:
        with torch.no_grad():
            plain = joint_tensors(network.specialise(hyper[0].tolist())(*images))
        for name, recorded in case.outputs.items():
            shown = as_recorded(plain[name], name.startswith("aff"))
            assert_within(shown, recorded, 0, absolute=JOINT_TOLERANCE, flips=flips_of(name))
