"""Which folders make up the package; everything else about it stands in pyproject.toml."""

from setuptools import find_packages, setup

LIBRARY = "VoxelMorphSlicer"
#: The bundled weights lie beside the library, where Slicer installs them, and inside it where pip does.
BUNDLED = "VoxelMorphLib.weights.bundled"

setup(
    packages=[*find_packages(LIBRARY, exclude=["VoxelMorphLib.bridge*"]), BUNDLED],
    package_dir={"": LIBRARY, BUNDLED: f"{LIBRARY}/Resources/Weights"},
)
