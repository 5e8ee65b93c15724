"""A model that was not made for the volumes is told before the work and in the report, whoever asks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import GeometryError
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.registration.fitness import ignored_regularity, unfitness
from VoxelMorphLib.registration.predictor import known_entry
from VoxelMorphLib.registration.register import register, register_pair
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.weights.catalogue import load_catalogue


def a_ball(extent: float, radius: float = 8.5) -> Image:
    """A ball on 20 voxels along each axis; 17 of them have that extent, mm."""
    distance = np.linalg.norm(np.indices((20, 20, 20)).T - 9.5, axis=-1)
    array = (np.clip(radius - distance, 0, 1) * (2 + np.sin(distance))).astype(np.float32)
    return Image(array, Geometry((20,) * 3, np.diag([extent / 17] * 3 + [1.0])), "ball")


@pytest.mark.parametrize(("extent", "told"), [(40.0, False), (150.0, True), (4.0, True)])
def test_a_network_is_told_when_the_volumes_are_not_its_own(extent, told):
    request = RegistrationRequest(a_ball(extent), a_ball(extent), "hippocampus-T1")
    assert bool(unfitness(request, known_entry("hippocampus-T1"))) is told
    assert unfitness(request, known_entry("optimise")) == "" == unfitness(request, None)


def test_a_regularity_that_means_nothing_to_the_model_is_told():
    known = load_catalogue()
    chosen = RegistrationOptions(hyper=0.2)
    assert ignored_regularity(chosen, known["synthmorph-deform-3"]) == ""
    assert ignored_regularity(RegistrationOptions(), known["hippocampus-T1"]) == ""
    request = RegistrationRequest(a_ball(40.0), a_ball(40.0), "linear", RegistrationOptions(affine="centre", hyper=0.2))
    told = ignored_regularity(chosen, known["linear"])
    assert told.startswith("hyper 0.2 changes nothing, because the model linear was not trained for all values")
    assert told in register(request).report.warnings


def test_the_report_says_it_too():
    options = RegistrationOptions(device="cpu")
    wrong, right = (
        register(RegistrationRequest(a_ball(extent), a_ball(extent), "hippocampus-T1", options))
        for extent in (4.0, 40.0)
    )
    assert any(text.startswith("The model does not fit: the fixed volume shows") for text in wrong.report.warnings)
    assert not any("does not fit" in text for text in right.report.warnings)


def test_what_a_mask_hides_does_not_count():
    large = a_ball(150.0)
    inside = LabelMap((a_ball(150.0, 2.5).array > 0).astype(np.uint8), large.geometry, "mask")
    request = RegistrationRequest(large, large, "hippocampus-T1", fixed_mask=inside, moving_mask=inside)
    assert unfitness(request, known_entry("hippocampus-T1")) == ""


@pytest.mark.parametrize("spacing", [0.001, 0.02, 100.0])
def test_a_unit_that_cannot_be_right_is_told_before_the_work(spacing):
    grid = Geometry((40, 36, 30), np.diag([spacing, spacing, spacing, 1.0]))
    image = Image(np.random.default_rng(0).random(grid.shape), grid, "scan")
    with pytest.raises(GeometryError, match=r"sees voxels of 1 mm\. Check the unit of the spacing"):
        register_pair(image, image, "hippocampus-T1", RegistrationOptions(affine="none"))


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [0.001, 100.0])
def test_the_optimisation_takes_voxels_of_any_size(spacing):
    grid = Geometry((24, 22, 20), np.diag([spacing, spacing, spacing, 1.0]))
    noise = gaussian_filter(np.random.default_rng(0).normal(size=grid.shape), 2)
    fixed, moving = (Image(np.roll(noise, by, 0), grid, "scan") for by in (0, 1))
    report = register_pair(fixed, moving, "optimise", RegistrationOptions(affine="none")).report
    assert report.similarity_after > report.similarity_before + 0.02
    assert 0.3 < report.displacement_mean_mm / spacing < 1.5
