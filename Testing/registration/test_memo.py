"""Start and alignment of a pair are found once, as long as nothing that they depend on changes."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.few_steps import few_steps
from support.panel_runs import write_catalogue
from support.volumes import a_blob_image, a_geometry
from support.workers import write_tiny_network
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField
from VoxelMorphLib.registration import pipeline, starting
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.memo import Memo, fingerprint
from VoxelMorphLib.registration.register import register_pair

QUICK = RegistrationOptions(affine="rigid", device="cpu", budget_s=1)


@pytest.fixture(autouse=True)
def hardly_any_optimisation():
    """Only what is computed anew and what is not matters here."""
    with few_steps():
        yield


@pytest.fixture
def searches(monkeypatch):
    """The kinds of start that were really searched for."""
    seen, find = [], starting.affine_start

    def counted(fixed, moving, kind, *rest):
        seen.append(kind)
        return find(fixed, moving, kind, *rest)

    monkeypatch.setattr(starting, "affine_start", counted)
    return seen


@pytest.fixture
def a_pair():
    geometry = a_geometry("oblique", (20, 18, 16), 1.5)
    return a_blob_image(geometry), a_blob_image(geometry, 1)


def test_the_same_pair_starts_as_before(searches, a_pair):
    cache = RegistrationCache()
    first = register_pair(*a_pair, options=QUICK, cache=cache)
    again = register_pair(
        *(replace(image, array=image.array.copy(), name="copy") for image in a_pair), None, QUICK, cache=cache
    )
    assert searches == ["rigid"]
    np.testing.assert_array_equal(again.forward.transforms[-1].matrix, first.forward.transforms[-1].matrix)
    assert again.report.affine == "rigid"


def test_another_model_or_regularity_keeps_the_start(searches, a_pair):
    cache = RegistrationCache()
    for smoothness in (1.0, 3.0):
        register_pair(*a_pair, options=replace(QUICK, smoothness=smoothness), cache=cache)
    assert searches == ["rigid"]


def changed(image: Image) -> Image:
    array = image.array.copy()
    array[3, 4, 5] += 1
    return image.with_array(array)


CHANGES = {
    "fixed voxel": lambda fixed, moving: ((changed(fixed), moving), {}),
    "moving voxel": lambda fixed, moving: ((fixed, changed(moving)), {}),
    "place": lambda fixed, moving: (
        (fixed, replace(moving, geometry=moving.geometry.shifted((1, 0, 0), (20, 18, 16)))),
        {},
    ),
    "order": lambda fixed, moving: ((moving, fixed), {}),
    "kind": lambda fixed, moving: ((fixed, moving), {"options": replace(QUICK, affine="affine")}),
    "seed": lambda fixed, moving: ((fixed, moving), {"options": replace(QUICK, seed=1)}),
    "mask": lambda fixed, moving: (
        (fixed, moving),
        {"fixed_mask": LabelMap(np.ones((20, 18, 16), np.uint8), fixed.geometry)},
    ),
    "initial": lambda fixed, moving: ((fixed, moving), {"initial": AffineTransform(np.diag([1.01, 1, 1, 1]))}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_decides_about_the_start_is_looked_at(searches, a_pair, change):
    cache = RegistrationCache()
    register_pair(*a_pair, options=QUICK, cache=cache)
    pair, other = change(*a_pair)
    register_pair(*pair, **{"options": QUICK, **other}, cache=cache)
    assert len(searches) == 2


@pytest.fixture
def alignments(monkeypatch):
    """The model of every alignment that was really computed."""
    seen, find = [], pipeline.align

    def counted(fixed, moving, start, predictor, progress, *masks):
        seen.append(predictor.entry.id)
        found = find(fixed, moving, start, predictor, progress, *masks)
        return replace(found, warnings=(*found.warnings, "This was hard."))

    monkeypatch.setattr(pipeline, "align", counted)
    return seen


def test_another_interpolation_or_background_needs_no_new_alignment(alignments, a_pair):
    cache = RegistrationCache()
    first = register_pair(*a_pair, options=QUICK, cache=cache)
    for change in ({"interpolation": "nearest"}, {"background": -5.0}, {}):
        again = register_pair(*a_pair, options=replace(QUICK, **change), cache=cache)
        assert again.report.warnings == first.report.warnings == ("This was hard.",)
        np.testing.assert_array_equal(
            again.inverse.apply_to_points(np.zeros(3)), first.inverse.apply_to_points(np.zeros(3))
        )
    assert alignments == ["optimise"]
    np.testing.assert_array_equal(again.moved.array, first.moved.array)


@pytest.mark.parametrize("options", [{"smoothness": 1.5}, {"precision": "bfloat16"}, {"hyper": 0.1}, {"seed": 3}])
def test_other_settings_need_one(alignments, a_pair, options):
    cache = RegistrationCache()
    register_pair(*a_pair, options=QUICK, cache=cache)
    register_pair(*a_pair, options=replace(QUICK, **options), cache=cache)
    assert len(alignments) == 2


def test_a_changed_file_of_weights_needs_one(alignments, a_pair, tmp_path):
    cache, file = RegistrationCache(), write_tiny_network(tmp_path / "tiny.safetensors")
    first = register_pair(*a_pair, file, QUICK, cache=cache)
    write_tiny_network(file, seed=1)
    os.utime(file, ns=(1, 1))
    second = register_pair(*a_pair, file, QUICK, cache=cache)
    assert len(alignments) == 2 and (first.moved.array != second.moved.array).any()


def test_another_folder_of_weights_without_checksum_needs_one(alignments, a_pair, tmp_path, monkeypatch):
    monkeypatch.setenv("VXM_CACHE", str(tmp_path / "models"))
    files = [
        write_tiny_network(make_folder(tmp_path / name) / "tiny-model.safetensors", i) for i, name in enumerate("ab")
    ]
    write_catalogue(tmp_path / "models", files[0].read_bytes(), None, sha256=None)
    cache = RegistrationCache()
    a, b, again = (
        register_pair(*a_pair, "tiny-model", QUICK, cache=cache, weights_dir=file.parent).moved.array
        for file in (*files, files[1])
    )
    assert (a != b).any() and (b == again).all()
    assert len(alignments) == 2
    shutil.copyfile(files[0], files[1])
    assert (
        register_pair(*a_pair, "tiny-model", QUICK, cache=cache, weights_dir=files[1].parent).moved.array == a
    ).all()


def make_folder(path):
    path.mkdir()
    return path


def test_what_takes_memory_can_be_freed(alignments, searches, a_pair):
    cache = RegistrationCache()
    register_pair(*a_pair, options=QUICK, cache=cache)
    cache.clear()
    register_pair(*a_pair, options=QUICK, cache=cache)
    assert (len(alignments), len(searches)) == (2, 1)


def test_what_was_not_used_for_longest_goes_first():
    memory, found = Memo(capacity=2), []
    for pair in ("a", "b", "a", "c", "a", "b"):
        memory.recall(lambda pair=pair: found.append(pair) or pair, pair)
    assert found == ["a", "b", "c", "b"]


def test_a_failed_search_leaves_nothing():
    memory = Memo(capacity=1)
    with pytest.raises(ZeroDivisionError):
        memory.recall(lambda: 1 / 0, "pair")
    assert memory.recall(lambda: 3, "pair") == 3


def test_equal_contents_have_equal_fingerprints_in_any_memory_order():
    array = np.arange(24.0).reshape(2, 3, 4)
    assert fingerprint(array) == fingerprint(np.asfortranarray(array))
    assert fingerprint(array) != fingerprint(array.astype(np.float32))
    assert fingerprint(array) != fingerprint(array.reshape(3, 2, 4))
    assert fingerprint((1, 2), 3) != fingerprint(1, (2, 3))
    assert fingerprint((0.5, 10)) != fingerprint((0.51, 0))
    field = DisplacementField(np.zeros((2, 3, 4, 3), np.float32), a_geometry("RAS", (2, 3, 4), 1.0))
    assert fingerprint(field) != fingerprint(replace(field, array=field.array + 1))
