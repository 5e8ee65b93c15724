"""Where weight files lie: inside the extension, and in a folder of the user."""

from __future__ import annotations

import os
from pathlib import Path

from ..core.errors import ConfigError
from ..core.io.paths import expanded, is_folder

_HERE = Path(__file__).resolve()
_BESIDE = _HERE.parents[2] / "Resources" / "Weights"
#: Catalogue and bundled weights: beside the library in the source tree and in the extension, inside it after pip.
BUNDLED_FOLDER = _BESIDE if is_folder(_BESIDE) else _HERE.parent / "bundled"


def default_cache_folder() -> Path:
    """Folder of downloaded weights: `VXM_CACHE` if set, else a visible one in the home folder; it may not exist yet.

    Raises:
        ConfigError: neither the variable nor a home folder exists.
    """
    chosen = os.environ.get("VXM_CACHE")
    if chosen:
        return expanded(chosen)
    try:
        return Path.home() / ".VoxelMorphSlicer" / "models"
    except RuntimeError as error:
        raise ConfigError("This account has no home folder. Set VXM_CACHE to a folder for models.") from error
