"""The batch command: a table of pairs or a folder of images in, a folder of results, a table and a page out.

As `python -m VoxelMorphLib.cli.batch` it is the child of another program: it stops when its standard input ends.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from ..batch.folder_pairs import FolderPairs
from ..batch.options import BatchOptions
from ..batch.pairs import Common, Pairs
from ..batch.places import REPORT
from ..batch.pool import Pool
from ..batch.processor import Settings
from ..batch.results import RESULTS
from ..batch.row import Outcome
from ..batch.run import Executor, run_batch
from ..batch.summary import Summary
from ..batch.table_pairs import TablePairs
from ..core.config import RegistrationOptions
from ..core.errors import Cancelled, ConfigError, VoxelMorphError
from ..core.io.paths import expanded, is_file
from ..core.options import changed_options, options_of
from ..weights.catalogue import DEFAULT_MODEL, find_entry
from .common import ConsoleProgress, Parser, complain, run, say
from .interrupts import interrupt_at_the_end_of_input
from .options import add_options, add_preset, chosen_settings, given_options, list_presets

OPTIONS = options_of(RegistrationOptions)
BATCH_OPTIONS = options_of(BatchOptions)


def main(argv: Sequence[str] | None = None) -> int:
    """Register many pairs from the command line; see `--help`."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_where: say(f"Warning: {message}")
        return run(_command, argv)


def child(argv: Sequence[str] | None = None) -> int:
    """Run the command for another program; the end of the standard input is its Ctrl-C."""
    interrupt_at_the_end_of_input()
    return main(argv)


def parser() -> Parser:
    """The command's options."""
    made = Parser(
        prog="VoxelMorphBatch",
        description="Register many pairs of volumes. What is done and unchanged is skipped, so that the same command "
        "goes on after it was stopped.",
    )
    add = made.add_argument
    add(
        "--pairs",
        type=Path,
        help="table of pairs (.csv, .tsv) with the columns fixed and moving, and perhaps id, fixedLabels, "
        "movingLabels, fixedMask, movingMask, fixedPoints, movingPoints, initialTransform, model, and any option below "
        "that says how to register; files are relative to the table",
    )
    add(
        "--all",
        metavar="FOLDER",
        default="",
        help="register every image of a folder, BIDS folder or list to every other",
    )
    add("--to", metavar="TEMPLATE", type=Path, help="register every image of --folder to this one")
    add("--folder", default="", help="with --to: folder, BIDS folder or list of images")
    add("folder_after", nargs="?", default="", metavar="FOLDER", help="the same as --folder")
    add("--labels", default="", help="with --all or --folder: label maps in the order of the images")
    add("--toLabels", type=Path, help="with --to: label map of the template")
    add(
        "--outputDir",
        type=Path,
        help="folder for the results; a subfolder for each pair, or names as in BIDS derivatives",
    )
    add_options(made, BATCH_OPTIONS)
    add(
        "--dask",
        default="",
        help="let workers of Dask register instead: address of a scheduler, local:N for N processes of this computer, "
        "or slurm for --workers jobs (needs the package distributed, for slurm dask-jobqueue)",
    )
    add("--model", default="", help=f"id of the model list, or a weights file; default: {DEFAULT_MODEL}")
    add("--modelFile", type=Path, help="a weights file of your own, which takes the place of --model")
    add_preset(made)
    add("--weightsDir", type=Path, help="folder with downloaded weights, recognised by checksum")
    add("--allowFallback", action="store_true", help="short of memory, use half the resolution")
    add_options(made, OPTIONS)
    return made


def _command(argv: Sequence[str]) -> None:
    arguments = parser().parse(argv)
    if arguments.listPresets:
        list_presets()
        return
    options = BatchOptions(**given_options(arguments, BATCH_OPTIONS))
    _check_model(arguments)
    if arguments.outputDir is None:
        raise ConfigError("--outputDir is missing. Name the folder for the results.")
    folder = expanded(arguments.outputDir).absolute()
    pairs = _pairs(arguments)
    weights = None if arguments.weightsDir is None else expanded(arguments.weightsDir).absolute()
    settings = Settings(folder, options, weights, arguments.allowFallback)
    summary = _run(pairs, folder, _executor(arguments, settings))
    for line in summary.lines():
        say(line)
    say(f"Table and page: {folder / RESULTS}, {folder / REPORT}")
    _judge(summary, folder)


def _judge(summary: Summary, folder: Path) -> None:
    """Say last what failed; files are written and others can be used, unless nothing could be registered at all."""
    failed = summary.counts["failed"]
    if failed and failed == summary.finished:
        first = min(summary.worst(), key=lambda outcome: outcome.number)
        raise VoxelMorphError(f"No pair could be registered. The first one, {first.id}: {first.sentence}")
    if failed:
        complain(f"Warning: {failed} of {summary.finished} pairs failed; {folder / RESULTS} says why.")


def _run(pairs: Pairs, folder: Path, executor: Callable[[], AbstractContextManager[Executor]]) -> Summary:
    progress = ConsoleProgress("VoxelMorphBatch")
    finished = 0

    def tell(outcome: Outcome) -> None:
        nonlocal finished
        finished += 1
        if outcome.status == "failed":
            say(f"{outcome.id}: {outcome.sentence}")

    try:
        return run_batch(pairs, folder, executor, progress, tell)
    except (KeyboardInterrupt, Cancelled) as stop:
        raise Cancelled(
            f"Stopped after {finished} of {pairs.count} pairs, which are kept. The same command goes on from there."
        ) from stop


def _executor(arguments: argparse.Namespace, settings: Settings) -> Callable[[], AbstractContextManager[Executor]]:
    if not arguments.dask:
        return lambda: Pool(settings.options.workers, settings)
    from ..batch.cluster import Cluster, check_cluster

    check_cluster(arguments.dask)
    return lambda: Cluster(arguments.dask, settings)


def common_of(arguments: argparse.Namespace) -> Common:
    """What the command says for all rows, its preset included.

    Raises:
        ConfigError: there is no such preset, or an impossible value.
    """
    chosen_model, chosen = chosen_settings(arguments, OPTIONS)
    given = {option.field: getattr(chosen, option.field) for option, _text in changed_options(chosen)}
    model = str(chosen_model or "")
    return Common(str(Path(model).absolute()) if model and is_file(model) else model, given)


def _pairs(arguments: argparse.Namespace) -> Pairs:
    common = common_of(arguments)
    folder = arguments.folder or arguments.folder_after
    ways = [name for name in ("pairs", "all", "to") if getattr(arguments, name)]
    if len(ways) != 1:
        named = " and ".join(f"--{name}" for name in ways)
        raise ConfigError(
            f"{named or 'None of --pairs, --all and --to'} {'were' if ways else 'was'} given. Give one of them: a "
            "table of pairs, a folder, or a template with --folder."
        )
    if (ways == ["to"]) != bool(folder):
        raise ConfigError("--to and --folder belong together: a template, and the folder of images to register to it.")
    if ways == ["pairs"]:
        if arguments.labels or arguments.toLabels:
            raise ConfigError("--labels and --toLabels belong to folders; a table has columns for label maps.")
        return TablePairs(arguments.pairs, common)
    if arguments.toLabels and not arguments.to:
        raise ConfigError("--toLabels belongs to --to. Leave it out, or name the template.")
    return FolderPairs(arguments.all or folder, common, arguments.to, arguments.labels, arguments.toLabels)


def _check_model(arguments: argparse.Namespace) -> None:
    """Refuse an unknown model at once instead of once for every row."""
    if arguments.modelFile and not is_file(arguments.modelFile):
        raise ConfigError(f"--modelFile {arguments.modelFile} does not exist. Check the name and the folder.")
    if arguments.model and not is_file(arguments.model):
        find_entry(arguments.model)


if __name__ == "__main__":
    sys.exit(child())
