#!/usr/bin/env python-real
"""Write a template: Slicer's command line module, and the same from any shell (`--help` lists the options)."""

import os
import sys
from pathlib import Path


def _library_folder():
    """Where VoxelMorphLib lies in a source tree, beside this file, or in an installed extension."""
    here = Path(__file__).resolve().parent
    # In build trees of Visual Studio and Xcode a folder per configuration lies between.
    candidates = (here.parent, here, *(parent / "qt-scripted-modules" for parent in (here.parent, here.parent.parent)))
    for folder in candidates:
        if (folder / "VoxelMorphLib" / "__init__.py").is_file():
            return str(folder)
    looked_in = ", ".join(map(str, candidates))
    sys.exit(f"Error: VoxelMorphLib is not in {looked_in}. Install the VoxelMorph extension again.")


if __name__ == "__main__":
    sys.path.insert(0, _library_folder())
    os.environ["ITK_AUTOLOAD_PATH"] = ""  # Slicer's plug-in for images of its scene would load MRML and VTK
    try:
        from VoxelMorphLib.cli.template import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # while the library was loaded; later ones are heard there
        code = 130
    sys.exit(code)
