"""Qt stand-in, headless scene, module panels and workers for every test of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from slicer_standin.fixtures import a_module_widget, application, dialogs, scene
from support.panel_runs import attended, cache, during, hierarchy, panel, ready, real, scripted, the_library, volumes
from support.sequences import sequences
from support.shared_data import MODULE_FILE

__all__ = [
    "a_module_widget",
    "application",
    "attended",
    "cache",
    "dialogs",
    "during",
    "hierarchy",
    "module_file",
    "panel",
    "ready",
    "real",
    "scene",
    "scripted",
    "sequences",
    "the_library",
    "volumes",
]


@pytest.fixture(scope="session")
def module_file() -> Path:
    """The module that `a_module_widget()` opens."""
    return MODULE_FILE
