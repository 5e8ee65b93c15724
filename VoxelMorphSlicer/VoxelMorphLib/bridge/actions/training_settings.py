"""The options of a training: stored in a scene, passed to the command, and checked before it starts."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from ...core.errors import AccessError, ConfigError
from ...core.io.paths import is_file
from ...core.options import changed_options, options_of
from ...training.options import TrainingConfig
from ...training.recipes import DEFAULT_RECIPE, RECIPES, config_of_json, make_config

#: Where a training leaves its checkpoints; `training.checkpoint` has the same names, but imports torch.
CHECKPOINTS, BEST, LAST = "checkpoints", "best.pt", "last.pt"
#: The output folder has no default: the user has to choose one.
_UNCHOSEN = {"output_dir": ""}


def first_config() -> TrainingConfig:
    """The options before the user has chosen any."""
    return make_config(DEFAULT_RECIPE, _UNCHOSEN)


def settings_text(config: TrainingConfig) -> str:
    """The recipe and what differs from its defaults, as one JSON object to store in a scene."""
    values = {name: value for name, value in config.to_dict().items() if value != getattr(type(config), name)}
    return json.dumps({"recipe": config.recipe, **values})


def read_settings(text: str) -> TrainingConfig:
    """The options stored in a scene; an empty text gives the initial ones.

    Raises:
        ConfigError: the scene is of another version, or was edited.
    """
    return config_of_json(text, "of this scene") if text else first_config()


def with_recipe(config: TrainingConfig, recipe: str) -> TrainingConfig:
    """The same choices for another recipe; options that it does not have are dropped.

    Raises:
        ConfigError: a choice is not possible with that recipe.
    """
    kept = json.loads(settings_text(config))
    known = make_config(recipe, {}).to_dict()
    return make_config(recipe, {name: value for name, value in kept.items() if name in known})


def arguments_of(config: TrainingConfig, resume: bool = False) -> list[str]:
    """The train command's arguments; a resumed training keeps all options that they do not name.

    Args:
        config: with paths that may be relative to this process's folder.
        resume: continue the training in the output folder.
    """
    words = [] if resume and config.recipe == DEFAULT_RECIPE else [f"--recipe={config.recipe}"]
    words += [f"--{option.name}={text}" for option, text in changed_options(config.with_absolute_paths())]
    return [*words, "--resume"] if resume else words


def checkpoint_of(config: TrainingConfig) -> Path | None:
    """The best checkpoint in the output folder, or the last one where there is no best; None without any."""
    folder = Path(config.output_dir) / CHECKPOINTS
    found = [folder / name for name in (BEST, LAST) if config.output_dir and _has(folder / name)]
    return found[0] if found else None


def _has(path: Path) -> bool:
    """Whether there is a file; a folder that may not be entered is told when the training begins."""
    try:
        return is_file(path)
    except AccessError:
        return False


def missing_for_check(config: TrainingConfig) -> str:
    """Why the training cannot be checked; "" when it can."""
    if config.recipe == "instance" and not config.pair_list:
        return "Choose a list of pairs with one line under More options (pair_list)."
    if config.images != "files":
        return _missing_for_synthesis(config)
    if not (config.image_list or config.pair_list):
        return "Choose the images to train on."
    return f"The recipe {RECIPES[config.recipe].title!r} needs an atlas." if _lacks_atlas(config) else ""


def _missing_for_synthesis(config: TrainingConfig) -> str:
    try:
        config.check_sources()
    except ConfigError as error:
        return str(error)
    return "Choose the label maps to make images of." if config.images == "labels" and not config.label_list else ""


def missing_for_training(config: TrainingConfig) -> str:
    """Why no training can start; "" when one can."""
    if not config.output_dir:
        return "Choose an output folder."
    if _has(Path(config.output_dir) / CHECKPOINTS / LAST):
        return "The output folder holds a training already. Resume it, or choose another folder."
    return missing_for_check(config)


def missing_for_resume(config: TrainingConfig) -> str:
    """Why no training can be resumed; "" when one can."""
    if not config.output_dir:
        return "Choose the output folder of the training."
    if not _has(Path(config.output_dir) / CHECKPOINTS / LAST):
        return "The output folder holds no training that could go on."
    return ""


def changed(config: TrainingConfig, **values: Any) -> TrainingConfig:
    """The configuration with other values.

    Raises:
        ConfigError: a value is not allowed.
    """
    return make_config(config.recipe, {**config.to_dict(), **values})


def parsed(config: TrainingConfig, field: str, text: str) -> Any:
    """The value of an option that was typed as text.

    Raises:
        ConfigError: the text is not a valid value.
    """
    try:
        return options_of(type(config))[field].parse(text)
    except ArgumentTypeError as error:
        raise ConfigError(f"{field}: {error}.") from error


def _lacks_atlas(config: TrainingConfig) -> bool:
    return config.recipe == "atlas" and not config.atlas
