"""The child process of `itk_apart`: reads one transform file and answers on its standard output."""

from __future__ import annotations

import json
import os
import sys

from ..errors import GeometryError
from .itk_apart import grid_of, write_answer
from .itk_transforms import read_here


def main(path: str, grid: str = "") -> None:
    """Answer for a file and a grid in JSON for splines; whatever ITK and HDF5 print goes to the standard error."""
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)
        try:
            write_answer(read_here(path, fixed=grid_of(json.loads(grid)) if grid else None), answer)
        except GeometryError as error:
            answer.write(json.dumps([{"error": str(error)}]).encode("ascii") + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
