"""A field added to RegistrationRequest reaches the worker without another edit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from support.volumes import a_blob_image, a_geometry, a_label_map
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.transform import IDENTITY
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.worker.files import read_request, write_request


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
