"""Templates of models as volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.keras_files import DENSE_CONFIG, dense_layers, legacy_template_layers, write_keras
from support.template_models import SHAPE, write_conditional_model, write_template_model
from support.tiny_networks import a_dense, a_legacy_conditional_template
from support.volumes import a_geometry
from VoxelMorphLib.core.errors import ConfigError, GeometryError
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.memo import NetworkCache
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.registration.template import make_sweep, make_template, model_attributes
from VoxelMorphLib.registration.template_request import TemplateRequest


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    networks = write_template_model(folder / "one.safetensors"), write_conditional_model(folder / "many.safetensors")
    return folder, *networks


def test_the_kept_template_lies_in_the_middle_of_the_training_space(a_folder):
    folder, network, _ = a_folder
    template = make_template(TemplateRequest(folder / "one.safetensors"))
    np.testing.assert_array_equal(template.array, network.template[0].detach())
    assert (template.name, template.notes, list(template.geometry.spacing)) == ("Template", (), [2, 2, 2])
    middle = template.geometry.affine @ [*((np.array(SHAPE) - 1) / 2), 1]
    np.testing.assert_allclose(middle, [0, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(template.geometry.affine[:3, 0], [-2, 0, 0])


def test_the_template_follows_the_standardised_attributes(a_folder):
    folder, _, network = a_folder
    template = make_template(TemplateRequest(folder / "many.safetensors", {"age": 75, "sex": 1}))
    with torch.no_grad():
        expected = network.template(torch.tensor([[2.0, 1.0]]))[0, 0]
    np.testing.assert_allclose(template.array, expected, atol=1e-6)
    assert template.name == "Template, age 75 years, sex 1"


def test_a_subject_of_the_mean_is_the_default(a_folder):
    folder, _, network = a_folder
    template = make_template(TemplateRequest(folder / "many.safetensors"))
    with torch.no_grad():
        np.testing.assert_allclose(template.array, network.template(torch.zeros(1, 2))[0, 0], atol=1e-6)


def test_a_network_is_read_once(a_folder):
    networks = NetworkCache()
    request = TemplateRequest(a_folder[0] / "many.safetensors", {"age": 30})
    first = make_template(request, networks=networks)
    loaded = networks.load(request.model)
    assert np.array_equal(make_template(request, networks=networks).array, first.array)
    assert networks.load(request.model)[0] is loaded[0]


def test_a_sweep_has_a_frame_for_each_value(a_folder):
    request = TemplateRequest(a_folder[0] / "many.safetensors", {"sex": 1})
    series, notes = make_sweep(request, "age", [20, 55, 100])
    assert series.array.shape == (*SHAPE, 3)
    alone = make_template(TemplateRequest(request.model, {"sex": 1, "age": 55}))
    np.testing.assert_array_equal(series.array[..., 1], alone.array)
    assert notes == ("age 100 is outside the trained range, 20 to 90 years; the template is a guess there.",)


@pytest.fixture(scope="module")
def a_published_file(tmp_path_factory):
    network = a_legacy_conditional_template((16, 16, 16))
    path = tmp_path_factory.mktemp("published") / "cond.h5"
    return write_keras(path, legacy_template_layers(network), "Model", {"layers": []}), network


def test_a_published_generator_is_added_to_its_base(a_published_file):
    path, network = a_published_file
    with torch.no_grad():
        generated = network.template(torch.tensor([[71.0, 2.0]]))[0, 0].numpy()
    request = TemplateRequest(path, {"attribute1": 71, "attribute2": 2})
    assert [attribute.name for attribute in model_attributes(request)] == ["attribute1", "attribute2"]
    alone = make_template(request)
    np.testing.assert_allclose(alone.array, generated, atol=1e-5)
    assert "only what is added to the image that its training started from" in alone.notes[0]
    base = Image(np.random.default_rng(0).random((16, 16, 16), np.float32), a_geometry("LPS", (16, 16, 16)), "start")
    whole = make_template(TemplateRequest(path, request.attributes, base))
    np.testing.assert_allclose(whole.array, base.array + generated, atol=1e-5)
    assert (whole.notes, whole.geometry) == ((), base.geometry)
    other = Image(base.array[:8], a_geometry("LPS", (8, 16, 16)), "other")
    with pytest.raises(GeometryError, match=r"other has the shape \(8, 16, 16\), the template of cond \(16, 16, 16\)"):
        make_template(TemplateRequest(path, {}, other))


def test_nothing_is_registered_by_way_of_a_missing_base(a_published_file):
    image = Image(np.random.default_rng(0).random((16, 16, 16), np.float32), a_geometry("LPS", (16, 16, 16)))
    with pytest.raises(ConfigError, match="lacks the image that its template is added to"):
        register_pair(image, image, model=a_published_file[0])


def test_models_without_template_are_refused(a_folder, tmp_path):
    with pytest.raises(ConfigError, match="The model vxm-miccai2018 is a VxmMiccai2018 and has no template"):
        make_template(TemplateRequest("vxm-miccai2018"))
    path = write_keras(tmp_path / "a.h5", dense_layers(a_dense(2)), "VxmDense", DENSE_CONFIG)
    with pytest.raises(ConfigError, match="The model a is a VxmDense and has no template"):
        make_template(TemplateRequest(path))
    base = Image(np.zeros(SHAPE, np.float32), a_geometry("LPS", SHAPE))
    with pytest.raises(ConfigError, match="holds its whole template"):
        make_template(TemplateRequest(a_folder[0] / "one.safetensors", {}, base))
