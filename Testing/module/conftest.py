"""The module file of the extension, loaded over a real MRML scene with stand-ins for Slicer's base classes."""

from __future__ import annotations

import importlib.util
import sys
import types
import unittest

import pytest
from support.mrml_scene import application, scene
from support.shared_data import REPOSITORY

__all__ = ["application", "module", "scene"]


class _Module:
    def __init__(self, parent):
        self.parent = parent


class _Widget:
    def __init__(self, parent=None):
        self.parent = parent


@pytest.fixture
def module(scene, monkeypatch):
    """VoxelMorphSlicer.py as a Python module."""
    bases = {
        "ScriptedLoadableModule": _Module,
        "ScriptedLoadableModuleWidget": _Widget,
        "ScriptedLoadableModuleLogic": object,
        "ScriptedLoadableModuleTest": unittest.TestCase,
    }
    translation = {"tr": lambda text: text, "translate": lambda context, text: text}
    for name, content in (("ScriptedLoadableModule", bases), ("i18n", translation)):
        stand_in = types.ModuleType(f"slicer.{name}")
        vars(stand_in).update(content)
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    path = REPOSITORY / "VoxelMorphSlicer" / "VoxelMorphSlicer.py"
    spec = importlib.util.spec_from_file_location("VoxelMorphSlicer", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
