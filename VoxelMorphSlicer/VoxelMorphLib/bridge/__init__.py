"""MRML scene to library objects and back; the only package that may import slicer or vtk."""
