"""A result that is worse than its start is told, with what to change; good ones of any kind are not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support.shared_data import data_folder, weights_folder
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.io.images import read_image
from VoxelMorphLib.core.reduced_volume import reduced_volume
from VoxelMorphLib.core.transform import IDENTITY, AffineTransform, DisplacementField
from VoxelMorphLib.registration.agreement import Agreement, Change
from VoxelMorphLib.registration.compared_pair import ComparedPair
from VoxelMorphLib.registration.pipeline import BY_CHANCE
from VoxelMorphLib.registration.predictor import known_entry
from VoxelMorphLib.registration.register import _completed, register_pair
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.registration.result import Registration, RegistrationReport
from VoxelMorphLib.registration.verdict import judge

SHAPE = (32, 30, 28)
GRID = Geometry(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
CALM = SimpleNamespace(log_jacobian_std=0.3, folded_contents_percent=0.0)
OPTIMISE, LINEAR, NETWORK = (known_entry(name) for name in ("optimise", "linear", "hippocampus-T1"))


def tissue(contrast=lambda values: values) -> Image:
    """A ball with structures, and air around it."""
    noise = gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 1.5)
    ball = sum(((np.arange(n) - n / 2) / (0.38 * n)).reshape(shape) ** 2 for n, shape in zip(SHAPE, AXES)) < 1
    return Image(np.where(ball, contrast(0.6 + noise / noise.std() * 0.12), 0).astype(np.float32), GRID, "tissue")


AXES = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
T1, T2 = tissue(), tissue(lambda values: 1.3 - values)


def shift(*mm: float) -> AffineTransform:
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return AffineTransform(matrix)


def squeezed(factor: float) -> DisplacementField:
    """Pulls the image towards its middle."""
    offsets = GRID.points() - GRID.centre
    return DisplacementField(((factor - 1) * offsets).astype(np.float32), GRID)


def a_mask() -> LabelMap:
    array = np.zeros(SHAPE, np.uint8)
    array[10:22, 10:20, 9:19] = 1
    return LabelMap(array, GRID, "mask")


def halved(path) -> Image:
    """Means of 2x2x2 voxels."""
    image = read_image(path)
    affine = image.geometry.affine.copy()
    affine[:3, 3] = image.geometry.voxel_to_world(np.full(3, 0.5))
    affine[:3, :3] *= 2
    array = reduced_volume(image.array[tuple(slice(n // 2 * 2) for n in image.array.shape)], (2, 2, 2))
    return Image(array, Geometry(array.shape, affine), image.name)


def sentence(initial, start, forward, entry=OPTIMISE, fixed=T1, moving=T1, masks=(None, None), field=CALM) -> str:
    return judge(ComparedPair(fixed, moving, *masks), (initial, start, forward), field, entry).sentence


@pytest.mark.parametrize("moving", [T1, T2], ids=["same contrast", "other contrast"])
@pytest.mark.parametrize("entry", [OPTIMISE, LINEAR, NETWORK], ids=["optimise", "linear", "network"])
def test_better_results_say_nothing(moving, entry):
    assert sentence(shift(7, -5, 4), shift(2, 1, 0), IDENTITY, entry, moving=moving) == ""
    assert sentence(shift(7, -5, 4), IDENTITY, IDENTITY, entry, moving=moving) == ""


@pytest.mark.parametrize("moving", [T1, T2], ids=["same contrast", "other contrast"])
def test_a_start_that_lowers_the_agreement_is_to_be_changed(moving):
    bad = shift(9, 6, -6)
    told = sentence(IDENTITY, bad, bad, LINEAR, moving=moving)
    assert told.startswith("The result agrees less than the volumes did before: correlation ")
    assert told.endswith("Choose another start, or give an initial transform.")
    assert sentence(IDENTITY, bad, bad, NETWORK, moving=moving).endswith(
        "Choose the start none, or give an initial transform."
    )


@pytest.mark.parametrize("moving", [T1, T2], ids=["same contrast", "other contrast"])
def test_a_model_on_foreign_anatomy_is_to_be_changed(moving):
    told = sentence(shift(12, -8, 6), IDENTITY, squeezed(0.8), NETWORK, moving=moving)
    assert told.startswith("The deformation agrees less than the start alone: ")
    assert "Choose the model optimise" in told
    assert "smoothness" in sentence(shift(12, -8, 6), IDENTITY, squeezed(0.8), OPTIMISE, moving=moving)


@pytest.mark.parametrize("side", [0, 1], ids=["fixed", "moving"])
def test_a_mask_on_one_side_only_is_named(side):
    masks = [None, None]
    masks[side] = a_mask()
    told = sentence(IDENTITY, IDENTITY, squeezed(1.5), masks=tuple(masks))
    assert told.endswith(f"Draw a mask on the {('moving', 'fixed')[side]} volume too, or give no mask.")
    assert sentence(shift(6, 4, 0), IDENTITY, IDENTITY, masks=tuple(masks)) == ""


def test_masks_on_both_sides_limit_the_comparison():
    moving = T1.with_array(np.where(a_mask().array > 0, T1.array, np.roll(T1.array, 3, axis=2)))
    matches_outside, matches_inside = shift(0, 0, 6), IDENTITY
    assert sentence(matches_outside, matches_inside, matches_inside, moving=moving) != ""
    assert sentence(matches_outside, matches_inside, matches_inside, moving=moving, masks=(a_mask(), a_mask())) == ""


def test_what_lies_beyond_the_moving_volume_is_not_compared():
    """Filled with the background it would lower the correlation of an alignment that is right."""
    part = Image(T1.array[:, :, :16] + 1, GRID.shifted((0, 0, 0), (32, 30, 16)), "part")
    assert sentence(shift(4, 0, 8), IDENTITY, IDENTITY, LINEAR, fixed=T1.with_array(T1.array + 1), moving=part) == ""


def test_an_overlap_that_vanishes_is_told():
    away = shift(48, 0, 0)
    even = T1.with_array(np.tile(gaussian_filter(np.random.default_rng(0).normal(size=SHAPE[1:]), 2), (32, 1, 1)))
    told = sentence(IDENTITY, away, away, fixed=even, moving=even)
    assert told.startswith("The moving volume covers 25 % of the fixed one, and 100 % before.")


def test_volumes_that_did_not_overlap_are_compared_with_the_start_alone():
    apart = shift(500, 0, 0)
    assert sentence(apart, IDENTITY, IDENTITY) == ""
    assert sentence(apart, IDENTITY, squeezed(0.8)).startswith("The deformation agrees less")


@pytest.mark.parametrize(
    ("field", "words"),
    [({"log_jacobian_std": 1.0}, "very irregular"), ({"folded_contents_percent": 0.5}, "folds 0.50 %")],
)
def test_a_field_that_cannot_be_true_is_told(field, words):
    told = sentence(shift(4, 4, 4), IDENTITY, IDENTITY, field=SimpleNamespace(**{**vars(CALM), **field}))
    assert words in told and told.endswith("Choose a larger smoothness, or draw masks on both volumes.")


def test_a_deformation_by_more_than_half_the_contents_is_told():
    flat = tissue(lambda values: np.ones_like(values))
    start, field = shift(-18, -18, -18), DisplacementField(np.full((*SHAPE, 3), 18.0, np.float32), GRID)
    told = sentence(IDENTITY, start, field.compose(start), fixed=flat, moving=flat)
    assert "by more than half their extent" in told


def test_the_similarity_that_was_used_decides():
    change = Change(Agreement(0.9, 0.8, 0.7), Agreement(0.9, 0.8, 0.6))
    assert change.worse("ncc") and not change.worse("mi") and not change.worse()
    assert not Change(Agreement(0.8, 0.8, 0.7), Agreement(0.7, 0.9, 0.6)).worse("ncc")  # T1 to T2


def test_it_stands_first_in_the_report():
    """A tight mask on the fixed volume: the model fits all of the moving one into it."""
    options = RegistrationOptions(affine="none", smoothness=0, budget_s=20, similarity="mse")
    report = register_pair(T1, T1, "optimise", options, fixed_mask=a_mask()).report
    assert report.worse == report.warnings[0]
    assert "Draw a mask on the moving volume too" in report.worse
    assert report.local_similarity_after < report.local_similarity_before and report.overlap_before == 1


def test_it_stands_before_what_was_given_up_for_lack_of_memory():
    report = RegistrationReport(worse="It is worse.", warnings=("It is worse.", "It folds."))
    result = Registration(T1, IDENTITY, IDENTITY, report)
    completed = _completed(result, RegistrationRequest(T1, T1), "At half the resolution.")
    assert completed.report.warnings == ("It is worse.", "At half the resolution.", "It folds.")


HIPPOCAMPI = [("216", "162"), ("299", "221"), ("006", "136"), ("037", "229")]


@pytest.mark.slow
@pytest.mark.parametrize("pair", HIPPOCAMPI)
def test_hippocampi_are_registered_silently_and_a_tight_mask_is_told(pair):
    fixed, moving = (data_folder() / "hippocampus" / "images" / f"hippocampus_{case}.nii.gz" for case in pair)
    assert register_pair(fixed, moving, "hippocampus-T1").report.worse == ""
    image = read_image(moving)
    array = np.zeros(image.array.shape, np.uint8)
    array[tuple(slice(int(0.3 * n), int(0.7 * n)) for n in array.shape)] = 1
    mask = LabelMap(array, image.geometry, "mask")
    told = register_pair(fixed, moving, "hippocampus-T1", moving_mask=mask).report.worse
    assert told.endswith("Draw a mask on the fixed volume too, or give no mask.")


@pytest.mark.slow
def test_the_brain_model_on_a_mouse_is_told():
    folder, weights = data_folder() / "mouse_brain", weights_folder()
    fixed, moving = (folder / f"fvb{number}_t2.nii.gz" for number in (1, 2))
    told = register_pair(fixed, moving, "vxm-dense-brain-T1-mse", weights_dir=weights).report.worse
    assert told.startswith("The deformation agrees less than the start alone: ") and "optimise" in told


def test_nothing_left_of_the_moving_volume_is_told_first():
    away = squeezed(0.0)  # every place shows the middle of the moving image
    assert "constant inside the fixed volume" in sentence(IDENTITY, IDENTITY, away)
    assert "lies outside the fixed one" in sentence(IDENTITY, IDENTITY, shift(900, 0, 0))


def test_a_deformation_improves_what_agrees_better_afterwards():
    near, wrong = shift(1, 0, 0), squeezed(0.8)
    pair = ComparedPair(T1, T2)
    assert pair.improved(near, IDENTITY) and not pair.improved(IDENTITY, wrong)
    assert not ComparedPair(T1, T1).improved(IDENTITY, near)


@pytest.mark.parametrize(
    ("rise", "real"),
    [((0.3, 0.0, 0.0), False), ((0.0, 0.03, 0.02), False), ((0.0, 0.05, 0.0), True), ((0.0, -0.1, 0.035), True)],
)
def test_between_contrasts_chance_is_no_improvement(rise, real):
    before = Agreement(0.2, 1.0, 0.8)
    after = Agreement(*(value + change for value, change in zip((0.2, 1.0, 0.8), rise)))
    assert Change(before, after).rose_beyond_chance() is real


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["auto", "mind"])
def test_aligned_contrasts_of_one_person_stay_where_they_are(similarity):
    folder = data_folder() / "multimodal" / "study1" / "iso"
    fixed, moving = (halved(folder / f"{name}.nii.gz") for name in ("t1post", "t2"))
    result = register_pair(fixed, moving, options=RegistrationOptions(refine="fast", similarity=similarity))
    points = fixed.geometry.points()[fixed.array > 0.1 * np.percentile(fixed.array, 99)]
    moved_mm = np.linalg.norm(result.forward.apply_to_points(points) - points, axis=-1).mean()
    assert bool(moved_mm < 0.6) is (similarity == "auto")
    assert (BY_CHANCE in result.report.warnings) is (similarity == "auto")


@pytest.mark.parametrize("model", ["linear", "optimise", "hippocampus-T1"])
def test_a_volume_stays_where_it_is_on_itself(model):
    options = RegistrationOptions(affine="affine" if model == "linear" else "none", budget_s=20)
    result = register_pair(T1, T1, model, options)
    np.testing.assert_allclose(result.moved.array, T1.array, atol=1e-6)
    assert result.report.displacement_max_mm == 0 and result.report.worse == ""


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True], ids=["the same file", "other voxel order"])
@pytest.mark.parametrize("model", ["linear", "optimise", "hippocampus-T1"])
def test_a_real_volume_stays_where_it_is_on_itself(model, turned):
    image = read_image(data_folder() / "hippocampus" / "images" / "hippocampus_003.nii.gz")
    other = reordered(image) if turned else image
    options = RegistrationOptions(affine="affine", refine="fast" if model == "optimise" else "auto")
    forward = register_pair(image, other, model, options).forward
    points = image.geometry.points()
    assert np.abs(forward.apply_to_points(points) - points).max() < 0.005 * image.geometry.spacing.min()


def reordered(image: Image) -> Image:
    """The same voxels at the same places, the first axis backwards and last."""
    back = np.eye(4)[:, [1, 2, 0, 3]]
    back[0] *= -1
    back[0, 3] = image.array.shape[0] - 1
    array = np.ascontiguousarray(image.array[::-1].transpose(1, 2, 0))
    return Image(array, Geometry(array.shape, image.geometry.affine @ back), image.name)


def test_a_pair_is_looked_at_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        "VoxelMorphLib.registration.pipeline.ComparedPair", lambda *images: made.append(1) or ComparedPair(*images)
    )
    nowhere = tissue(lambda values: values[::-1])
    register_pair(T1, nowhere, "optimise", RegistrationOptions(affine="none", refine="fast"))
    assert made == [1]
