"""The configuration of a training: options before a JSON file before what a checkpoint says."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..training.config import TrainingConfig
from ..training.table import RECIPES, make_config
from .train_options import FILES, given_options, options_of

#: The recipe where nobody chose one.
DEFAULT_RECIPE = "pairwise"


def recipe_configs() -> dict[str, type[TrainingConfig]]:
    """The configuration class of every recipe."""
    return {name: recipe.config for name, recipe in RECIPES.items()}


def read_config(arguments: argparse.Namespace) -> TrainingConfig:
    """The configuration that a command line means; of a resumed training, what its checkpoint says comes first.

    Raises:
        ConfigError: unknown recipe or option, impossible value, or a configuration file that cannot be read.
        WeightsError: the checkpoint to resume cannot be read.
    """
    given = _given(arguments)
    written = _file_values(arguments.config) if arguments.config else {}
    stored = _stored({**written, **given}) if arguments.resume else {}
    values = {**stored, **written}
    untouched = arguments.recipe == arguments.formDefaults
    recipe = (not untouched and arguments.recipe) or values.get("recipe", arguments.recipe or DEFAULT_RECIPE)
    if stored and recipe != stored["recipe"]:
        raise ConfigError(
            f"This training was begun with the recipe {stored['recipe']} and cannot go on as {recipe}. Resume it with "
            "its own recipe, or choose another output folder."
        )
    values.pop("recipe", None)
    _check_known(recipe, given)
    return absolute(make_config(recipe, {**values, **given}))


def config_json(config: TrainingConfig) -> str:
    """The file that `--config` reads."""
    return json.dumps({"recipe": config.recipe, **config.to_dict()}, indent=2)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the command line, without those that a form passes along though nobody touched them."""
    given = given_options(arguments, recipe_configs().values())
    if arguments.formDefaults is None:
        return given
    untouched = form_defaults(arguments.formDefaults)
    return {name: value for name, value in given.items() if value != untouched[name]}


def form_defaults(recipe: str) -> dict[str, Any]:
    """What a form for all recipes shows before anybody touches it: the defaults of one, and what only others have."""
    shown: dict[str, Any] = {}
    for config in (RECIPES[recipe].config, *recipe_configs().values()):
        shown = {**config().to_dict(), **shown}
    return shown


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """What the checkpoint of a training to resume says; nothing where there is none yet but all to begin with."""
    from ..training.checkpoint import FOLDER, LAST, load_checkpoint

    folder = values.get("output_dir")
    if not folder:
        raise ConfigError("--resume needs --outputDir, the folder of the training that shall go on.")
    path = Path(folder).expanduser() / FOLDER / LAST
    if path.is_file():
        checkpoint = load_checkpoint(path)
        return {**checkpoint["config"], "recipe": checkpoint["recipe"]}
    if len(values) == 1:
        raise ConfigError(f"There is nothing to resume: {path} does not exist. Start without --resume.")
    return {}


def config_of_json(text: str, source: str) -> TrainingConfig:
    """The configuration that `config_json` wrote, or a person changed.

    Args:
        text: one JSON object; options that it leaves out have their defaults.
        source: what a sentence calls it.

    Raises:
        ConfigError: the text is no such object, or an option is unknown or impossible.
    """
    values = _json_values(text, source)
    return make_config(values.pop("recipe", DEFAULT_RECIPE), values)


def _file_values(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _json_values(text, path)


def _unreadable(source: object, error: Exception) -> ConfigError:
    return ConfigError(f"The configuration {source} cannot be read ({error}). Correct or replace it.")


def _json_values(text: str, source: object) -> dict[str, Any]:
    """The values of a configuration's JSON, of their right types."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(source, error) from error
    if not isinstance(values, dict):
        raise ConfigError(f"The configuration {source} must be one JSON object, got {type(values).__name__}.")
    options = options_of(_config_class(values.get("recipe", DEFAULT_RECIPE)))
    for name, value in values.items():
        if name in options:
            options[name].check(value)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _config_class(recipe: Any) -> type[TrainingConfig]:
    if recipe not in list(RECIPES):
        raise ConfigError(f"There is no recipe {recipe!r}. Choose one of {', '.join(RECIPES)}.")
    return RECIPES[recipe].config


def _check_known(recipe: str, given: dict[str, Any]) -> None:
    known = options_of(_config_class(recipe))
    for name in given:
        if name not in known:
            owners = [other for other, config in recipe_configs().items() if name in options_of(config)]
            option = options_of(RECIPES[owners[0]].config)[name].name
            raise ConfigError(f"The recipe {recipe} has no option --{option}; it belongs to {', '.join(owners)}.")


def absolute(config: TrainingConfig) -> TrainingConfig:
    """The same configuration with absolute paths, so that a training can be resumed from any folder."""
    paths = {
        name: value
        for name, value in config.to_dict().items()
        if value and isinstance(value, str) and FILES.fullmatch(name)
    }
    return dataclasses.replace(
        config, **{name: str(Path(value).expanduser().absolute()) for name, value in paths.items()}
    )
