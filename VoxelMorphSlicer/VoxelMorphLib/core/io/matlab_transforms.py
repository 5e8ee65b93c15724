"""ITK transforms in MATLAB 4 files, which ITK reads without checking their lengths -> ITK's own text form."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from ..errors import GeometryError

#: Version that `matfile_version` tells of the files that ITK writes.
MATLAB_4 = 0
#: Text by which ITK knows its text files.
FIRST_LINE = "#Insight Transform File V1.0"
#: ITK's linear transforms have at most 3 x 4 parameters and as many fixed ones.
MOST_NUMBERS = 16


def matlab_as_text(path: Path) -> str:
    """The content of a .mat file as that of a .tfm file.

    Raises:
        GeometryError: damaged file, or no linear transforms in it.
    """
    arrays = _arrays(path)
    lines = [FIRST_LINE]
    for number, ((name, parameters), (label, fixed)) in enumerate(zip(arrays[::2], arrays[1::2])):
        if label != "fixed" or max(parameters.size, fixed.size) > MOST_NUMBERS:
            raise GeometryError(f"{path} holds no linear transforms alone. Export it as .h5 or .tfm.")
        lines += [f"#Transform {number}", f"Transform: {name}"]
        lines += [f"Parameters: {_text(parameters, path)}", f"FixedParameters: {_text(fixed, path)}"]
    return "\n".join(lines) + "\n"


def _arrays(path: Path) -> list[tuple[str, np.ndarray]]:
    from scipy.io import loadmat
    from scipy.io.matlab import matfile_version

    try:
        if matfile_version(path)[0] != MATLAB_4:
            raise GeometryError(f"{path} is a MATLAB file, but none that ITK wrote. Export the transform as .tfm.")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # "returned data may be corrupt"
            arrays = list(loadmat(path, mat_dtype=True).items())
    except GeometryError:
        raise
    except Exception as cause:  # the reader's own errors, and whatever numpy says to impossible sizes
        raise GeometryError(f"{path} is damaged or not an ITK transform file. Export it again.") from cause
    if not arrays or len(arrays) % 2:
        raise GeometryError(f"{path} is damaged or not an ITK transform file. Export it again.")
    return arrays


def _text(numbers: np.ndarray, path: Path) -> str:
    if numbers.dtype.kind != "f" or not np.isfinite(numbers).all():
        raise GeometryError(f"{path} is damaged: it holds something else than finite numbers. Export it again.")
    return " ".join(repr(float(number)) for number in numbers.ravel())
