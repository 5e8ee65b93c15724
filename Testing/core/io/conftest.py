"""Fixtures of the tests of files."""

from support.mrml_scene import application, scene
from support.volumes import any_geometry

__all__ = ["any_geometry", "application", "scene"]
