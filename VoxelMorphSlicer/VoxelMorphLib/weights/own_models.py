"""The user's own models: copied into the cache folder and listed in its catalogue for every interface to offer."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import ConfigError, OutputError
from ..core.io.files import check_writable, make_folder, replacing
from ..core.io.locks import locked
from ..core.io.paths import is_file
from .architectures import OPTIMISE
from .catalogue import CATALOGUE_NAME, load_catalogue
from .entry import ModelEntry
from .folders import BUNDLED_FOLDER, default_cache_folder
from .store import sha256_of

#: How long to wait for others that change the list.
_TURN_S = 60.0


def add_to_catalogue(entry: ModelEntry, path: str | Path, replace: bool = False) -> ModelEntry:
    """Add a model to the user's catalogue; its file is copied, so that the original may be moved or deleted.

    Args:
        entry: of the model; its file, size and checksum are found here.
        path: the weights file.
        replace: whether to replace an own model of that id.

    Returns:
        The entry as it stands in the catalogue.

    Raises:
        ConfigError: the id is taken, or the user's catalogue is damaged.
        OutputError: the cache folder cannot be written; the catalogue is as it was.
        WeightsError: the file cannot be read.
    """
    path, folder = Path(path), default_cache_folder()
    check_id(entry.id, replace)
    checksum = sha256_of(path)
    # The name follows the contents: an older file of the same id stays intact until nothing names it.
    name = f"{entry.id}-{checksum[:8]}{path.suffix}"
    entry = dataclasses.replace(entry, file=name, url=None, bytes=path.stat().st_size, sha256=checksum)
    _make_cache(folder)
    with _alone(folder):
        check_id(entry.id, replace)  # again: others may have added one meanwhile
        own = _own_models(folder)
        with replacing(folder / name, path.stat().st_size) as file:
            shutil.copyfile(path, file)
        older = own.get(entry.id)
        _write(folder, {**own, entry.id: entry})
        if older is not None and older.file != name:
            (folder / str(older.file)).unlink(missing_ok=True)
    return entry


def remove_from_catalogue(name: str) -> None:
    """Remove a model from the user's catalogue, and its file.

    Raises:
        ConfigError: there is no own model of that id, or the user's catalogue is damaged.
        OutputError: the file cannot be removed, or the catalogue cannot be written; the model stays listed then.
    """
    folder = default_cache_folder()
    with _alone(folder):
        own = _own_models(folder)
        if name not in own:
            raise ConfigError(f"{name!r} is no model of yours. Choose one of {', '.join(own) or 'none'}.")
        path = folder / str(own.pop(name).file)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path} cannot be removed ({error.strerror}). Close what uses it.") from error
        _write(folder, own)


def is_own(name: str) -> bool:
    """Whether a model is in the user's own catalogue.

    Raises:
        ConfigError: that catalogue is damaged, or there is no folder for it.
    """
    return name in _own_models(default_cache_folder())


def check_id(name: str, replace: bool = False) -> None:
    """Make sure that an own model may have an id.

    Raises:
        ConfigError: it is not an id or is taken, or the user's catalogue is damaged.
    """
    ModelEntry(name, "title", "description", OPTIMISE)  # knows which texts are ids
    if name in load_catalogue(BUNDLED_FOLDER / CATALOGUE_NAME):
        raise ConfigError(f"The extension itself has a model {name!r}. Give yours another id.")
    if name in _own_models(default_cache_folder()) and not replace:
        raise ConfigError(f"You already have a model {name!r}. Give this one another id, or ask to replace it.")


def check_addition(name: str, replace: bool = False) -> None:
    """Make sure, before a long training, that its model can be added under an id; makes the folder of models.

    Raises:
        ConfigError: as `check_id`.
        OutputError: the folder of models cannot be written.
    """
    check_id(name, replace)
    folder = default_cache_folder()
    _make_cache(folder)
    check_writable(folder / CATALOGUE_NAME)


def _own_models(folder: Path) -> dict[str, ModelEntry]:
    path = folder / CATALOGUE_NAME
    return load_catalogue(path) if is_file(path) else {}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process change the list between reading and writing it."""
    with locked(folder / f"{CATALOGUE_NAME}.lock", _TURN_S) as is_alone:
        if not is_alone:
            raise OutputError(f"Another program has been changing the models in {folder} for long. Try again later.")
        yield


def _make_cache(folder: Path) -> None:
    make_folder(folder, "Set VXM_CACHE to another one.", "The folder of models")


def _write(folder: Path, entries: dict[str, ModelEntry]) -> None:
    content = {"models": [entry.to_dict() for entry in entries.values()]}
    with replacing(folder / CATALOGUE_NAME) as file:
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
