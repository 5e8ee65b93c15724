"""Files of the template networks of 2019, written as their scripts wrote them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.keras_files import legacy_layers, legacy_template_layers, write_keras
from support.tiny_networks import a_legacy_conditional_template, a_legacy_template, a_miccai, a_pair
from VoxelMorphLib.core.errors import WeightsError
from VoxelMorphLib.weights.keras import network_from_keras
from VoxelMorphLib.weights.load import load_network

#: The graph of a saved model; the addition of base and generated image is no squaring.
GRAPH = {"layers": [{"name": name, "class_name": name, "config": {}} for name in ("Add", "Negate", "VecInt")]}
BUILDERS = {
    "template": a_legacy_template,
    "conditional": a_legacy_conditional_template,
    "conditional with a decoder": lambda: a_legacy_conditional_template(attributes=1, generator_levels=3),
    "conditional without extra": lambda: a_legacy_conditional_template(extra_convolutions=0),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("class_name", ["Model", None])
def test_a_file_gives_its_network(tmp_path, build, class_name):
    network = build()
    path = write_keras(tmp_path / "a.h5", legacy_template_layers(network), class_name, GRAPH, ["input_1", "add_1"])
    found = network_from_keras(path)
    assert type(found) is type(network)
    assert {k: v.tolist() for k, v in found.state_dict().items()} == {
        k: v.tolist() for k, v in network.state_dict().items()
    }
    image = a_pair((16, 32))[0]
    assert torch.equal(
        found.fields(image, image.flip(2)).displacement, network.fields(image, image.flip(2)).displacement
    )


def test_a_nested_registration_network_is_found(tmp_path):
    """The scripts could also keep the network as one layer of the model."""
    network = a_legacy_conditional_template()
    own = {"dense_1", "atlasmodel_likelihood", "atlasmodel_c", "mean_stream"}
    layers = {
        name if name in own or name.startswith("atlas_ec") else f"model_1/{name}": arrays
        for name, arrays in legacy_template_layers(network).items()
    }
    found = network_from_keras(write_keras(tmp_path / "a.h5", layers, "Model", GRAPH))
    assert torch.equal(found.flow.weight, network.flow.weight)


def test_an_image_is_fed_as_the_brains_of_the_training(tmp_path):
    network = a_legacy_template((16, 32, 16))
    _, entry = load_network(write_keras(tmp_path / "a.h5", legacy_template_layers(network), "Model", GRAPH))
    assert (entry.space.shape, entry.space.orientation) == ((16, 32, 16), "LIA")
    assert (entry.space.intensity, entry.requires_skull_strip) == ("freesurfer", True)


LAYERS = legacy_template_layers(a_legacy_template())
GENERATED = legacy_template_layers(a_legacy_conditional_template())


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ({k: v for k, v in LAYERS.items() if k != "mean_stream"}, "no whole template network"),
        ({k: v for k, v in LAYERS.items() if k != "flow"}, "no whole template network"),
        ({**LAYERS, "atlas": {"kernel": np.zeros((8, 8, 1), np.float32)}}, "no whole template network"),
        ({**LAYERS, **GENERATED}, "no whole template network"),
        ({k: v for k, v in GENERATED.items() if k != "dense_1"}, "no whole template network"),
        ({**LAYERS, **legacy_layers(a_miccai(2))}, "no whole template network"),
        ({**GENERATED, "dense_1": {"kernel": np.zeros((2, 9), np.float32)}}, "from 9 numbers; this version needs 512"),
    ],
)
def test_what_is_no_template_network_is_refused(tmp_path, layers, text):
    with pytest.raises(WeightsError, match=text):
        network_from_keras(write_keras(tmp_path / "a.h5", layers, "Model", GRAPH))
