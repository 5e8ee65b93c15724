"""Runs inside the application: what was installed is complete and was found."""

from __future__ import annotations

import unittest
from pathlib import Path

import slicer


class InstalledExtensionTest(unittest.TestCase):
    def test_the_module_is_in_its_category(self):
        module = slicer.app.moduleManager().module("VoxelMorphSlicer")
        self.assertIsNotNone(module)
        self.assertIn("Registration", list(module.categories))

    def test_the_commands_are_modules(self):
        for name in ("voxelmorphregister", "voxelmorphtrain"):
            self.assertTrue(hasattr(slicer.modules, name), name)

    def test_the_panel_opens(self):
        self.assertIsNotNone(slicer.util.getModuleWidget("VoxelMorphSlicer").ui.registerButton)

    def test_the_catalogue_of_models_is_installed(self):
        models = slicer.util.getModuleLogic("VoxelMorphSlicer").models()
        self.assertIn("optimise", [entry.id for entry in models])

    def test_resources_lie_beside_the_module(self):
        resources = Path(slicer.util.modulePath("VoxelMorphSlicer")).parent / "Resources"
        for name in ("UI/VoxelMorphSlicer.ui", "Icons/VoxelMorphSlicer.png", "requirements.txt"):
            self.assertTrue((resources / name).is_file(), name)

    def test_templates_lie_beside_the_library(self):
        library = Path(slicer.util.modulePath("VoxelMorphSlicer")).parent / "VoxelMorphLib"
        self.assertTrue((library / "report" / "templates" / "base.html").is_file())
