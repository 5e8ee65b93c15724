"""Fixtures of all tests of the core."""

from support.volumes import any_geometry

__all__ = ["any_geometry"]
