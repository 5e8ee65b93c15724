"""VoxelMorph registration library bundled with the 3D Slicer extension; importing it loads nothing heavy."""

__version__ = "0.1.0"
