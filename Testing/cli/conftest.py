"""The headless Slicer scene for every test of this folder."""

from slicer_standin.headless import application, scene

__all__ = ["application", "scene"]
