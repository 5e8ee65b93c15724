"""The start of a pair is found once, as long as nothing that it depends on changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField
from VoxelMorphLib.registration import pipeline
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.pipeline import register
from VoxelMorphLib.registration.start_cache import StartCache, fingerprint

#: A short optimisation: only the start matters here.
QUICK = RegistrationOptions(affine="rigid", device="cpu", budget_s=1)


@pytest.fixture
def searches(monkeypatch):
    """The kinds of start that were really searched for."""
    seen, find = [], pipeline.affine_start

    def counted(fixed, moving, kind, *rest):
        seen.append(kind)
        return find(fixed, moving, kind, *rest)

    monkeypatch.setattr(pipeline, "affine_start", counted)
    return seen


@pytest.fixture
def a_pair():
    geometry = a_geometry("oblique", (20, 18, 16), 1.5)
    return a_blob_image(geometry), a_blob_image(geometry, 1)


def test_the_same_pair_starts_as_before(searches, a_pair):
    cache = RegistrationCache()
    first = register(*a_pair, options=QUICK, cache=cache)
    again = register(
        *(replace(image, array=image.array.copy(), name="copy") for image in a_pair), None, QUICK, cache=cache
    )
    assert searches == ["rigid"]
    np.testing.assert_array_equal(again.forward.transforms[-1].matrix, first.forward.transforms[-1].matrix)
    assert again.report.affine == "rigid"


def test_another_model_or_regularity_keeps_the_start(searches, a_pair):
    cache = RegistrationCache()
    for smoothness in (1.0, 3.0):
        register(*a_pair, options=replace(QUICK, smoothness=smoothness), cache=cache)
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
    register(*a_pair, options=QUICK, cache=cache)
    pair, other = change(*a_pair)
    register(*pair, **{"options": QUICK, **other}, cache=cache)
    assert len(searches) == 2


def test_the_start_that_was_not_used_for_longest_goes_first():
    cache, found = StartCache(capacity=2), []
    for pair in ("a", "b", "a", "c", "a", "b"):
        cache.start(lambda pair=pair: found.append(pair) or IDENTITY, pair)
    assert found == ["a", "b", "c", "b"]


def test_a_failed_search_leaves_nothing():
    cache = StartCache()
    with pytest.raises(ZeroDivisionError):
        cache.start(lambda: 1 / 0, "pair")
    assert cache.start(lambda: IDENTITY, "pair") is IDENTITY


def test_equal_contents_have_equal_fingerprints_in_any_memory_order():
    array = np.arange(24.0).reshape(2, 3, 4)
    assert fingerprint(array) == fingerprint(np.asfortranarray(array))
    assert fingerprint(array) != fingerprint(array.astype(np.float32))
    assert fingerprint(array) != fingerprint(array.reshape(3, 2, 4))
    assert fingerprint((1, 2), 3) != fingerprint(1, (2, 3))
    field = DisplacementField(np.zeros((2, 3, 4, 3), np.float32), a_geometry("RAS", (2, 3, 4), 1.0))
    assert fingerprint(field) != fingerprint(replace(field, array=field.array + 1))
