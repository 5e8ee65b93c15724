"""Grids of every handedness for every test of this folder."""

from support.volumes import any_geometry

__all__ = ["any_geometry"]
