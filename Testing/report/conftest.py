"""A made-up registration of two small blob volumes, so that reports are tested without running one."""

from __future__ import annotations

import numpy as np
import pytest
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from VoxelMorphLib.registration.result import Registration, RegistrationReport


@pytest.fixture(scope="session")
def fixed() -> Image:
    return a_blob_image(a_geometry("anisotropic", (26, 30, 14), 1.5))


@pytest.fixture(scope="session")
def moving() -> Image:
    return a_blob_image(a_geometry("left-handed oblique", (24, 28, 16), 1.6), seed=1)


@pytest.fixture(scope="session")
def forward(fixed: Image) -> Transform:
    shift = np.eye(4)
    shift[:3, 3] = 1.0, -0.5, 0.25
    field = DisplacementField(a_smooth_field(fixed.geometry), fixed.geometry)
    return CompositeTransform((field, AffineTransform(shift)))


@pytest.fixture(scope="session")
def a_registration(fixed: Image, moving: Image, forward: Transform) -> Registration:
    report = RegistrationReport(
        model="optimise",
        model_title="Optimised for this pair",
        device="cpu",
        options=RegistrationOptions(budget_s=42.5).to_dict(),
        seconds={"affine": 0.5, "network": 12.25},
        similarity_before=0.412,
        similarity_after=0.967,
        folded_percent=0.031,
        jacobian_min=-0.125,
        jacobian_max=2.5,
        inverse_residual_mm=0.017,
        warnings=("31 voxels fold. Use a smoother field.",),
        fixed=str(fixed.geometry),
        moving=str(moving.geometry),
    )
    return Registration(forward.resample(moving, fixed.geometry), forward, forward.inverse(), report)
