"""Fixtures of the tests of files."""

from slicer_standin.headless import application, scene
from support.volumes import any_geometry

__all__ = ["any_geometry", "application", "scene"]
