"""Transforms applied to volumes, points, surfaces and streamlines, and turned into each other."""
