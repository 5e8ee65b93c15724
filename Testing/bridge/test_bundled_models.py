"""The models that come with the extension register real anatomy from the scene."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from support.hippocampi import OF_HIPPOCAMPI, dice, read_case, validation_pairs
from support.mrml_nodes import add_volume
from VoxelMorphLib.bridge.scene.transform_nodes import transform_from_node
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.registration.initialisation import affine_start


@pytest.mark.parametrize("entry", OF_HIPPOCAMPI, ids=lambda entry: entry.id)
def test_a_bundled_model_aligns_two_nodes(logic, scene, entry):
    [(fixed, moving)] = validation_pairs(1)
    (fixed_image, fixed_labels), (moving_image, moving_labels) = (read_case(case) for case in (fixed, moving))
    nodes = [add_volume(image, name) for image, name in ((fixed_image, "fixed"), (moving_image, "moving"))]
    written = logic.register(*nodes, entry.id, RegistrationOptions(device="cpu"))
    forward = transform_from_node(written["forward"])
    moved = forward.resample(moving_labels, fixed_labels.geometry)
    before = affine_start(fixed_labels, moving_labels, "grid").transform.resample(moving_labels, fixed_labels.geometry)
    assert dice(fixed_labels, moved) > dice(fixed_labels, before) + 0.05
    brought = transform_from_node(written["inverse"]).resample(fixed_labels, moving_labels.geometry)
    assert dice(moving_labels, brought) > dice(fixed_labels, before) + 0.05
    assert written["forward"].GetAttribute("VoxelMorph.Model") == entry.id
