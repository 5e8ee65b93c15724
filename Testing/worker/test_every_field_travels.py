"""A field added to RegistrationRequest reaches the worker without another edit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import IDENTITY
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.registration.template_request import TemplateRequest
from VoxelMorphLib.worker.files import read_request, read_result, write_request, write_result


def test_every_field_reaches_the_worker(tmp_path):
    geometry = a_geometry("LAS")
    values = {
        "fixed": a_blob_image(geometry),
        "moving": a_blob_image(geometry),
        "model": tmp_path / "own.safetensors",
        "options": RegistrationOptions(smoothness=2.5),
        "initial": IDENTITY,
        "fixed_mask": a_label_map(geometry),
        "moving_mask": a_label_map(geometry),
        "fixed_landmarks": np.arange(9.0).reshape(3, 3),
        "moving_landmarks": np.arange(9.0).reshape(3, 3) + 1,
        "fixed_labels": a_label_map(geometry),
        "moving_labels": a_label_map(geometry, seed=1),
        "weights_dir": tmp_path,
        "allow_fallback": True,
    }
    assert set(values) == {field.name for field in fields(RegistrationRequest)}
    values["model"].touch()
    write_request(RegistrationRequest(**values), tmp_path)
    back = read_request(tmp_path)
    for name, value in values.items():
        assert type(getattr(back, name)) is type(value) or name == "model"
    assert (str(back.model), back.options, back.allow_fallback) == (str(values["model"]), values["options"], True)
    assert (back.fixed_mask.array == values["fixed_mask"].array).all()
    np.testing.assert_array_equal(back.moving_landmarks, values["moving_landmarks"])


def test_every_field_of_a_template_reaches_the_worker(tmp_path):
    base = a_blob_image(a_geometry("LAS"))
    values = {"model": tmp_path / "own.h5", "attributes": {"kind": 1.5}, "base": base, "weights_dir": tmp_path}
    assert set(values) == {field.name for field in fields(TemplateRequest)}
    write_request(TemplateRequest(**values), tmp_path)
    back = read_request(tmp_path)
    assert isinstance(back, TemplateRequest)
    assert (str(back.model), back.attributes, back.weights_dir) == (str(values["model"]), {"kind": 1.5}, tmp_path)
    assert (back.base.array == base.array).all()


def test_a_template_comes_back(tmp_path):
    template = Image(a_blob_image(a_geometry("LAS")).array, a_geometry("LAS"), "Template, age 71", ("a note",))
    write_result(template, tmp_path)
    back = read_result(tmp_path)
    assert (back.name, back.notes, back.geometry) == (template.name, template.notes, template.geometry)
    assert (back.array == template.array).all()
