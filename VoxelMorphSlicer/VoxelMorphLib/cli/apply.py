"""The apply command: transforms in a row applied to volumes, points, surfaces and streamlines, drawn, or converted."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..apply.options import ApplyOptions
from ..core.errors import ConfigError, VoxelMorphError
from ..core.io.files import extension
from ..core.options import options_of
from ..core.progress import span
from .common import ConsoleProgress, Parser, run, say
from .interrupts import current
from .options import add_options, given_options

if TYPE_CHECKING:
    from ..apply.chain import Chain
    from ..core.geometry import Geometry
    from ..core.image import LabelMap

#: What is moved, and the option that receives it. Each takes any kind of file; the last three are for Slicer's form.
PAIRS = {
    "input": "output",
    "movingLabels": "movedLabels",
    "movingPoints": "movedPoints",
    "movingSurface": "movedSurface",
}
#: Share of the work after which the labels of a model are found, and only moved.
LABELLED = 0.9
#: Options of files about the transforms themselves.
MAPS = ("jacobian", "magnitude", "outputTransform")
#: Options of transforms, and whether they invert.
TRANSFORMS = {"transform": False, "inverseOf": True}
#: How to resample, by field name.
OPTIONS = options_of(ApplyOptions)


def main(argv: Sequence[str] | None = None) -> int:
    """Apply transforms from the command line; see `--help`."""
    return run(_command, argv)


class _InOrder(argparse.Action):
    """Keeps transforms and inverses in the order in which they are named."""

    def __call__(self, _parser: Any, namespace: Any, value: Any, flag: str | None = None) -> None:
        inverts = TRANSFORMS[str(flag).lstrip("-").rstrip("2")]
        namespace.transforms = [*namespace.transforms, (value, inverts)]


def _parser() -> Parser:
    parser = Parser(prog="VoxelMorphApply", description="Apply transforms to anything, draw them, or convert them.")
    add = parser.add_argument
    for name, text in (
        (
            "transform",
            "a transform fixed to moving, as --forward of VoxelMorphRegister; several are named in the order from the "
            "reference to the input, as one reads them: reference, middle, input",
        ),
        ("inverseOf", "a transform whose inverse stands at this place of the row"),
    ):
        add(f"--{name}", f"--{name}2", dest="transforms", type=Path, action=_InOrder, default=[], help=text)
    add("--reference", type=Path, help="volume whose grid the result has; default: the grid of the first field")
    add(
        "--input",
        type=Path,
        help="volume, series or colours; points (.mrk.json, .fcsv, .csv), surface (.vtk, .vtp, .stl, .ply, .obj) or "
        "streamlines (.trk, .tck), which go the opposite way, from the input's space to the reference, by themselves",
    )
    add("--output", type=Path, help="output: the input, moved")
    add("--movingLabels", type=Path, help="label map in the space of the input, nearest or multilabel")
    add("--movedLabels", type=Path, help="output: the label map, moved")
    add(
        "--model",
        help="id or weights file of the recipe atlas-segmentation; the labels that it finds in --input take the place "
        "of --movingLabels, without any transform on the grid of the input",
    )
    add("--weightsDir", dest="weights_dir", type=Path, help="folder with downloaded weights, recognised by checksum")
    add("--device", default="auto", help="that runs the model: auto, cpu, cuda:0, mps; default: auto")
    add("--movingPoints", type=Path, help="points in the space of the input")
    add("--movedPoints", type=Path, help="output: the points, moved")
    add("--movingSurface", type=Path, help="surface or streamlines in the space of the input")
    add("--movedSurface", type=Path, help="output: the surface, moved")
    add("--jacobian", type=Path, help="output: volume ratio at every voxel of the reference; 0 and less is a fold")
    add("--magnitude", type=Path, help="output: length of the displacement at every voxel of the reference, mm")
    add(
        "--outputTransform",
        type=Path,
        help="output: all transforms as one, in the format of the extension (.h5, .tfm; on the grid of the reference: "
        ".nii.gz, .nrrd, .mha, .mgz, .npz; without deformation also: .lta, .mat)",
    )
    add_options(parser, OPTIONS)
    return parser


def _command(argv: Sequence[str]) -> None:
    arguments = _parser().parse(argv)
    options = ApplyOptions(**given_options(arguments, OPTIONS))
    _check_files(arguments, options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        lines = _apply(arguments, options)
    say(*lines, *(f"Warning: {text}" for text in dict.fromkeys(str(warning.message) for warning in caught)))


def _apply(arguments: argparse.Namespace, options: ApplyOptions) -> list[str]:
    """Do everything, then write everything; gives what to say about it."""
    from ..apply.chain import Chain
    from ..core.io.files import replacing
    from ..core.io.images import read_image_geometry
    from ..core.io.positions import warn_of_mixed_positions

    reference = read_image_geometry(arguments.reference) if arguments.reference else None
    warn_of_mixed_positions((arguments.reference, arguments.input, arguments.movingLabels))
    chain = Chain.read(arguments.transforms, reference, _moved_grid(arguments))
    made = [*_moved(arguments, chain, reference, options), *_maps(arguments, chain, reference)]
    with ExitStack() as stack:  # a failure leaves none of the files
        for path, write, _line in made:
            write(stack.enter_context(replacing(path)))
        current().finish()
    return [line for _path, _write, line in made]


def _moved_grid(arguments: argparse.Namespace) -> Geometry | None:
    """Of the volume that is moved, where there is one; what is wrong with it is said when it is read."""
    from ..core.io.images import IMAGE_EXTENSIONS, read_image_geometry

    for path in (arguments.input, arguments.movingLabels):
        if path is not None and extension(path) in IMAGE_EXTENSIONS:
            with suppress(VoxelMorphError):
                return read_image_geometry(path)
    return None


def _moved(
    arguments: argparse.Namespace, chain: Chain, reference: Geometry | None, options: ApplyOptions
) -> Iterator[tuple[Path, Any, str]]:
    """File, function that writes it, and a line, of everything that is moved."""
    from ..apply.apply import apply
    from ..apply.request import ApplyRequest, check_moved_extension, read_moved, write_moved

    progress = ConsoleProgress("VoxelMorphApply")
    for source, target in PAIRS.items():
        path, goal = getattr(arguments, source), getattr(arguments, target)
        labels = source == "movingLabels"
        finds = labels and arguments.model is not None
        if goal is None or (path is None and not finds):
            continue
        moved = _found_labels(arguments, progress) if finds else read_moved(path, options, as_labels=labels)
        check_moved_extension(moved, goal)
        chosen = replace(options, interpolation="nearest") if _needs_nearest(labels, options) else options
        moving = span(progress, LABELLED, 1.0) if finds else progress
        moving(0.0, f"Moving {moved.name}")
        own = moved.geometry if finds and not chain.links and reference is None else reference
        result = apply(ApplyRequest(moved, chain, own, chosen), moving)
        yield goal, _writer(write_moved, result), _line(moved.name, result, options.header_only)


def _found_labels(arguments: argparse.Namespace, progress: ConsoleProgress) -> LabelMap:
    """What the model finds in the input."""
    from ..core.io.images import read_image
    from ..registration.segment import segment_image

    image = read_image(arguments.input)
    return segment_image(image, arguments.model, arguments.weights_dir, arguments.device, span(progress, 0.0, LABELLED))


def _needs_nearest(labels: bool, options: ApplyOptions) -> bool:
    return labels and options.interpolation != "multilabel"


def _maps(arguments: argparse.Namespace, chain: Chain, reference: Geometry | None) -> Iterator[tuple[Path, Any, str]]:
    """The same of what is made of the transforms themselves."""
    from ..apply.chain import tell_misses, writable
    from ..apply.maps import jacobian_map, magnitude_map
    from ..apply.request import grid_of
    from ..core.io.images import write_image

    for name, draw in (("jacobian", jacobian_map), ("magnitude", magnitude_map)):
        path = getattr(arguments, name)
        if path is not None:
            grid, pull = grid_of(chain, reference), chain.pull()
            chain.check_meets(grid)
            drawn = draw(pull, grid)
            tell_misses(pull, chain.name)
            values = f"{drawn.array.min():.3g} to {drawn.array.max():.3g}"
            yield path, _writer(write_image, drawn), f"{drawn.name}: {values}{' mm' * (name == 'magnitude')}."
    if arguments.outputTransform is not None:
        from ..core.io.transforms import check_transform_extension, kind_of, write_transform

        pull = chain.pull()
        transform = writable(pull, reference)
        check_transform_extension(arguments.outputTransform, kind_of(transform))
        tell_misses(pull, chain.name)
        grid = reference or chain.grid()
        yield (
            arguments.outputTransform,
            lambda scratch: write_transform(transform, scratch, grid),
            f"Transform: {kind_of(transform)}.",
        )


def _writer(write: Any, made: Any) -> Any:
    return lambda scratch: write(made, scratch)


def _line(name: str, result: Any, by_header: bool) -> str:
    if hasattr(result, "geometry"):
        return f"{name}: {'moved by its header, ' if by_header else 'resampled onto '}{result.geometry}."
    count = len(result.positions)
    return f"{name}: {count} points brought into the space of the reference, the opposite way of volumes."


def _check_files(arguments: argparse.Namespace, options: ApplyOptions) -> None:
    """Refuse before the work what would fail after it."""
    from ..core.io.collisions import check_apart
    from ..core.io.files import check_writable
    from ..core.io.images import check_image_extension

    _check_pairs(arguments)
    outputs = {name: getattr(arguments, name) for name in (*PAIRS.values(), *MAPS)}
    if not any(outputs.values()):
        raise ConfigError(
            "Nothing would be written. Give --input and --output, or one of --jacobian, --magnitude, --outputTransform."
        )
    if options.header_only and not (arguments.transforms and (arguments.output or arguments.movedLabels)):
        raise ConfigError(
            "--headerOnly changes where a volume lies by a transform. Give --transform or --inverseOf, --input and "
            "--output."
        )
    if not (arguments.transforms or arguments.reference or arguments.model):
        raise ConfigError("There is nothing to apply. Give --transform, --inverseOf, or a --reference to resample to.")
    for name in ("jacobian", "magnitude"):
        if outputs[name]:
            check_image_extension(outputs[name])
    for path in filter(None, outputs.values()):
        check_writable(path)
    inputs = {name: getattr(arguments, name) for name in ("reference", "model", *PAIRS)}
    named = {f"transform {n + 1}": path for n, (path, _inverts) in enumerate(arguments.transforms)}
    check_apart({**inputs, **named}, outputs)


def _check_pairs(arguments: argparse.Namespace) -> None:
    """Refuse what has nowhere to go, and what comes from nowhere."""
    if arguments.model is not None and (arguments.movingLabels or not (arguments.input and arguments.movedLabels)):
        raise ConfigError(
            "--model finds labels in --input and writes them to --movedLabels. Give both, and no --movingLabels."
        )
    for source, target in PAIRS.items():
        is_found = arguments.model is not None and source in ("input", "movingLabels")
        if not is_found and (getattr(arguments, source) is None) != (getattr(arguments, target) is None):
            raise ConfigError(f"--{source} and --{target} belong together. Give both or neither.")


if __name__ == "__main__":  # the module's process
    sys.exit(main())
