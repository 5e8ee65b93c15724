"""Lines and files between application and worker carry everything over unchanged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.volumes import GEOMETRIES, a_blob_image, a_geometry, a_label_map, a_smooth_field, rotation
from VoxelMorphLib.core import errors
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.scratch import remove_folder
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.registration.result import Registration, RegistrationReport
from VoxelMorphLib.worker.files import (
    bytes_needed,
    read_request,
    read_result,
    write_request,
    write_result,
)
from VoxelMorphLib.worker.protocol import decode, encode, error_message, error_of

FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VoxelMorphError)]


def an_affine() -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((3, -1, 2), 17), (1 / 3, -2e-7, 1e5)
    return AffineTransform(matrix)


def a_field(name: str = "oblique") -> DisplacementField:
    grid = a_geometry(name)
    back = DisplacementField(-a_smooth_field(grid), grid)
    return DisplacementField(a_smooth_field(grid).astype(np.float32), grid, inverse_field=back)


def assert_equal_images(one: Image, other: Image) -> None:
    assert type(one) is type(other)
    assert one.array.dtype == other.array.dtype
    assert one.name == other.name
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_array_equal(one.geometry.affine, other.geometry.affine)


@pytest.mark.slow
@given(
    st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False) | st.integers() | st.none() | st.booleans()),
    st.text(),
)
def test_messages_are_one_line_and_come_back(values, kind):
    message = {**values, "type": kind}
    line = encode(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n") and line.isascii()
    assert decode(line) == message


@given(st.binary())
def test_any_other_line_is_refused_in_one_sentence(line):
    try:
        assert isinstance(decode(line)["type"], str)
    except errors.WorkerError as error:
        assert str(error).startswith("The worker process sent ")
        assert len(str(error)) < 500 and "\n" not in str(error)


@pytest.mark.parametrize("kind", FAMILY)
def test_errors_keep_class_text_and_extras(kind):
    options = {
        errors.DependencyError: {"restart_required": True},
        errors.TorchLoadError: {"restart_required": True},
        errors.WorkerError: {"details": "line\nline"},
    }
    error = kind("Größe 3 × 4.\nSecond line", **options.get(kind, {}))
    back = error_of(decode(encode(error_message(7, error))))
    assert type(back) is kind
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_an_error_of_an_unknown_class_is_still_one_of_ours():
    message = {**error_message(1, errors.ImageError("text")), "class": "dict"}
    assert type(error_of(message)) is errors.VoxelMorphError


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", ">i2", "float16"])
def test_jobs_come_back_from_their_folder(tmp_path, name, dtype):
    fixed = a_label_map(a_geometry(name))
    moving = a_blob_image(a_geometry("LPS")).with_array(np.asfortranarray(a_blob_image(a_geometry("LPS")).array))
    moving = moving.with_array(moving.array.astype(dtype))
    options = RegistrationOptions(affine="rigid", budget_s=7, background=-1000.5, hyper=0.75, seed=3)
    job = RegistrationRequest(
        fixed, moving, "optimise", options, an_affine().compose(a_field()), None, None, tmp_path, True
    )
    write_request(job, tmp_path)
    back = read_request(tmp_path)
    assert_equal_images(back.fixed, fixed)
    assert_equal_images(back.moving, moving)
    assert back.fixed.array.flags.c_contiguous and back.moving.array.flags.c_contiguous
    assert (back.model, back.options, back.weights_dir, back.allow_fallback) == ("optimise", options, tmp_path, True)
    points = fixed.geometry.points()
    np.testing.assert_array_equal(back.initial.apply_to_points(points), job.initial.apply_to_points(points))


def test_registrations_come_back_from_their_folder_and_arrays_are_written_once(tmp_path):
    field = a_field()
    start = an_affine()
    forward = field.compose(start)
    inverse = start.inverse().compose(field.inverse_field)
    report = RegistrationReport(model="tiny", warnings=("ä", "b"), seconds={"load": 0.1}, similarity_after=1 / 3)
    moved = a_blob_image(field.geometry, dtype="int16")
    write_result(Registration(moved, forward, inverse, report), tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3
    back = read_result(tmp_path)
    remove_folder(tmp_path)
    assert_equal_images(back.moved, moved)
    assert back.report == report
    points = field.geometry.points()
    for direction, truth in (("forward", forward), ("inverse", inverse)):
        there = getattr(back, direction).apply_to_points(points)
        np.testing.assert_array_equal(there, truth.apply_to_points(points))
    first, last = back.forward.transforms[0], back.inverse.transforms[-1]
    assert first.array.dtype == np.float32
    assert first.inverse_field.array is last.array


def test_the_json_of_a_job_is_one_line(tmp_path):
    write_request(RegistrationRequest(a_blob_image(a_geometry()), a_blob_image(a_geometry("LAS"))), tmp_path)
    text = (tmp_path / "request.json").read_text(encoding="ascii")
    assert "\n" not in text
    assert json.loads(text)["values"]["model"] is None


def test_relative_names_mean_the_same_in_the_worker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.pt").touch()
    Path("optimise").touch()
    image = a_blob_image(a_geometry())
    names = {"own.pt": str(tmp_path / "own.pt"), "optimise": "optimise", "missing.pt": "missing.pt"}
    for number, (name, expected) in enumerate(names.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_request(RegistrationRequest(image, image, name, weights_dir=Path("weights")), folder)
        back = read_request(folder)
        assert (back.model, back.weights_dir) == (expected, tmp_path / "weights")


def test_the_space_that_a_job_needs_is_known(tmp_path):
    grid = a_geometry("oblique")
    there, back = (DisplacementField(a_smooth_field(grid, seed=n).astype(np.float32), grid) for n in range(2))
    job = RegistrationRequest(a_blob_image(grid), a_blob_image(a_geometry("LAS", (20, 14, 12)), dtype="int16"))
    write_request(job, tmp_path)
    moved = a_blob_image(grid, dtype="int16")
    write_result(Registration(moved, there, back, RegistrationReport()), tmp_path)
    headers = 5 * 128
    assert bytes_needed(job) + headers == sum(path.stat().st_size for path in tmp_path.glob("*.npy"))


def test_masks_travel_with_the_job(tmp_path):
    image = a_blob_image(a_geometry())
    masks = a_label_map(image.geometry), a_label_map(a_geometry("oblique"), seed=1)
    job = RegistrationRequest(image, image, fixed_mask=masks[0], moving_mask=masks[1])
    write_request(job, tmp_path)
    back = read_request(tmp_path)
    for found, mask in zip((back.fixed_mask, back.moving_mask), masks):
        assert isinstance(found, LabelMap)
        assert_equal_images(found, mask)
    plain = RegistrationRequest(image, image)
    assert bytes_needed(job) - bytes_needed(plain) == sum(mask.array.nbytes for mask in masks)
    write_request(plain, tmp_path)
    assert (read_request(tmp_path).fixed_mask, read_request(tmp_path).moving_mask) == (None, None)


def test_label_maps_stay_label_maps(tmp_path):
    labels = a_label_map(a_geometry())
    write_request(RegistrationRequest(labels, labels), tmp_path)
    assert isinstance(read_request(tmp_path).moving, LabelMap)
