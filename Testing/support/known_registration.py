"""A registration of two nodes whose warp is known exactly, as the pipeline would return it."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField
from VoxelMorphLib.registration.result import RegistrationReport

from support.volumes import CENTRE, a_geometry, rotation, smooth_displacement

REPORT = RegistrationReport(
    model="optimise", model_title="Optimise this pair", device="cpu", seconds={"load": 0.5, "total": 12.5}
)


def a_rigid_matrix(angle_deg, shift):
    """(4, 4), a rotation about `CENTRE`, then a shift in mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((3, 1, -1), angle_deg)
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + shift
    return matrix


@functools.cache
def known_forward(amplitude_mm: float = 1.5) -> CompositeTransform:
    """World of the fixed image -> world of the moving image: slow waves, then a small rigid motion.

    The waves are sampled every 1.2 mm on a grid wider than the volumes of `support.volumes`.
    """
    grid = a_geometry("RAS", (48, 46, 44), 1.2)
    waves = DisplacementField(smooth_displacement(grid.points(), amplitude_mm), grid)
    return CompositeTransform((waves, AffineTransform(a_rigid_matrix(6, (2.0, -1.0, 0.5)))))


@functools.cache
def known_inverse(amplitude_mm: float = 1.5) -> CompositeTransform:
    """The way back of `known_forward`."""
    return known_forward(amplitude_mm).inverse()


def known_registration(fixed, moving, amplitude_mm: float = 1.5) -> SimpleNamespace:
    """What `register` would return for two volume nodes as the scene shows them."""
    forward = known_forward(amplitude_mm)
    image = image_from_node(moving)
    return SimpleNamespace(
        moved=forward.resample(image, image_from_node(fixed).geometry, background=0),
        forward=forward,
        inverse=known_inverse(amplitude_mm),
        report=REPORT,
    )
