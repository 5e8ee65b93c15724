"""The train command: lists of images in, checkpoints, curves and a model for the register command out."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..core.errors import ConfigError
from ..core.progress import Progress, silent
from ..training.config import TrainingConfig
from ..training.table import RECIPES, make_config
from .common import ConsoleProgress, Parser, run
from .train_config import DEFAULT_RECIPE, config_json, read_config, recipe_configs
from .train_model import add_model_options, check_model, make_model, wants_model
from .train_options import add_options, command_of


def main(argv: Sequence[str] | None = None) -> int:
    """Train a network from the command line; see `--help`."""
    with warnings.catch_warnings():
        warnings.showwarning = _say  # on the standard error channel Slicer would show them as errors
        return run(_command, argv)


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
    add_model_options(made)
    add_options(made, recipe_configs(), recipe)
    return made


def _command(argv: Sequence[str]) -> None:
    arguments = parser(_recipe_for_help(argv)).parse(argv)
    if arguments.listRecipes:
        _list_recipes()
    elif arguments.export:
        _export(arguments)
    else:
        config = read_config(arguments)
        if arguments.printConfig:
            print(config_json(config))
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
        print(f"{recipe.name:24} {recipe.description}")


def _plan(config: TrainingConfig) -> None:
    from ..training.plan import make_plan

    for line in make_plan(config, _progress()).lines():
        print(line, flush=True)


def _train(arguments: argparse.Namespace, config: TrainingConfig) -> None:
    folder = Path(config.output_dir)
    if wants_model(arguments):
        check_model(arguments, folder)
    from ..training.export import export_images
    from ..training.trainer import train

    result = train(config, arguments.resume, silent if _has_bar() else _progress())
    if result.rank == 0:
        print(f"{result.step} steps done; best after step {result.best_step}: {result.best}", flush=True)
        for path in export_images(result.best, folder):
            print(f"Image: {path}", flush=True)
        if wants_model(arguments):
            make_model(arguments, result.best, folder, command_of(config))


def _export(arguments: argparse.Namespace) -> None:
    if not wants_model(arguments):
        raise ConfigError("--export needs --model, the file to write, or --addToModels.")
    from ..training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(arguments.export)
    folder = arguments.export.absolute().parent.parent
    check_model(arguments, folder)
    config = make_config(checkpoint["recipe"], checkpoint["config"])
    make_model(arguments, arguments.export, folder, command_of(config))


def _say(message: Warning | str, *_where: object) -> None:
    print(f"Warning: {message}", flush=True)


def _has_bar() -> bool:
    """Whether the training draws its own progress bar."""
    return sys.stderr.isatty() and find_spec("tqdm") is not None


def _progress() -> Progress:
    return ConsoleProgress("VoxelMorphTrain")
