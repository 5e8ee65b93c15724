"""Fixtures of the tests of files."""

from support.volumes import any_geometry

__all__ = ["any_geometry"]
