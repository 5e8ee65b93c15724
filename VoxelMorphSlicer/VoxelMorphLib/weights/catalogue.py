"""The catalogue of models: models.json of the extension and the user's own, read into ModelEntry objects."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import AccessError, ConfigError
from ..core.io.paths import is_file
from .entry import ModelEntry
from .folders import BUNDLED_FOLDER, default_cache_folder

#: Name of a catalogue file, in the extension and in the cache folder.
CATALOGUE_NAME = "models.json"
#: Chosen when the user names no model: it needs no weights and no network connection.
DEFAULT_MODEL = "optimise"


def load_catalogue(path: str | Path | None = None) -> dict[str, ModelEntry]:
    """Read the models by id, in the order of the file.

    Args:
        path: one catalogue file; None takes the extension's, then what can be used of the user's in the cache folder.

    Raises:
        ConfigError: a file cannot be read, or an entry is wrong or occurs twice; of the user's own catalogue only where
            it is the one asked for.
    """
    if path is None:
        return _read_all()[0]
    catalogue, problems = _read(Path(path), {})
    if problems:
        raise ConfigError(problems[0])
    return catalogue


def catalogue_problems() -> list[str]:
    """What cannot be used of the user's own catalogue, one sentence each."""
    return _read_all()[1]


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
    hint += "".join(f" {problem}" for problem in catalogue_problems()[:1])
    raise ConfigError(f"There is no model {name!r}.{hint} Give a weights file or one of: {', '.join(catalogue)}.")


def _read_all() -> tuple[dict[str, ModelEntry], list[str]]:
    """All models that can be used, and what cannot be used of the user's own."""
    bundled = load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME)
    try:
        path = default_cache_folder() / CATALOGUE_NAME
        own, problems = _read(path, bundled) if is_file(path) else ({}, [])
    except (AccessError, ConfigError) as error:  # the bundled models need neither home nor cache
        own, problems = {}, [str(error)]
    return {**bundled, **own}, problems


def _read(path: Path, taken: Mapping[str, ModelEntry]) -> tuple[dict[str, ModelEntry], list[str]]:
    """The entries of a file that can be used, and why the others cannot."""
    entries: dict[str, ModelEntry] = {}
    problems = []
    for values in _rows(path):
        try:
            entry = ModelEntry.from_dict(values)
        except ConfigError as error:
            problems.append(f"{path}: {error}")
            continue
        if entry.id in taken:
            problems.append(f"{path} has a model {entry.id!r}, which the extension has too. Give yours another id.")
        elif entry.id in entries:
            problems.append(f"{path} has two models {entry.id!r}. Give one of them another id.")
        else:
            entries[entry.id] = entry
    return entries, problems


def _rows(path: Path) -> list:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"The model catalogue {path} cannot be read ({error}). Correct or replace it.") from error
    if not isinstance(content, dict) or set(content) != {"models"} or not isinstance(content["models"], list):
        raise ConfigError(f"The model catalogue {path} must be an object whose only key, models, is a list.")
    return content["models"]
