"""FeatureRegistrar: images are aligned by what a network finds in each of them, and by their own edges."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.volumes import a_geometry, smooth_displacement
from torch import Tensor
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.devices import is_faster_in_bfloat16
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.errors import Cancelled
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.core.resize import resize_displacement
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.core.transform import DisplacementField
from VoxelMorphLib.networks.structures import VxmStructureDetector
from VoxelMorphLib.registration import optimise, verdict
from VoxelMorphLib.registration.effort import AFTER_FEATURES, EFFORTS
from VoxelMorphLib.registration.features import BEFORE_REFINING, EFFORT, FeatureRegistrar
from VoxelMorphLib.registration.predictor import load_predictor
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.weights.entry import ModelEntry
from VoxelMorphLib.weights.safetensors_file import write_model

GRID = a_geometry("RAS", (40, 36, 32), 2.0)


class ByBrightness(VxmStructureDetector):
    """Its structures are what is about 0.5 and about 1 bright, at 0 or 1 minus that in inverted images."""

    def outputs(self, image: Tensor) -> Tensor:
        values = (image - image[..., :1, :1, :1]).abs()  # the corner is background
        return torch.cat([-200 * (values - level).square() for level in (0.0, 0.5, 1.0)], dim=1)


class Blind(VxmStructureDetector):
    """Finds nothing anywhere."""

    def outputs(self, image: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(image), torch.zeros_like(image), torch.zeros_like(image)], dim=1)


def a_head() -> np.ndarray:
    places = GRID.points()
    radius = np.linalg.norm((places - GRID.centre) / np.array([1.0, 1.2, 0.9]), axis=-1)
    inner = np.linalg.norm((places - GRID.centre - [6, 4, 0]) / np.array([1.3, 0.8, 1.0]), axis=-1)
    return (radius < 26) * 0.5 + (inner < 11) * 0.5


@pytest.fixture(scope="module")
def a_pair() -> tuple[Tensor, Tensor]:
    """(moving, fixed), the moving one of inverted contrast, 4 mm apart at most."""
    head = Image(a_head().astype(np.float32), GRID)
    truth = DisplacementField(smooth_displacement(GRID.points(), 4.0), GRID)
    moved = truth.resample(head, GRID).array
    return 1 - torch.from_numpy(head.array)[None, None], torch.from_numpy(moved)[None, None]


@pytest.fixture
def registrar() -> FeatureRegistrar:
    return FeatureRegistrar(ByBrightness([[1], [2]], features=((4,), (4, 4)), conv_per_level=1))


def overlap(first: Tensor, second: Tensor) -> float:
    return float(2 * (first * second).sum() / (first + second).sum())


def test_structures_meet_whatever_the_contrasts(registrar, a_pair):
    moving, fixed = a_pair
    features = [registrar.network.features(image) for image in a_pair]
    found = registrar.fields(moving, fixed)
    moved = warp(features[0], found.displacement)
    before, after = (overlap(each[:, 1], features[1][:, 1]) for each in (features[0], moved))
    assert after > 0.85 and 1 - after < 0.4 * (1 - before)
    assert jacobian_determinant(found.displacement).min() > 0


def test_edges_that_no_structure_ends_at_meet_too(a_pair):
    moving, fixed = a_pair
    network = Blind([[1], [2]], features=((4,), (4, 4)), conv_per_level=1)
    moved = warp(1 - moving, FeatureRegistrar(network).fields(moving, fixed).displacement)
    assert (moved - fixed).abs().mean() < 0.5 * (1 - moving - fixed).abs().mean()


def test_edges_are_seen_in_detail(a_pair):
    moving, fixed = a_pair
    network = Blind([[1], [2]], features=((4,), (4, 4)), conv_per_level=1)
    blank = torch.zeros(1, 1, *(n // 2 for n in GRID.shape))
    found = FeatureRegistrar(network).fields(blank, blank, details=(moving, fixed))
    assert found.displacement.shape[2:] == blank.shape[2:]
    displacement = resize_displacement(found.displacement, GRID.shape, scale=2)
    moved = warp(1 - moving, displacement)
    assert (moved - fixed).abs().mean() < 0.6 * (1 - moving - fixed).abs().mean()
    assert not FeatureRegistrar(network).fields(blank, blank).displacement.any()


def test_swapping_the_images_swaps_the_directions(registrar, a_pair):
    there, back = registrar.fields(*a_pair), registrar.fields(*a_pair[::-1])
    torch.testing.assert_close(there.displacement, back.inverse, atol=0.05, rtol=0)


def test_what_is_compared_counts_in_the_memory(registrar):
    compared = registrar.network.feature_channels + 12
    assert registrar.network.feature_channels == registrar.network.features(torch.rand(1, 1, 8, 8, 8)).shape[1] == 2
    assert registrar.compared_bytes(1000) >= 4 * 4 * compared * 1000
    of_all, without_the_finest = (registrar.compared_bytes(voxels) / voxels for voxels in (1_000_000, 2_000_000))
    assert of_all > without_the_finest


def test_a_smoother_deformation_can_be_asked_for(a_pair):
    network = ByBrightness([[1], [2]], features=((4,), (4, 4)), conv_per_level=1)
    free, stiff = (FeatureRegistrar(network, smoothness).fields(*a_pair) for smoothness in (0.5, 50.0))
    assert stiff.velocity.norm() < 0.7 * free.velocity.norm()


@pytest.mark.parametrize(("share", "details"), [(0.1, True), (1.0, True), (0.1, False)])
def test_images_with_details_may_be_less_smooth(a_pair, share, details):
    network = ByBrightness([[1], [2]], features=((4,), (4, 4)), conv_per_level=1)
    plain = FeatureRegistrar(network).fields(*a_pair)
    network.detailed_smoothness = share
    found = FeatureRegistrar(network).fields(*a_pair, details=a_pair if details else None)
    larger = float(found.velocity.norm() / plain.velocity.norm())
    assert larger > 1.05 if details and share < 1 else larger == pytest.approx(1.0)


@pytest.fixture
def model(tmp_path) -> str:
    """A file of a network of structures with random weights."""
    torch.manual_seed(0)
    arguments = {"structures": [[1], [2]], "features": [[4], [4, 4]], "conv_per_level": 1}
    entry = ModelEntry(
        "s", "S", "A test.", "VxmStructureDetector", arguments, file="s.safetensors", format="safetensors"
    )
    write_model(VxmStructureDetector(**arguments), entry, tmp_path / "s.safetensors")
    return str(tmp_path / "s.safetensors")


@pytest.mark.parametrize("refine", ["none", "fast"])
def test_a_model_of_structures_registers_volumes(model, a_pair, refine):
    moving, fixed = (Image(tensor[0, 0].numpy(), GRID) for tensor in a_pair)
    options = RegistrationOptions(device="cpu", refine=refine)
    found = register_pair(fixed, moving, model, options)
    assert found.report.compared or refine == "none"
    assert found.report.precision == ("bfloat16" if is_faster_in_bfloat16("cpu") else "float32")
    assert np.isfinite(found.moved.array).all() and found.inverse is not None


@pytest.mark.parametrize("refine", ["fast", "balanced", "best"])
def test_what_features_found_is_refined_in_no_more_steps_than_a_start(model, a_pair, refine):
    images = (Image(tensor[0, 0].numpy(), GRID) for tensor in a_pair[::-1])
    request = RegistrationRequest(*images, model=model, options=RegistrationOptions(device="cpu", refine=refine))
    predictor = load_predictor(request, silent)
    chosen = predictor.optimiser.effort
    assert chosen is AFTER_FEATURES[refine]
    assert predictor.by_features.effort is BEFORE_REFINING
    after, usual = (sum(level.iterations for level in effort.refining) for effort in (chosen, EFFORTS[refine]))
    assert after < usual if refine == "balanced" else after == usual


def test_features_alone_take_all_their_steps(model, a_pair):
    images = (Image(tensor[0, 0].numpy(), GRID) for tensor in a_pair[::-1])
    request = RegistrationRequest(*images, model=model, options=RegistrationOptions(device="cpu", refine="none"))
    assert load_predictor(request, silent).by_features.effort is EFFORT
    steps = [sum(level.iterations for level in effort.levels) for effort in (BEFORE_REFINING, EFFORT)]
    assert steps[0] < steps[1]


@pytest.mark.parametrize("refine", ["none", "fast"])
def test_a_registration_by_features_tells_that_its_time_was_up(model, a_pair, refine, monkeypatch):
    moving, fixed = (Image(tensor[0, 0].numpy(), GRID) for tensor in a_pair)
    monkeypatch.setattr(optimise, "time", SimpleNamespace(monotonic=count(0, 7).__next__))
    report = register_pair(fixed, moving, model, RegistrationOptions(device="cpu", budget_s=5, refine=refine)).report
    told = [text for text in report.warnings if "stopped at its time limit of 5 s before it was done" in text]
    assert len(told) == 1 and ("choose a faster refinement" in told[0]) == (refine == "fast")


def test_a_strained_registration_by_features_can_be_made_smoother(model, a_pair, monkeypatch):
    moving, fixed = (Image(tensor[0, 0].numpy(), GRID) for tensor in a_pair)
    monkeypatch.setattr(verdict, "LARGEST_RATIO", 1.0)
    report = register_pair(fixed, moving, model, RegistrationOptions(device="cpu")).report
    assert any("enlarges the volume" in text and "Choose a larger smoothness" in text for text in report.warnings)


def test_a_registration_by_features_tells_its_progress_and_can_be_cancelled(model, a_pair):
    moving, fixed = (Image(tensor[0, 0].numpy(), GRID) for tensor in a_pair)
    told = []

    def cancel(fraction, text):
        if text.startswith("Optimising"):
            told.append(fraction)
        if text.startswith("Optimising at 1/2"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        register_pair(fixed, moving, model, RegistrationOptions(device="cpu"), progress=cancel)
    assert len(told) > 2 and told == sorted(told)
