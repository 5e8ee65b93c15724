"""Checks that the stand-in keeps the rules of PythonQt and shows what Slicer's headers declare."""
