"""The headless Slicer scene for every test of this folder, and a registered pair in it."""

from __future__ import annotations

import pytest
from slicer_standin.headless import application, scene

__all__ = ["application", "scene"]


@pytest.fixture
def volumes(scene):
    """Fixed and moving volume node on different grids, under no parent."""
    from support.mrml_nodes import add_volume
    from support.volumes import a_blob_image, a_geometry

    fixed = add_volume(a_blob_image(a_geometry("oblique", (16, 14, 12))), "fixed")
    moving = add_volume(a_blob_image(a_geometry("LAS", (22, 20, 18)), seed=1), "moving")
    return fixed, moving


@pytest.fixture
def registered(volumes):
    """The outputs of a registration of `volumes` with a known warp: moved, forward, inverse."""
    from support.known_registration import known_registration
    from VoxelMorphLib.bridge.scene.result_nodes import write_registration

    return write_registration(known_registration(*volumes), *volumes)


@pytest.fixture
def logic():
    """The module's logic without its widget."""
    from VoxelMorphLib.bridge.logic import VoxelMorphLogic

    return VoxelMorphLogic()


@pytest.fixture
def evaluate(logic, volumes, registered):
    """Evaluates the registered pair and reads the table: (measure, structure) -> (before, after, unit)."""
    from support.results_rows import read

    return lambda **inputs: read(logic.evaluate(*volumes, registered["moved"], registered["forward"], **inputs))


@pytest.fixture
def segmentations(volumes):
    """The organs of `support.organs` in the scene."""
    from support.organs import organs

    return organs()
