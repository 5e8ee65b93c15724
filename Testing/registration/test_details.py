"""A network on coarse voxels whose registration looks at the images in detail too."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.volumes import a_blob_image, a_geometry
from torch.nn.functional import avg_pool3d
from VoxelMorphLib.core.config import NetworkSpace
from VoxelMorphLib.core.progress import silent
from VoxelMorphLib.core.transform import IDENTITY
from VoxelMorphLib.networks.borders import VxmBorderDetector
from VoxelMorphLib.networks.fields import FieldPair
from VoxelMorphLib.registration.alignment import align
from VoxelMorphLib.registration.features import FeatureRegistrar
from VoxelMorphLib.registration.predictor import Predictor
from VoxelMorphLib.weights.catalogue import find_entry


class Seen:
    """A network that moves nothing and keeps what it was shown."""

    def __call__(self, moving, fixed, details, progress):
        self.images, self.details = (moving, fixed), details
        still = torch.zeros(1, 3, *fixed.shape[2:])
        return FieldPair(None, still, still)


def a_predictor(voxel_size: float | None, by_features: bool = True) -> Predictor:
    space = NetworkSpace(voxel_size=voxel_size, intensity="percentile")
    entry = replace(find_entry("hippocampus-T1"), space=space)
    network = VxmBorderDetector(features=((4,), (4, 4)), conv_per_level=1)
    return Predictor(entry, "cpu", Seen(), by_features=FeatureRegistrar(network) if by_features else None)


@pytest.mark.parametrize("name", ["RAS", "LAS", "oblique"])
def test_details_lie_where_the_images_do(name):
    fixed, moving = (a_blob_image(a_geometry(name, (26, 22, 24), 1.0), seed) for seed in (0, 1))
    predictor = a_predictor(2.0)
    alignment = align(fixed, moving, IDENTITY, predictor, silent)
    shown = predictor.predict
    for image, detail in zip(shown.images, shown.details):
        assert detail.shape[2:] == tuple(2 * n for n in image.shape[2:])
        assert (avg_pool3d(detail, 2) - image).abs().max() < 0.1 * image.max()
    centre = fixed.geometry.centre
    assert abs(alignment.forward.apply_to_points(centre) - centre).max() < 1e-6


@pytest.mark.parametrize(
    ("voxel_size", "spacing", "by_features", "detail"),
    [(2.0, 1.0, True, 2), (2.0, 1.5, True, 1), (2.0, 1.0, False, 1), (None, 1.0, True, 1)],
)
def test_there_are_details_where_the_images_are_finer_than_the_network(voxel_size, spacing, by_features, detail):
    fine, coarse = (a_blob_image(a_geometry("RAS", (24, 24, 24), size)) for size in (spacing, 3.0))
    predictor = a_predictor(voxel_size, by_features)
    assert predictor.detail(fine, coarse) == predictor.detail(coarse, fine) == detail
    align(fine, fine, IDENTITY, predictor, silent)
    assert (predictor.predict.details is None) == (detail == 1)
