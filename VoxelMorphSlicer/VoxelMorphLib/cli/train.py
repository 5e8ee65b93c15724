"""The train command: lists of images in, checkpoints, curves and a model for the register command out.

As `python -m VoxelMorphLib.cli.train` it is the child of another program: it saves and stops when its standard input
ends. That end comes when the program says so, and also when the program itself ends, in whatever way; it works alike on
systems without signals.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..core.io.collisions import check_apart
from ..core.io.files import check_writable
from ..core.io.paths import expanded, is_file
from ..core.options import changed_options, options_of
from ..core.progress import Progress, silent
from ..training.options import TrainingConfig
from ..training.recipes import (
    DEFAULT_RECIPE,
    RECIPES,
    all_options,
    config_class,
    config_json,
    json_values,
    make_config,
    unreadable,
)
from .common import ConsoleProgress, Parser, run, say
from .interrupts import interrupt_at_the_end_of_input
from .options import add_options, given_options


def main(argv: Sequence[str] | None = None) -> int:
    """Train a network from the command line; see `--help`."""
    with warnings.catch_warnings():
        warnings.showwarning = _teller()  # on the standard error channel Slicer would show them as errors
        return run(_command, argv)


def child(argv: Sequence[str] | None = None) -> int:
    """Run the train command for another program; the end of the standard input is its Ctrl-C."""
    if "LOCAL_RANK" not in os.environ:  # the first process ends the others
        interrupt_at_the_end_of_input()
    return main(argv)


def parser(recipe: str = DEFAULT_RECIPE) -> Parser:
    """The command's options; help and defaults are those of one recipe, all others are understood too."""
    made = Parser(
        prog="VoxelMorphTrain",
        description="Train a registration network.",
        epilog=f"Defaults are those of the recipe {recipe}; --recipe NAME --help shows those of another one.",
    )
    add = made.add_argument
    add("--recipe", choices=tuple(RECIPES), help=f"what is trained [{DEFAULT_RECIPE}]")
    add("--config", type=Path, help="JSON file as --printConfig writes it; options of the command line come first")
    add("--resume", action="store_true", help="go on with the training in --outputDir")
    add(
        "--dryRun",
        "--dry-run",
        action="store_true",
        help="print the plan, the memory it needs and the time of one step, and stop",
    )
    add("--listRecipes", action="store_true", help="print the recipes and stop")
    add("--printConfig", action="store_true", help="print the configuration as JSON and stop")
    add(
        "--formDefaults", choices=tuple(RECIPES), help="options that have the default of this recipe count as not given"
    )
    add("--export", type=Path, help="checkpoint of an earlier training to make a model of, instead of training")
    _add_model_options(made)
    add_options(made, options_of(RECIPES[recipe].config), all_options())
    return made


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
    return make_config(recipe, {**values, **given}).with_absolute_paths()


def form_defaults(recipe: str) -> dict[str, Any]:
    """What a form for all recipes shows before anybody touches it: the defaults of one, and what only others have."""
    shown: dict[str, Any] = {}
    for config in (RECIPES[recipe].config, *(other.config for other in RECIPES.values())):
        shown = {**config().to_dict(), **shown}
    return shown


def command_of(config: TrainingConfig) -> str:
    """The command line that makes such a training; files by their names alone, as folders differ between machines."""
    words = ["VoxelMorphTrain", "--recipe", config.recipe]
    for option, text in changed_options(config):
        if option.field != "output_dir":
            words += [f"--{option.name}", Path(text).name if option.path else text]
    return shlex.join(words)


def _command(argv: Sequence[str]) -> None:
    arguments = parser(_recipe_for_help(argv)).parse(argv)
    if arguments.listRecipes:
        _list_recipes()
    elif arguments.export:
        _export(arguments)
    else:
        config = read_config(arguments)
        if arguments.printConfig:
            say(config_json(config))
        elif arguments.dryRun:
            _plan(config)
        else:
            _train(arguments, config)


def _recipe_for_help(argv: Sequence[str]) -> str:
    chooser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    chooser.add_argument("--recipe", default=DEFAULT_RECIPE, nargs="?")
    found = chooser.parse_known_args(argv)[0].recipe
    return found if found in RECIPES else DEFAULT_RECIPE


def _list_recipes() -> None:
    for recipe in RECIPES.values():
        say(f"{recipe.name:24} {recipe.description}")


def _plan(config: TrainingConfig) -> None:
    from ..training.plan import make_plan

    for line in make_plan(config, _progress()).lines():
        say(line)


def _train(arguments: argparse.Namespace, config: TrainingConfig) -> None:
    folder = Path(config.output_dir)
    if _wants_model(arguments):
        _check_model(arguments, folder)
        _check_inputs_stay(arguments, config)
    from ..training.export import export_images
    from ..training.trainer import train

    result = train(config, arguments.resume, silent if _has_bar() else _progress())
    if result.rank == 0:
        say(result.sentence())
        for path in export_images(result.best, folder):
            say(f"Image: {path}")
        if _wants_model(arguments):
            _make_model(arguments, result.best, folder, command_of(config))


def _export(arguments: argparse.Namespace) -> None:
    if not _wants_model(arguments):
        raise ConfigError("--export needs --model, the file to write, or --addToModels.")
    from ..training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(arguments.export)
    folder = arguments.export.absolute().parent.parent
    _check_model(arguments, folder)
    check_apart({"export": arguments.export}, {"model": arguments.model})
    config = make_config(checkpoint["recipe"], checkpoint["config"])
    _make_model(arguments, arguments.export, folder, command_of(config))


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of the command line, without those that a form passes along though nobody touched them."""
    given = given_options(arguments, all_options())
    if arguments.formDefaults is None:
        return given
    untouched = form_defaults(arguments.formDefaults)
    return {name: value for name, value in given.items() if value != untouched[name]}


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """What the checkpoint of a training to resume says; nothing where there is none yet but all to begin with."""
    from ..training.checkpoint import FOLDER, LAST, load_checkpoint

    folder = values.get("output_dir")
    if not folder:
        raise ConfigError("--resume needs --outputDir, the folder of the training that shall go on.")
    path = expanded(folder) / FOLDER / LAST
    if is_file(path):
        checkpoint = load_checkpoint(path)
        return {**checkpoint["config"], "recipe": checkpoint["recipe"]}
    if len(values) == 1:
        raise ConfigError(f"There is nothing to resume: {path} does not exist. Start without --resume.")
    return {}


def _file_values(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return json_values(text, path)


def _check_known(recipe: str, given: dict[str, Any]) -> None:
    known = options_of(config_class(recipe))
    for name in given:
        if name not in known:
            owners = [other.name for other in RECIPES.values() if name in options_of(other.config)]
            option = options_of(RECIPES[owners[0]].config)[name].name
            raise ConfigError(f"The recipe {recipe} has no option --{option}; it belongs to {', '.join(owners)}.")


def _add_model_options(parser: Parser) -> None:
    """Add the options that say what becomes of a checkpoint."""
    add = parser.add_argument
    add("--model", type=Path, help="output: the trained model, .safetensors")
    add("--addToModels", action="store_true", help="add the model to the model list of this computer")
    add("--replaceModel", action="store_true", help="with --addToModels: replace an own model of that id")
    add("--modelId", default="", help="id in the model list [name of the model's file, or of the output folder]")
    add("--modelTitle", default="", help="what a person chooses from the model list [the id]")
    add("--modelDescription", default="", help="one line on what the model is good for and what it needs")
    add("--modelAnatomy", default="", help="what the images show, e.g. hippocampus")
    add("--modelModality", default="", help="of the images, e.g. MR T1")
    add("--modelLicence", default="", help="of the weights")


def _wants_model(arguments: argparse.Namespace) -> bool:
    """Whether a model shall be made of the best checkpoint."""
    return bool(arguments.model or arguments.addToModels)


def _check_model(arguments: argparse.Namespace, folder: Path) -> None:
    """Refuse before a long training what would fail after it.

    Args:
        arguments: of the command.
        folder: of the training.

    Raises:
        ConfigError: the file does not end in .safetensors, or the id cannot be used or is taken.
        OutputError: the file cannot be written.
    """
    from ..weights.own_models import check_addition

    if arguments.model:
        if arguments.model.suffix != ".safetensors":
            raise ConfigError(
                f"{arguments.model} does not end in .safetensors. Models are written in that format only."
            )
        check_writable(arguments.model)
    if arguments.addToModels:
        check_addition(_model_id(arguments, folder), arguments.replaceModel)


def _check_inputs_stay(arguments: argparse.Namespace, config: TrainingConfig) -> None:
    """Refuse a model file that would replace a file that the training reads."""
    options = options_of(type(config)).values()
    read = {option.name: getattr(config, option.field) for option in options if option.path in ("file", "files")}
    check_apart({**read, "config": arguments.config}, {"model": arguments.model})


def _make_model(arguments: argparse.Namespace, checkpoint: Path, folder: Path, command: str) -> None:
    """Write the model of a checkpoint where the options say.

    Args:
        arguments: of the command.
        checkpoint: of the training.
        folder: of the training.
        command: that trained it.

    Raises:
        VoxelMorphError: as `export` and `add_to_catalogue`.
    """
    from ..training.export import ModelFacts, export
    from ..weights.own_models import add_to_catalogue

    facts = ModelFacts(
        id=_model_id(arguments, folder),
        title=arguments.modelTitle,
        description=arguments.modelDescription,
        anatomy=arguments.modelAnatomy,
        modality=arguments.modelModality,
        licence=arguments.modelLicence or None,
        command=command,
    )
    with tempfile.TemporaryDirectory() as temporary:
        path = arguments.model or Path(temporary) / f"{facts.id}.safetensors"
        entry = export(checkpoint, path, facts)
        if arguments.model:
            say(f"Model: {path}; use it with --model {path}")
        if arguments.addToModels:
            add_to_catalogue(entry, path, arguments.replaceModel)
            say(f"Added to the model list; use it with --model {entry.id}")


def _model_id(arguments: argparse.Namespace, folder: Path) -> str:
    name = arguments.modelId or (arguments.model.stem if arguments.model else folder.name)
    return arguments.modelId or re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "model"


def _teller() -> Callable[..., None]:
    """What says a warning, once however often it comes: the plan reads the lists as the training does."""
    told: set[str] = set()

    def tell(message: Warning | str, *_where: object) -> None:
        if str(message) not in told:
            told.add(str(message))
            say(f"Warning: {message}")

    return tell


def _has_bar() -> bool:
    """Whether the training draws its own progress bar."""
    return sys.stderr.isatty() and find_spec("tqdm") is not None


def _progress() -> Progress:
    return ConsoleProgress("VoxelMorphTrain")


if __name__ == "__main__":
    sys.exit(child())
