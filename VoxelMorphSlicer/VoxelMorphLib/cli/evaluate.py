"""The evaluate command: files of registered pairs in, or a model and pairs to register; measures out."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.config import RegistrationOptions
from ..core.errors import ConfigError, VoxelMorphError
from ..core.io.paths import is_folder
from ..core.options import options_of
from ..core.progress import span
from ..evaluation.subject import FILES, Subject
from .common import ConsoleProgress, Parser, run, say
from .interrupts import current
from .options import add_options, given_options
from .pair_lists import ListedPair, read_pairs

if TYPE_CHECKING:
    from ..evaluation.results import Result

#: Files that are written.
OUTPUTS = ("csv", "json", "report")
#: How to register where a model is evaluated, by field name.
OPTIONS = {name: options_of(RegistrationOptions)[name] for name in ("affine", "hyper", "device")}
#: What is told of each pair that a model registers.
_REGISTERED = ("fixed", "moving", "fixedLabels", "movingLabels", "fixedPoints", "movingPoints")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure registrations from the command line; see `--help`."""
    with warnings.catch_warnings():
        warnings.showwarning = _say  # on the standard error channel Slicer would show them as errors
        return run(_command, argv)


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        prog="VoxelMorphEvaluate",
        description="Measure how good registrations are: of one pair, of a list of pairs, or of what a model makes.",
    )
    add = made.add_argument
    for name, words in FILES.items():
        add(f"--{name}", type=Path, help=words)
    add("--pairs", type=Path, help="table of pairs (.csv) with the names above as columns, and id")
    add(
        "--model", default="", help="id of the model list or weights file: registers fixed and moving and measures that"
    )
    add("--atlas", type=Path, help="the same as --fixed")
    add("--scans", nargs="+", default=[], help="moving volumes for --model: files, a folder, a list or a pattern")
    add("--weightsDir", type=Path, help="folder with downloaded weights, recognised by checksum")
    add_options(made, OPTIONS)
    add("--labels", default="", help="labels that count: numbers, or a file of them (.npz, .csv, colour table)")
    add("--csv", type=Path, help="output: table with one row a measure")
    add("--json", type=Path, help="output: the same for programs")
    add("--report", type=Path, help="output: HTML page with pictures and measures; of many pairs an overview")
    return made


def _command(argv: Sequence[str]) -> None:
    arguments = parser().parse(argv)
    pairs = _pairs(arguments)
    _check_outputs(arguments, pairs)
    from ..core.io.label_names import read_label_choice

    choice = read_label_choice(arguments.labels)
    subjects = _registered(arguments, pairs) if arguments.model else _read(pairs)
    results, last = [], Subject()
    from ..evaluation.evaluate import evaluate
    from ..evaluation.results import Result

    for pair, subject in subjects:
        with _naming(pair, len(pairs)):
            rows = evaluate(subject, choice)
            picture = _picture(subject) if arguments.report and len(pairs) > 1 else None
        results.append(Result(pair.name, rows, _told(pair, arguments.model), picture))
        last = subject
    _write(arguments, results, last)
    from ..evaluation.results import lines

    say(*lines(results))


def _pairs(arguments: argparse.Namespace) -> list[ListedPair]:
    """The pairs to measure, with every file that is missing named before any work."""
    files = {name: getattr(arguments, name).absolute() for name in FILES if getattr(arguments, name)}
    if arguments.atlas:
        if "fixed" in files:
            raise ConfigError("--atlas and --fixed mean the same. Give one of them.")
        files["fixed"] = arguments.atlas.absolute()
    if arguments.pairs and any(arguments.scans):
        raise ConfigError("--pairs and --scans are two lists of pairs. Give one of them.")
    if any(arguments.scans):
        return _scans(arguments, files)
    if not arguments.pairs:
        return [ListedPair(_name(files), _with_own_labels(files) if arguments.model else files)]
    required = ("fixed", "moving") if arguments.model else ()
    pairs, ignored = read_pairs(arguments.pairs, tuple(FILES), required, files)
    if ignored:
        say(f"Warning: the columns {', '.join(ignored)} of {arguments.pairs} are not looked at.")
    return pairs


def _scans(arguments: argparse.Namespace, files: Mapping[str, Path]) -> list[ListedPair]:
    from ..core.io.image_lists import label_column, list_paths
    from ..core.io.names import unique_names

    if not arguments.model or "fixed" not in files:
        raise ConfigError("--scans are registered by a --model onto an --atlas. Give both.")
    scans: list[Path] = []
    labels: list[Path | None] = []
    for source in filter(None, arguments.scans):
        found = list_paths(source, "scans")
        scans += found
        labels += label_column(source) or [None] * len(found)
    doubled = next((scan for scan in scans if scans.count(scan) > 1), None)
    if doubled:
        raise ConfigError(f"--scans names {doubled} twice. Name each scan once.")
    known = [{"movingLabels": label} if label else {} for label in labels]
    return [
        ListedPair(name, _with_own_labels({**files, "moving": scan, **more}))
        for name, scan, more in zip(unique_names(scans), scans, known)
    ]


def _with_own_labels(files: Mapping[str, Path]) -> dict[str, Path]:
    """The files, with the label maps that .npz volumes hold beside their voxels."""
    from ..core.io.npz import holds_labels

    found = dict(files)
    for role, labels in (("fixed", "fixedLabels"), ("moving", "movingLabels")):
        if labels not in found and role in found and holds_labels(found[role]):
            found[labels] = found[role]
    if ("fixedLabels" in found) != ("movingLabels" in found):  # those of one volume alone tell nothing
        for labels in {"fixedLabels", "movingLabels"} - set(files):
            found.pop(labels, None)
    return found


def _name(files: Mapping[str, Path]) -> str:
    return next((files[role].name for role in ("moved", "moving", "movedLabels", "transform") if role in files), "")


def _check_outputs(arguments: argparse.Namespace, pairs: Sequence[ListedPair]) -> None:
    """Refuse before the work what would fail after it."""
    from ..core.io.collisions import check_apart
    from ..core.io.files import check_readable, check_writable
    from ..evaluation.subject import check_files

    outputs = {name: getattr(arguments, name) for name in OUTPUTS}
    for path in filter(None, outputs.values()):
        check_writable(path)
    inputs: dict[str, Path | str | None] = {"pairs": arguments.pairs, "model": arguments.model or None}
    for pair in pairs:
        with _naming(pair, len(pairs)):
            _check_pair(pair, bool(arguments.model), check_files)
            for role, file in pair.files.items():
                if not is_folder(file):
                    check_readable(file, ConfigError)
                inputs[role] = file
                check_apart({role: file}, outputs)
    check_apart(inputs, outputs)


def _check_pair(pair: ListedPair, is_registered: bool, check_files: Any) -> None:
    if not is_registered:
        check_files(pair.files)
        return
    result = [role for role in pair.files if role not in _REGISTERED]
    if result:
        raise ConfigError(
            f"--model makes the result itself, so --{result[0]} has no place beside it. Give one of them."
        )
    for role in ("fixed", "moving"):
        if role not in pair.files:
            raise ConfigError(f"--model registers two volumes, but there is no --{role}. Give both.")
    check_files(pair.files)


def _read(pairs: Sequence[ListedPair]) -> Iterator[tuple[ListedPair, Subject]]:
    from ..evaluation.subject import read_subject

    progress = ConsoleProgress("VoxelMorphEvaluate")
    for place, pair in enumerate(pairs):
        progress(place / len(pairs), f"Measuring {pair.name}" if pair.name else "Measuring")
        with _naming(pair, len(pairs)):
            subject = read_subject(pair.name, pair.files)
        yield pair, subject


def _registered(arguments: argparse.Namespace, pairs: Sequence[ListedPair]) -> Iterator[tuple[ListedPair, Subject]]:
    from ..registration.cache import RegistrationCache

    options = RegistrationOptions(**given_options(arguments, OPTIONS))
    progress, cache = ConsoleProgress("VoxelMorphEvaluate"), RegistrationCache()
    for place, pair in enumerate(pairs):
        part = span(progress, place / len(pairs), (place + 1) / len(pairs))
        with _naming(pair, len(pairs)):
            subject = _register(pair, arguments, options, part, cache)
        yield pair, subject


def _register(
    pair: ListedPair, arguments: argparse.Namespace, options: RegistrationOptions, progress: Any, cache: Any
) -> Subject:
    from ..evaluation.rows import TIME, WARNING, Row
    from ..evaluation.subject import read_subject
    from ..registration.register import register
    from ..registration.request import RegistrationRequest

    known = read_subject(pair.name, pair.files)
    request = RegistrationRequest(known.fixed, known.moving, arguments.model, options, weights_dir=arguments.weightsDir)
    result = register(request, progress, cache)
    report = result.report
    told = (
        Row(TIME, "", None, float(report.seconds.get("total", 0.0)), "s", 1),
        Row("Device", after=report.device),
        Row("Model", after=report.model_title),
        *(Row(WARNING, after=text) for text in report.warnings),
    )
    return Subject(
        **{
            **vars(known),
            "moved": result.moved,
            "forward": result.forward,
            "inverse": result.inverse,
            "provenance": told,
        }
    )


def _picture(subject: Subject) -> bytes | None:
    from ..report.evaluation_page import small_picture

    return small_picture(subject)


def _told(pair: ListedPair, model: str) -> dict[str, str]:
    files = {role: str(file) for role, file in pair.files.items()}
    return {**files, "model": model} if model else files


def _write(arguments: argparse.Namespace, results: Sequence[Result], last: Subject) -> None:
    """All outputs, or none of them."""
    from ..core.io.csv_files import write_csv
    from ..core.io.files import replacing
    from ..evaluation.results import HEADER, json_text, table_rows

    with ExitStack() as stack:
        if arguments.csv:
            write_csv(stack.enter_context(replacing(arguments.csv)), HEADER, table_rows(results))
        if arguments.json:
            stack.enter_context(replacing(arguments.json)).write_text(json_text(results), encoding="utf-8")
        if arguments.report:
            from ..report.evaluation_page import evaluation_page, overview_page

            title = f"Evaluation of {arguments.model}" if arguments.model else f"Evaluation of {len(results)} pairs"
            page = evaluation_page(last, results[0]) if len(results) == 1 else overview_page(results, title)
            page.write(stack.enter_context(replacing(arguments.report)))
        current().finish()


@contextmanager
def _naming(pair: ListedPair, count: int) -> Iterator[None]:
    """Say which pair of many a refusal is about; `count` is that of all pairs, and a single one needs no name."""
    try:
        yield
    except VoxelMorphError as error:
        if count > 1 and error.args:
            place = f"Line {pair.line} ({pair.name})" if pair.line else pair.name
            error.args = (f"{place}: {error.args[0]}", *error.args[1:])
        raise


def _say(message: Warning | str, *_where: Any, **_more: Any) -> None:
    say(f"Warning: {message}")
