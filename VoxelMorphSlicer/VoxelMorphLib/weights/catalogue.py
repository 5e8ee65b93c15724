"""The catalogue of models: models.json of the extension and the user's own, read into ModelEntry objects."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from ..core.errors import ConfigError
from .entry import ModelEntry
from .folders import BUNDLED_FOLDER, default_cache_folder

#: Name of a catalogue file, in the extension and in the cache folder.
CATALOGUE_NAME = "models.json"


def load_catalogue(path: str | Path | None = None) -> dict[str, ModelEntry]:
    """Read the models by id, in the order of the file.

    Args:
        path: one catalogue file; None takes the extension's, then the user's in the cache folder if there is one.

    Raises:
        ConfigError: a file cannot be read, or an entry is wrong or occurs twice.
    """
    if path is not None:
        return _read(Path(path))
    catalogue = _read(BUNDLED_FOLDER / CATALOGUE_NAME)
    own = default_cache_folder() / CATALOGUE_NAME
    for name, entry in (_read(own) if own.is_file() else {}).items():
        if name in catalogue:
            raise ConfigError(f"{own} has a model {name!r}, which the extension has too. Give yours another id.")
        catalogue[name] = entry
    return catalogue


def find_entry(name: str, catalogue: dict[str, ModelEntry] | None = None) -> ModelEntry:
    """The entry of an id.

    Raises:
        ConfigError: no such id; the message lists all and suggests the closest.
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    if name in catalogue:
        return catalogue[name]
    near = difflib.get_close_matches(name, catalogue, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"There is no model {name!r}.{hint} Give a weights file or one of: {', '.join(catalogue)}.")


def _read(path: Path) -> dict[str, ModelEntry]:
    entries: dict[str, ModelEntry] = {}
    for values in _rows(path):
        try:
            entry = ModelEntry.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        if entry.id in entries:
            raise ConfigError(f"{path} has two models {entry.id!r}. Give one of them another id.")
        entries[entry.id] = entry
    return entries


def _rows(path: Path) -> list:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"The model catalogue {path} cannot be read ({error}). Correct or replace it.") from error
    if not isinstance(content, dict) or set(content) != {"models"} or not isinstance(content["models"], list):
        raise ConfigError(f"The model catalogue {path} must be an object whose only key, models, is a list.")
    return content["models"]
