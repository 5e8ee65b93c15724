"""What tells the weights behind a model's name apart from those that were there before, without reading them."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from ..core.io.paths import is_file
from .catalogue import load_catalogue
from .folders import default_cache_folder


def model_identity(model: str | Path, weights_dir: Path | None = None) -> Hashable:
    """Changes when the catalogue's entry or the file that is used changes.

    Args:
        model: id of the catalogue or a weights file.
        weights_dir: folder that is searched before that of the downloads.
    """
    entry = load_catalogue().get(str(model)) if isinstance(model, str) else None
    if entry is None:
        return _file_state(Path(model)) or str(model)
    if entry.sha256 is not None or entry.file is None:
        return entry
    folders = [default_cache_folder()] if weights_dir is None else [Path(weights_dir), default_cache_folder()]
    return entry, tuple(_file_state(folder / entry.file) for folder in folders)


def _file_state(path: Path) -> Hashable | None:
    try:
        if not is_file(path):
            return None
        state = path.stat()
    except OSError:  # whoever needs the file says so
        return None
    return str(path.resolve()), state.st_mtime_ns, state.st_size
