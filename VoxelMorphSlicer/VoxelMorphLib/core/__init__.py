"""Geometry, images, transforms and the tensor mathematics that everything else rests on."""
