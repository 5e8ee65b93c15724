"""Similarities: which one a pair gets, and that every pull is the slope of its energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.errors import ConfigError
from VoxelMorphLib.registration import texture
from VoxelMorphLib.registration.network_space import encode
from VoxelMorphLib.registration.similarity import (
    SIMILARITIES,
    choose_similarity,
    histogram_distance,
    linearity,
    reduce_features,
)

GRID = a_geometry("RAS", (32, 28, 24), 1.2)


@pytest.fixture(scope="module")
def tissue() -> torch.Tensor:
    """(1, 1, 32, 28, 24), 0..1: blobs with fine waves, so that every intensity occurs."""
    blob = encode(a_blob_image(GRID), GRID, NetworkSpace(intensity="percentile"))
    waves = torch.sin(torch.arange(32.0)).view(1, 1, -1, 1, 1) * torch.cos(torch.arange(28.0)).view(1, 1, 1, -1, 1)
    return (blob * (0.8 + 0.2 * waves)).clamp(0, 1)


def of_another_contrast(tissue: torch.Tensor) -> torch.Tensor:
    """Bright where the tissue is of middle intensity, dark at both ends, zero in the background."""
    return torch.where(tissue > 0.05, 1 - (2 * tissue - 1).abs(), 0 * tissue)


def test_one_contrast_gets_local_correlation_inverted_or_not(tissue) -> None:
    inverted = torch.where(tissue > 0.05, 1.1 - tissue, 0 * tissue).clamp(0, 1)
    for other in (tissue.roll(1, 2), 0.7 * tissue, inverted, 1 - tissue):
        assert choose_similarity("auto", tissue, other)[0].name == "ncc"
        assert choose_similarity("auto", 1 - tissue, other)[0].name == "ncc"


def test_different_contrasts_get_descriptors_and_the_reason_says_so(tissue) -> None:
    other = of_another_contrast(tissue)
    for pair in ((tissue, other), (other, tissue), (1 - tissue, other)):
        chosen, reason = choose_similarity("auto", *pair)
        assert chosen.name == "mind"
        assert "different contrasts" in reason
        assert "linearity 0." in reason


def test_bright_surroundings_are_no_contents(tissue) -> None:
    """They are alike in any two inverted images, as air is in any others."""
    wide = [torch.nn.functional.pad(image, (16,) * 6) for image in (tissue, of_another_contrast(tissue))]
    for pair in (wide, [1 - image for image in wide]):
        assert choose_similarity("auto", *pair)[0].name == "mind"


def test_the_figures_do_not_depend_on_contrast_and_brightness(tissue) -> None:
    assert linearity(tissue, 0.2 + 0.6 * tissue) > 0.97
    assert linearity(tissue, of_another_contrast(tissue)) < 0.5
    assert histogram_distance(tissue, 0.2 + 0.6 * tissue) < 0.02
    assert histogram_distance(tissue, tissue.square().square()) > 0.09


def test_a_binary_image_cannot_have_what_needs_grey_values(tissue) -> None:
    binary = (tissue > 0.5).float()
    assert choose_similarity("auto", binary, tissue)[0].name == "mse"
    for name in ("ncc", "mind", "mi"):
        with pytest.raises(ConfigError, match=f"similarity {name} needs grey values, and the moving"):
            choose_similarity(name, tissue, binary)


def test_the_reason_tells_the_name(tissue) -> None:
    for name in SIMILARITIES:
        assert choose_similarity(name, tissue, tissue)[0].name == name
    assert choose_similarity("auto", tissue, of_another_contrast(tissue))[0].name == "mind"


def test_an_unknown_similarity_is_refused(tissue) -> None:
    with pytest.raises(ConfigError, match="'sum' does not exist; choose auto or one of ncc, mind, mse, mi"):
        choose_similarity("sum", tissue, tissue)


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("masked", [False, True])
def test_the_pull_is_the_slope_of_the_energy(name, masked, tissue) -> None:
    similarity = SIMILARITIES[name]
    fixed, moved = (similarity.features(i[..., :16, :16, :16]).double().float() for i in (tissue, tissue.roll(1, 3)))
    mask = None
    if masked:
        mask = torch.ones_like(fixed[:, :1])
        mask[..., 10:, :, :] = 0
    pull = similarity.against(fixed)
    _energy, slope = pull(moved, mask)
    ahead = torch.randn(moved.shape, generator=torch.Generator().manual_seed(0)) * 1e-2
    ahead = torch.where((moved > 0.2 * moved.max()) & (moved < 0.8 * moved.max()), ahead, 0 * ahead)  # keep the range
    difference = float(pull(moved + ahead, mask)[0] - pull(moved - ahead, mask)[0]) / 2
    assert difference == pytest.approx(float((slope * ahead).sum()), rel=0.05, abs=2e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_windows_around_every_other_voxel_pull_like_those_around_all(masked, tissue, monkeypatch) -> None:
    fixed, moved = (SIMILARITIES["ncc"].features(image) / 0.1 for image in (tissue, tissue.roll(1, 3)))
    mask = torch.ones_like(fixed) if masked else None
    if mask is not None:
        mask[..., 20:, :, :] = 0
    energy, slope = SIMILARITIES["ncc"].against(fixed)(moved, mask)
    monkeypatch.setattr(texture, "DENSE", 0)
    pull = SIMILARITIES["ncc"].against(fixed)
    sparse_energy, sparse_slope = pull(moved, mask)
    assert float(sparse_energy) == pytest.approx(float(energy), rel=0.05) and sparse_energy != energy
    assert torch.nn.functional.cosine_similarity(sparse_slope.flatten(), slope.flatten(), dim=0) > 0.9
    ahead = 1e-2 * torch.randn(moved.shape, generator=torch.Generator().manual_seed(0))
    difference = float(pull(moved + ahead, mask)[0] - pull(moved - ahead, mask)[0]) / 2
    assert difference == pytest.approx(float((sparse_slope * ahead).sum()), rel=0.05, abs=2e-3)


def test_reduced_features_are_means_of_blocks() -> None:
    image = torch.arange(64.0).view(1, 1, 4, 4, 4)
    reduced = reduce_features(image, (2, 4, 1))
    np.testing.assert_allclose(reduced[0, 0, 0, 0], image[0, 0, :2, :, :].mean((0, 1)))


@pytest.mark.parametrize("shape", [(48, 48, 1), (1, 48, 48)])
def test_chance_agrees_as_little_in_slices_as_in_volumes(shape):
    slices, volumes = (chance_agreement(each) for each in (shape, (24, 24, 24)))
    assert 0 < slices < 1.1 * volumes


def chance_agreement(shape: tuple[int, ...]) -> float:
    """Mean squared local correlation of two images of strong noise."""
    one, other = 3 * torch.randn((2, 1, 1, *shape), generator=torch.Generator().manual_seed(0))
    energy, _slope = SIMILARITIES["ncc"].against(one)(other, None)
    return -2 * float(energy) / one.numel()
