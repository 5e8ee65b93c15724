"""Centres of feature maps made by hand: known motions come back, features without contents do no harm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from VoxelMorphLib.core.affine import invert_affine
from VoxelMorphLib.core.affine_parameters import affine_to_parameters, parameters_to_affine
from VoxelMorphLib.core.displacement import compose
from VoxelMorphLib.networks.affine_head import align_features

SHAPE = {2: (40, 48), 3: (32, 40, 36)}
#: Shift, rotation in degrees, scale, shear.
MOTION = {
    2: [2.0, -3.0, 12.0, 1.1, 0.9, 0.1],
    3: [2.0, -3.0, 1.5, 12.0, -8.0, 5.0, 1.1, 0.9, 1.05, 0.1, -0.05, 0.08],
}


def points(ndims: int, count: int = 9) -> Tensor:
    """(1, P, N), voxels from the middle."""
    generator = torch.Generator().manual_seed(3)
    extents = torch.tensor(SHAPE[ndims], dtype=torch.float64)
    return (torch.rand(1, count, ndims, generator=generator, dtype=torch.float64) - 0.5) * extents * 0.4


def blobs(centres: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B, P, *shape): one Gaussian of 1.5 voxels about every centre (B, P, N)."""
    axes = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    offsets = grid - centres.reshape(*centres.shape, *[1] * len(shape))
    return torch.exp(-(offsets**2).sum(2) / (2 * 1.5**2)).float()


def moved_by(matrix: Tensor, centres: Tensor) -> Tensor:
    return centres @ matrix[..., :-1].mT + matrix[..., -1:].mT


def motion(ndims: int, count: int | None = None) -> Tensor:
    return parameters_to_affine(torch.tensor([MOTION[ndims][:count]], dtype=torch.float64), ndims)


@pytest.mark.parametrize("ndims", [2, 3])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_known_affine_motion_comes_back(ndims, weighted):
    truth, fixed = motion(ndims), points(ndims)
    maps = [blobs(moved_by(truth, fixed), SHAPE[ndims]), blobs(fixed, SHAPE[ndims])]
    found = align_features(*maps, SHAPE[ndims], weighted)
    assert found.dtype == torch.float64
    assert torch.allclose(found, truth, atol=2e-3)


@pytest.mark.parametrize("ndims", [2, 3])
def test_a_known_rigid_motion_comes_back(ndims):
    count = ndims * (ndims + 1) // 2
    truth, fixed = motion(ndims, count), points(ndims)
    found = align_features(
        blobs(moved_by(truth, fixed), SHAPE[ndims]), blobs(fixed, SHAPE[ndims]), SHAPE[ndims], rigid=True
    )
    assert torch.allclose(found, truth, atol=2e-3)


def test_rigid_leaves_no_scale_and_shear():
    truth, fixed = motion(3), points(3)
    found = align_features(blobs(moved_by(truth, fixed), SHAPE[3]), blobs(fixed, SHAPE[3]), SHAPE[3], rigid=True)
    identity = torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)
    assert torch.allclose(affine_to_parameters(found)[0, 6:], identity, atol=1e-9)
    assert torch.allclose(found[0, :, :3] @ found[0, :, :3].T, torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_exchanged_images_give_the_inverse():
    truth, fixed = motion(3), points(3)
    maps = [blobs(moved_by(truth, fixed) + 0.3 * torch.rand(fixed.shape), SHAPE[3]), blobs(fixed, SHAPE[3])]
    product = compose([align_features(*maps, SHAPE[3]), align_features(*maps[::-1], SHAPE[3])])
    assert torch.allclose(product, torch.eye(3, 4, dtype=torch.float64), atol=1e-2)


def test_coarse_features_align_the_images_they_cover():
    """Maps at a quarter of the resolution still give voxels of the images."""
    fixed = points(2)
    shift = torch.tensor([[[1.0, -2.0]]], dtype=torch.float64)
    found = align_features(blobs(fixed + shift, SHAPE[2]), blobs(fixed, SHAPE[2]), [4 * n for n in SHAPE[2]])
    assert torch.allclose(found[0, :, 2], 4 * shift[0, 0], atol=0.01)


@pytest.mark.parametrize("rigid", [True, False])
@pytest.mark.parametrize("dead", ["both", "moving", "fixed"])
def test_features_without_contents_give_the_identity(dead, rigid):
    maps = {name: blobs(points(3), SHAPE[3]) for name in ("moving", "fixed")}
    for name in maps if dead == "both" else [dead]:
        maps[name] = torch.zeros_like(maps[name])
    found = align_features(maps["moving"], maps["fixed"], SHAPE[3], rigid=rigid)
    assert torch.equal(found[0], torch.eye(3, 4, dtype=torch.float64))


def test_constant_features_give_a_translation_at_most():
    found = align_features(torch.ones(1, 5, 8, 8), torch.ones(1, 5, 8, 8), (32, 32))
    assert torch.allclose(found[0], torch.eye(2, 3, dtype=torch.float64), atol=1e-4)


def test_a_feature_that_one_image_lacks_is_ignored():
    truth, fixed = motion(3), points(3)
    maps = [blobs(moved_by(truth, fixed), SHAPE[3]), blobs(fixed, SHAPE[3])]
    maps[0][:, 2] = 0
    assert torch.allclose(align_features(*maps, SHAPE[3]), truth, atol=2e-3)
    assert not torch.allclose(align_features(*maps, SHAPE[3], weighted=False), truth, atol=0.05)


def test_one_dead_pair_leaves_the_others_of_its_batch():
    truth, fixed = motion(2), points(2)
    moving, fixed_maps = blobs(moved_by(truth, fixed), SHAPE[2]), blobs(fixed, SHAPE[2])
    batch = [torch.cat([torch.zeros_like(maps), maps]) for maps in (moving, fixed_maps)]
    found = align_features(*batch, SHAPE[2])
    assert torch.equal(found[0], torch.eye(2, 3, dtype=torch.float64))
    assert torch.allclose(found[1:], truth, atol=2e-3)


@pytest.mark.parametrize("rigid", [True, False])
def test_gradients_of_dead_features_are_finite(rigid):
    moving = torch.cat([torch.zeros(1, 9, *SHAPE[2]), blobs(points(2) + 1, SHAPE[2])]).requires_grad_()
    fixed = torch.cat([torch.zeros(1, 9, *SHAPE[2]), blobs(points(2), SHAPE[2])])
    align_features(moving, fixed, SHAPE[2], rigid=rigid).square().sum().backward()
    assert moving.grad.isfinite().all()
    assert moving.grad[1].abs().max() > 0


def test_half_precision_features_are_summed_in_full_precision():
    truth, fixed = motion(3), points(3)
    maps = [blobs(moved_by(truth, fixed), SHAPE[3]), blobs(fixed, SHAPE[3])]
    with torch.autocast("cpu", torch.bfloat16):
        found = align_features(*[x.bfloat16() for x in maps], SHAPE[3])
    assert torch.allclose(found, truth, atol=0.1)
    assert torch.allclose(invert_affine(found), invert_affine(truth), atol=0.1)
