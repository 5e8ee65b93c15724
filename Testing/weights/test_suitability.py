"""Which models fit a pair: by extent, skull, anatomy and contrast, and what is said about one that does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.volumes import a_geometry
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.weights.catalogue import load_catalogue
from VoxelMorphLib.weights.suitability import LARGEST_BRAIN, Shown, advice, fit, fitting, ordered

CATALOGUE = load_catalogue()
BRAIN = Shown("1000", (147.0, 183.0, 138.0), 1.6)
HEAD = Shown("head", (156.0, 224.0, 232.0), 3.7, anatomy=frozenset({"brain"}))
HIPPOCAMPUS = Shown("crop", (35.0, 51.0, 35.0), 0.06)
MOUSE = Shown("fvb1", (11.1, 18.3, 7.5), 0.0006)
PARTIAL = Shown("slab", (195.0, 48.0, 200.0), 1.05)


def suits(name: str, fixed: Shown, moving: Shown | None = None) -> bool:
    return fit(CATALOGUE[name], fixed, moving or fixed).suits


@pytest.mark.parametrize("shown", [BRAIN, HEAD, HIPPOCAMPUS, MOUSE, PARTIAL], ids=lambda shown: shown.name)
@pytest.mark.parametrize("name", ["optimise", "linear"])
def test_a_model_without_training_suits_everything(name, shown):
    assert suits(name, shown)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vxm-dense-brain-T1-mse", {"1000"}),
        ("synthmorph-brains", {"1000"}),
        ("synthmorph-deform-3", {"1000", "head"}),
        ("hippocampus-T1", {"crop"}),
    ],
)
def test_a_network_suits_what_it_was_trained_on(name, expected):
    assert {shown.name for shown in (BRAIN, HEAD, HIPPOCAMPUS, MOUSE, PARTIAL) if suits(name, shown)} == expected


def test_both_volumes_count():
    assert not suits("hippocampus-T1", HIPPOCAMPUS, BRAIN)
    assert "the moving volume shows 147 x 183 x 138 mm" in fit(CATALOGUE["hippocampus-T1"], HIPPOCAMPUS, BRAIN).against


@pytest.mark.parametrize(
    ("name", "contrast", "expected"),
    [
        ("vxm-dense-brain-T1-mse", "T1", True),
        ("vxm-dense-brain-T1-mse", "T2", False),
        ("hippocampus-T1", "FLAIR", False),
        ("synthmorph-brains", "FLAIR", True),
        ("synthmorph-brains", "CT", False),
        ("optimise", "CT", True),
    ],
)
def test_the_contrast_counts_where_it_is_known(name, contrast, expected):
    shown = HIPPOCAMPUS if name == "hippocampus-T1" else BRAIN
    assert suits(name, shown, dataclasses.replace(shown, contrast=contrast)) is expected


@pytest.mark.parametrize(
    ("name", "contrast", "anatomy"),
    [
        ("sub-01_T1w", "T1", set()),
        ("kirby113_flair.nii.gz", "FLAIR", set()),
        ("MRBrainTumor1", "", {"brain"}),
        ("hippocampus_001", "", {"hippocampus"}),
        ("T1 to T2", "", set()),
        ("CT chest", "CT", {"chest"}),
        ("contact", "", set()),
    ],
)
def test_names_tell_contrast_and_anatomy(name, contrast, anatomy):
    told = Shown.named(name)
    assert (told.contrast, told.anatomy) == (contrast, anatomy)


def test_the_anatomy_of_the_names_decides_between_models_of_one_size():
    foot = dataclasses.replace(BRAIN, anatomy=Shown.named("left foot").anatomy)
    assert not suits("vxm-dense-brain-T1-mse", foot)
    assert suits("vxm-dense-brain-T1-mse", dataclasses.replace(BRAIN, anatomy=Shown.named("brain 3").anatomy))


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "oblique"])
def test_contents_are_measured_in_mm_along_the_axes_of_the_patient(orientation):
    geometry = a_geometry(orientation, (40, 50, 60), 2.0)
    array = np.zeros((40, 50, 60), np.float32)
    array[5:35, 10:40, 20:30] = 100
    shown = Shown.of(array, geometry, "box")
    axes = [axis for axis, _sign in geometry.axes_to_ras()]
    lengths = np.array([30, 30, 10]) * geometry.spacing
    assert shown.extent == pytest.approx([lengths[axes.index(axis)] for axis in range(3)])
    assert shown.litres == pytest.approx(np.prod(lengths) / 1e6)


def test_a_large_volume_is_sampled():
    array = np.zeros((160, 160, 160), np.int16)
    array[40:120, 40:120, 40:120] = 1000
    shown = Shown.of(array, Geometry((160, 160, 160), np.eye(4)), "large")
    assert shown.extent == pytest.approx([80, 80, 80], abs=4)
    assert shown.litres == pytest.approx(0.512, rel=0.15)


def test_a_ct_is_known_by_its_air():
    array = np.full((20, 20, 20), -1000, np.int16)
    array[5:15, 5:15, 5:15] = 40
    assert Shown.of(array, a_geometry("RAS", (20, 20, 20)), "T1").contrast == "CT"


def test_a_constant_volume_tells_its_name_alone():
    told = Shown.of(np.zeros((4, 4, 4)), a_geometry("RAS", (4, 4, 4)), "T2")
    assert told == Shown.named("T2")


def test_a_head_is_told_from_a_brain_by_its_contents():
    reasons = fit(CATALOGUE["vxm-dense-brain-T1-mse"], HEAD, BRAIN).against
    assert reasons == ("the fixed volume shows 3.7 litres, so more than a brain without its skull",)
    assert BRAIN.litres < LARGEST_BRAIN < HEAD.litres


def test_structures_are_found_in_a_whole_head_but_not_in_a_small_part():
    entry = CATALOGUE["synth-brain"]
    head = dataclasses.replace(HEAD, extent=(180.0, 250.0, 260.0))
    assert fit(entry, head, BRAIN).suits
    assert not fit(entry, HIPPOCAMPUS, HIPPOCAMPUS).suits and not fit(entry, MOUSE, BRAIN).suits


def test_the_list_begins_with_what_suits_and_ends_with_the_oldest():
    for shown, best in (
        (HIPPOCAMPUS, "hippocampus-T1-labels"),
        (BRAIN, "vxm-dense-brain-T1-mse"),
        (HEAD, "synth-brain"),
    ):
        fits = ordered(CATALOGUE.values(), shown, shown)
        names = [one.entry.id for one in fits]
        assert names[:3] == ["optimise", "linear", best]
        old = [any(year in one.entry.title for year in ("2018", "2019")) for one in fits]
        assert old == [False] * (len(fits) - 7) + [True] * 7
        recent = [one.suits for one, is_old in zip(fits, old) if not is_old]
        assert recent == sorted(recent, reverse=True)
        assert sorted(names) == sorted(CATALOGUE)


def test_a_model_that_does_not_fit_is_told_with_one_that_does():
    told = advice(CATALOGUE["vxm-dense-brain-T1-mse"], HIPPOCAMPUS, HIPPOCAMPUS, CATALOGUE.values())
    assert told == (
        "The model does not fit: the fixed volume shows 35 x 51 x 35 mm, but vxm-dense-brain-T1-mse was made for "
        "brain, MR T1, without skull, 160 x 224 x 192 mm. Choose hippocampus-T1-labels (hippocampus, T1 MR) or "
        "optimise, which suits any pair."
    )
    assert advice(CATALOGUE["hippocampus-T1"], HIPPOCAMPUS, HIPPOCAMPUS, CATALOGUE.values()) == ""
    mouse = advice(CATALOGUE["hippocampus-T1"], MOUSE, MOUSE, CATALOGUE.values())
    assert mouse.endswith("Choose optimise, which suits any pair.")
    affine = advice(CATALOGUE["synthmorph-affine-2"], MOUSE, MOUSE, CATALOGUE.values())
    assert affine.endswith("Choose linear, which suits any pair.")


def test_networks_that_fit_do_what_the_chosen_model_does():
    found = [entry.id for entry in fitting(CATALOGUE["optimise"], BRAIN, BRAIN, CATALOGUE.values())]
    assert found[:2] == ["vxm-dense-brain-T1-mse", "synth-brain"] and "synthmorph-rigid-1" not in found
    assert fitting(CATALOGUE["optimise"], MOUSE, MOUSE, CATALOGUE.values()) == []


def test_a_model_of_ones_own_is_known_by_its_grid():
    space = NetworkSpace(voxel_size=2.0, shape=(48, 48, 48), orientation="RAS")
    own = dataclasses.replace(CATALOGUE["hippocampus-T1"], id="own", space=space, anatomy="any", modality="any")
    child = dataclasses.replace(BRAIN, extent=(60.0, 80.0, 60.0))
    assert fit(own, child, child).suits
    assert not fit(own, BRAIN, BRAIN).suits
    unknown = dataclasses.replace(own, space=NetworkSpace())
    assert fit(unknown, BRAIN, MOUSE).suits
