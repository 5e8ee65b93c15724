"""The module's file, loaded as the application does, over the Qt stand-in and a real scene."""

from __future__ import annotations

import sys

import pytest
from slicer_standin.fixtures import application, dialogs, scene
from support.shared_data import MODULE_FILE

__all__ = ["application", "dialogs", "module", "scene"]


@pytest.fixture
def module(scene, dialogs):
    """VoxelMorphSlicer.py as a Python module; its panel is not opened."""
    from slicer_standin.scripted_module import load_module, unload_module

    loaded = load_module(MODULE_FILE)
    yield sys.modules["VoxelMorphSlicer"]
    unload_module(loaded)
