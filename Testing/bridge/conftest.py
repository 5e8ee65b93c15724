"""The headless Slicer scene for every test of this folder."""

from support.mrml_scene import application, scene

__all__ = ["application", "scene"]
