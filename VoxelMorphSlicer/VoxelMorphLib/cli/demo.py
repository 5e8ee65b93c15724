"""The demo command: register a sample pair whose truth is known, or the user's own, and show what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.config import RegistrationOptions
from ..core.errors import ConfigError, OutputError
from ..core.options import options_of
from ..weights.catalogue import DEFAULT_MODEL
from .common import Parser, run, say
from .options import add_options, request_fields

if TYPE_CHECKING:
    from ..core.image import Image
    from ..registration.result import Registration
    from .demo_pair import SamplePair

_BAR = 30
#: The options of a registration that the demo has too.
_OPTIONS = {"device": options_of(RegistrationOptions)["device"]}


def main(argv: Sequence[str] | None = None) -> int:
    """Register the sample pair or `--fixed` and `--moving`; see `--help`."""
    return run(_command, argv)


def _parser() -> Parser:
    parser = Parser(prog="python -m VoxelMorphLib.cli.demo", description="Register a pair and show the result.")
    add = parser.add_argument
    add("--fixed", type=Path, help="volume to align with; default: the sample pair")
    add("--moving", type=Path, help="volume to be warped; default: the sample pair")
    add("--model", default="", help=f"id of the model list, or a weights file; default: {DEFAULT_MODEL}")
    add("--weightsDir", dest="weights_dir", type=Path, help="folder with downloaded weights, recognised by checksum")
    add_options(parser, _OPTIONS)
    add("--out", type=Path, default=Path("demo-output"), help="folder for the results; created when missing")
    return parser


def _command(argv: Sequence[str]) -> None:
    arguments = _parser().parse(argv)
    if (arguments.fixed is None) != (arguments.moving is None):
        raise ConfigError("--fixed and --moving belong together. Give both, or neither for the sample pair.")
    fields = request_fields(arguments, _OPTIONS)
    if arguments.fixed:
        from ..core.io.collisions import check_apart

        check_apart(
            {"fixed": arguments.fixed, "moving": arguments.moving, "model": arguments.model or None},
            {"out": arguments.out / "moved.nii.gz"},
        )
    _make_folder(arguments.out)
    pair = _Pair.own(arguments) if arguments.fixed else _Pair.sample()
    for role, image in (("fixed", pair.fixed), ("moving", pair.moving)):
        say(f"{role:7}{image.name}, {image.geometry}")
    from ..registration.register import register
    from ..registration.request import RegistrationRequest

    progress = TerminalProgress()
    result = register(RegistrationRequest(**{**fields, "fixed": pair.fixed, "moving": pair.moving}), progress)
    progress.end()
    say(*_figures(pair, result))
    say(*_write(arguments.out, pair, result))


@dataclass(frozen=True)
class _Pair:
    """What is registered, and the truth where it is known."""

    fixed: Image
    moving: Image
    sample_pair: SamplePair | None = None

    @classmethod
    def own(cls, arguments: argparse.Namespace) -> _Pair:
        from ..core.io.images import read_image

        return cls(read_image(arguments.fixed), read_image(arguments.moving))

    @classmethod
    def sample(cls) -> _Pair:
        from .demo_pair import make_sample_pair

        say("Making the sample pair: the MNI152 brain, and a copy deformed by a known flow")
        sample_pair = make_sample_pair()
        return cls(sample_pair.fixed, sample_pair.moving, sample_pair)


class TerminalProgress:
    """A progress bar that redraws its line in a terminal, and prints one line per stage into anything else."""

    def __init__(self) -> None:
        self._redraws = sys.stdout.isatty()
        self._stage, self._width = "", 0

    def __call__(self, fraction: float, text: str) -> None:
        if self._redraws:
            line = f"[{'#' * round(fraction * _BAR):.<{_BAR}}] {fraction:4.0%} {text}"
            print(f"\r{line:{self._width}}", end="", flush=True)
            self._width = len(line)
        elif (stage := text.split(",")[0]) != self._stage:
            print(f"  {fraction:4.0%} {stage}", flush=True)
            self._stage = stage

    def end(self) -> None:
        """Leave the bar's line."""
        if self._redraws and self._width:
            print(flush=True)


def _figures(pair: _Pair, result: Registration) -> list[str]:
    report = result.report
    rows = [("", "before", "after")]
    rows.append(("correlation", f"{report.similarity_before:.3f}", f"{report.similarity_after:.3f}"))
    rows += [] if pair.sample_pair is None else _truth_rows(pair.sample_pair, result)
    rows.append(("folded voxels, %", "", f"{report.folded_percent:.3f}"))
    lines = ["", *(f"{name:30}{before:>10}{after:>10}" for name, before, after in rows), ""]
    lines.append(f"{report.model_title}: {report.seconds['total']:.1f} s on {report.device}")
    return lines + [f"Warning: {warning}" for warning in report.warnings]


def _truth_rows(pair: SamplePair, result: Registration) -> list[tuple[str, str, str]]:
    """Error against the known deformation and overlap of the tissues, inside the brain."""
    import numpy as np

    from ..core.transform import AffineTransform
    from ..report.measures import dice_by_label, displacement_error
    from .demo_pair import LABEL_NAMES

    inside, grid = pair.fixed_labels.array > 0, pair.fixed.geometry
    both = (AffineTransform(np.eye(4)), result.forward)
    errors = [displacement_error(transform, pair.truth, grid, inside) for transform in both]
    dice = [dice_by_label(pair.fixed_labels, t.resample(pair.moving_labels, grid)) for t in both]
    back_grid, ways = pair.moving.geometry, (both[0], result.inverse)
    back = [dice_by_label(pair.moving_labels, t.resample(pair.fixed_labels, back_grid)) for t in ways]
    return [
        ("error in mm, mean", *(f"{error.mean:.2f}" for error in errors)),
        ("error in mm, 95th percentile", *(f"{error.percentile_95:.2f}" for error in errors)),
        *(
            (f"Dice, {name}{end}", *(f"{part[label]:.3f}" for part in parts))
            for parts, end in ((dice, ""), (back, ", back"))
            for label, name in LABEL_NAMES.items()
        ),
    ]


def _write(folder: Path, pair: _Pair, result: Registration) -> list[str]:
    """Write all files or none; returns what to tell the user about them."""
    from ..core.io.files import replacing
    from ..core.io.images import write_image
    from ..core.io.transforms import write_transform
    from ..report.page import write_report
    from .demo_pair import LABEL_NAMES

    sample = pair.sample_pair
    known = (
        {}
        if sample is None
        else {
            "labels": (sample.fixed_labels, sample.moving_labels),
            "truth": sample.truth,
            "label_names": LABEL_NAMES,
        }
    )
    with ExitStack() as stack:

        def output(name: str) -> Path:
            return stack.enter_context(replacing(folder / name))

        write_report(output("report.html"), pair.fixed, pair.moving, result, **known)
        write_image(result.moved, output("moved.nii.gz"))
        write_transform(result.forward, output("forward.h5"))
        write_transform(result.inverse, output("inverse.h5"))
        if sample is not None:
            write_image(sample.fixed, output("fixed.nii.gz"))
            write_image(sample.moving, output("moving.nii.gz"))
    return [
        "",
        f"Written to {folder.resolve()}:",
        "  report.html   pictures and figures; open it in a browser",
        "  moved.nii.gz  the moving volume on the fixed grid",
        "  forward.h5    transform that resamples moving volumes onto the fixed grid; Slicer and ITK read it",
        "  inverse.h5    the same in the other direction",
        *(["  fixed.nii.gz, moving.nii.gz  the sample pair"] if sample is not None else []),
    ]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}. Choose another --out.") from error


if __name__ == "__main__":
    sys.exit(main())
