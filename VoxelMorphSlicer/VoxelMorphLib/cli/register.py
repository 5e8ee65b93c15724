"""The register command: two image files in, moved image, moved labels, transforms and report out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.config import RegistrationOptions
from ..core.errors import ConfigError
from ..core.header_motion import moved_header
from ..core.image import Image
from ..core.options import options_of
from ..weights.architectures import SEGMENTING
from ..weights.catalogue import DEFAULT_MODEL
from .common import ConsoleProgress, Parser, complain, run, say
from .interrupts import current
from .options import add_options, add_preset, list_presets, request_fields

if TYPE_CHECKING:
    from ..core.image import LabelMap
    from ..core.transform import Transform
    from ..registration.request import RegistrationRequest
    from ..registration.result import Registration
    from ..weights.entry import ModelEntry

#: Options of files that are written, and of files that are read.
OUTPUTS = ("moved", "movedLabels", "forward", "inverse", "report")
INPUTS = {
    **{"fixed": "fixed", "moving": "moving", "fixedMask": "fixed_mask", "movingMask": "moving_mask"},
    **{"fixedPoints": "fixed_landmarks", "movingPoints": "moving_landmarks", "fixedLabels": "fixed_labels"},
    **{"movingLabels": "movingLabels", "initialTransform": "initial", "model": "model"},
}
#: The start that bends.
THIN_PLATE = "landmarks-thin-plate"
#: How to register, by field name.
OPTIONS = options_of(RegistrationOptions)


def main(argv: Sequence[str] | None = None) -> int:
    """Register two images from the command line; see `--help`."""
    return run(_command, argv)


def _parser() -> Parser:
    parser = Parser(prog="VoxelMorphRegister", description="Align a moving volume with a fixed one.")
    add = parser.add_argument
    add("--fixed", type=Path, help="volume whose grid and position the result has")
    add("--moving", type=Path, help="volume to be warped")
    add("--moved", type=Path, help="output: the moving volume on the fixed grid")
    add(
        "--forward",
        type=Path,
        help="output: transform fixed to moving, resamples moving volumes (as it is: .h5, .tfm; displacements on the "
        "fixed grid: .nii.gz, .nrrd, .mha, .mgz, .npz; without deformation also: .lta, .mat)",
    )
    add("--inverse", type=Path, help="output: transform moving to fixed (the same formats; grid of the moving volume)")
    add(
        "--fixedMask",
        dest="fixed_mask",
        type=Path,
        help="label map in the space of the fixed volume: only its inside is looked at",
    )
    add(
        "--movingMask",
        dest="moving_mask",
        type=Path,
        help="label map in the space of the moving volume: only its inside is looked at",
    )
    add(
        "--fixedPoints",
        dest="fixed_landmarks",
        type=Path,
        help="landmarks of the fixed volume that pull the registration or start it (.mrk.json, .fcsv, .csv)",
    )
    add("--movingPoints", dest="moving_landmarks", type=Path, help="the same landmarks in the moving volume")
    add(
        "--fixedLabels",
        dest="fixed_labels",
        type=Path,
        help="label map in the space of the fixed volume, which the same numbers of --movingLabels are pulled to",
    )
    add("--movingLabels", type=Path, help="label map in the space of the moving volume")
    add(
        "--movedLabels",
        type=Path,
        help="output: the label map on the fixed grid, nearest neighbour; without --movingLabels what a model of the "
        "recipe atlas-segmentation finds in the fixed volume",
    )
    add("--initialTransform", dest="initial", type=Path, help="rough alignment fixed to moving that comes first")
    add("--model", default="", help=f"id of the model list, or a weights file; default: {DEFAULT_MODEL}")
    add("--modelFile", type=Path, help="a weights file of your own, which takes the place of --model")
    add_preset(parser)
    add("--weightsDir", dest="weights_dir", type=Path, help="folder with downloaded weights, recognised by checksum")
    add(
        "--headerOnly",
        action="store_true",
        help="--moved and --movedLabels keep their voxels, and the header alone says where they lie now; for models "
        "that neither bend nor shear",
    )
    add("--report", type=Path, help="output: HTML page with pictures and figures")
    add_options(parser, OPTIONS)
    add("--allowFallback", dest="allow_fallback", action="store_true", help="short of memory, use half the resolution")
    add("--listModels", action="store_true", help="print the models and stop")
    add("--listDevices", action="store_true", help="print the devices and stop")
    return parser


def _command(argv: Sequence[str]) -> None:
    arguments = _parser().parse(argv)
    if arguments.listModels:
        _list_models(arguments.weights_dir)
    if arguments.listDevices:
        _list_devices()
    if arguments.listPresets:
        list_presets()
    if not (arguments.listModels or arguments.listDevices or arguments.listPresets):
        _register(arguments)


def _list_models(weights_dir: Path | None) -> None:
    from ..weights.catalogue import catalogue_problems, load_catalogue
    from ..weights.store import state

    for entry in load_catalogue().values():
        usable = state(entry, weights_dir) if entry.available else "not supported by this version"
        say(f"{entry.id:24} {usable:30} {entry.description}")
    for problem in catalogue_problems():
        complain(f"Warning: left out: {problem}")


def _list_devices() -> None:
    from ..core.devices import available_devices

    for device in available_devices():
        say(device)


def _register(arguments: argparse.Namespace) -> None:
    fields = request_fields(arguments, OPTIONS)
    _check_files(arguments)
    from ..core.io.images import read_label_map
    from ..registration.fitness import unfitness
    from ..registration.masks import check_labels_meet
    from ..registration.predictor import known_entry
    from ..registration.register import register
    from ..registration.request import RegistrationRequest

    labels = read_label_map(arguments.movingLabels) if arguments.movingLabels else None
    if arguments.fixed_labels:
        fields["moving_labels"] = labels
    request = RegistrationRequest.read(**fields)
    _check_types(arguments, request.moving, labels)
    _check_transforms(arguments, request.model, request.initial)
    progress = ConsoleProgress("VoxelMorphRegister")
    found: Image | None = None
    if arguments.movedLabels and labels is None:
        found = _found_labels(arguments, request, progress)
    if labels is not None:
        check_labels_meet(labels, request.moving, "moving")
    doubt = unfitness(request, known_entry(request.model))
    if doubt:  # before the work, so that it can be stopped
        say(f"Warning: {doubt}")
    result = register(request, progress)
    if arguments.movedLabels and labels is not None:
        found = _placed(labels, arguments, request, result)
    _write(arguments, request, result, found)
    _say(result.report)


def _found_labels(arguments: argparse.Namespace, request: RegistrationRequest, progress: ConsoleProgress) -> LabelMap:
    """What the model finds in the fixed volume."""
    from ..core.io.images import check_voxel_type
    from ..registration.segment import segment_image

    model = request.model or DEFAULT_MODEL
    found = segment_image(request.fixed, model, request.weights_dir, request.options.device, progress)
    check_voxel_type(arguments.movedLabels, found.array.dtype)
    return found


def _placed(
    labels: LabelMap, arguments: argparse.Namespace, request: RegistrationRequest, result: Registration
) -> LabelMap:
    """The labels of the moving volume where it is now."""
    if arguments.headerOnly:
        return moved_header(labels, result.forward)
    return result.forward.resample(labels, request.fixed.geometry)


def _write(
    arguments: argparse.Namespace, request: RegistrationRequest, result: Registration, moved_labels: Image | None
) -> None:
    """Write whatever was asked for, all or nothing."""
    from ..core.io.files import replacing
    from ..core.io.images import write_image
    from ..core.io.transforms import write_transform

    with ExitStack() as stack:  # a failure leaves none of the files
        if arguments.moved:
            moved = moved_header(request.moving, result.forward) if arguments.headerOnly else result.moved
            write_image(moved, stack.enter_context(replacing(arguments.moved)))
        if arguments.movedLabels and moved_labels is not None:
            write_image(moved_labels, stack.enter_context(replacing(arguments.movedLabels)))
        grids = request.fixed.geometry, request.moving.geometry
        if arguments.forward:
            write_transform(result.forward, stack.enter_context(replacing(arguments.forward)), *grids)
        if arguments.inverse:
            write_transform(result.inverse, stack.enter_context(replacing(arguments.inverse)), *reversed(grids))
        if arguments.report:
            from ..report.page import write_report

            first, second = request.fixed_labels, request.moving_labels
            pair = None if first is None or second is None else (first, second)
            page = stack.enter_context(replacing(arguments.report))
            write_report(page, request.fixed, request.moving, result, pair)
        current().finish()


def _check_files(arguments: argparse.Namespace) -> None:
    """Refuse before the work what would fail after it."""
    from ..core.io.collisions import check_apart
    from ..core.io.files import check_writable
    from ..core.io.images import check_image_extension

    for name in ("fixed", "moving"):
        if getattr(arguments, name) is None:
            raise ConfigError(f"--{name} is missing. Name the {name} volume's file.")
    _check_labels(arguments)
    for name in ("moved", "movedLabels"):
        if getattr(arguments, name):
            check_image_extension(getattr(arguments, name))
    _check_transforms(arguments, arguments.modelFile or arguments.model)
    if arguments.headerOnly and not (arguments.moved or arguments.movedLabels):
        raise ConfigError("--headerOnly says how --moved and --movedLabels are written. Give one of them.")
    outputs = {name: getattr(arguments, name) for name in OUTPUTS}
    if not any(outputs.values()):
        raise ConfigError(
            "Nothing would be written. Give at least one of --moved, --movedLabels, --forward, --inverse, --report."
        )
    for path in filter(None, outputs.values()):
        check_writable(path)
    check_apart({option: getattr(arguments, field) or None for option, field in INPUTS.items()}, outputs)


def _check_types(arguments: argparse.Namespace, moving: Image, labels: Image | None) -> None:
    """Refuse before the work a format that cannot hold the voxels of the result."""
    from ..core.io.images import check_voxel_type

    for path, image in ((arguments.moved, moving), (arguments.movedLabels, labels)):
        if path and image is not None:
            check_voxel_type(path, image.array.dtype)


def _check_transforms(
    arguments: argparse.Namespace, model: str | Path | None, initial: Transform | None = None
) -> None:
    """Refuse before the work a format that cannot hold what the model gives, as far as that is known."""
    from ..core.io.transforms import check_transform_extension
    from ..core.transform import AffineTransform

    entry = _known_entry(model)
    if arguments.headerOnly and entry is not None and entry.bends:
        raise ConfigError(
            f"The model {entry.id} bends the volume, which a header cannot tell. Leave --headerOnly off, or choose a "
            "rigid model."
        )
    is_linear = entry is not None and not entry.bends and isinstance(initial, (AffineTransform, type(None)))
    is_linear &= getattr(arguments, "affine", "") != THIN_PLATE
    for path in filter(None, (arguments.forward, arguments.inverse)):
        check_transform_extension(path, "affine" if is_linear else "composite")


def _known_entry(model: str | Path | None) -> ModelEntry | None:
    """What the list of models or a weights file itself says about a model; nothing is known of other programs' files.

    A file that cannot be read is told about when it is used.
    """
    from ..core.errors import VoxelMorphError
    from ..core.io.paths import is_file
    from ..weights.catalogue import load_catalogue

    listed = load_catalogue().get(str(model or DEFAULT_MODEL))
    if listed is not None or not str(model).endswith(".safetensors") or not is_file(str(model)):
        return listed
    from ..weights.safetensors_file import read_entry

    try:
        return read_entry(str(model))
    except VoxelMorphError:
        return None


def _may_segment(arguments: argparse.Namespace) -> bool:
    """Whether the model may find labels by itself; nothing is known of weight files before they are read."""
    from ..weights.catalogue import load_catalogue

    model = str(arguments.modelFile or arguments.model or DEFAULT_MODEL)
    entry = load_catalogue().get(model)
    return entry is None or entry.architecture == SEGMENTING


def _check_labels(arguments: argparse.Namespace) -> None:
    finds_labels = arguments.movedLabels and not arguments.fixed_labels and _may_segment(arguments)
    if (arguments.movedLabels or arguments.fixed_labels) and not (arguments.movingLabels or finds_labels):
        raise ConfigError("--movedLabels and --fixedLabels need --movingLabels. Name the moving volume's label map.")
    if arguments.movingLabels and not (arguments.movedLabels or arguments.fixed_labels):
        raise ConfigError(
            "--movingLabels belongs to --movedLabels, which receives it moved, or to --fixedLabels, which it is pulled "
            "to. Give one of them, or none of the three."
        )


def _say(report: object) -> None:
    say(
        f"Correlation {report.similarity_before:.3f} before, {report.similarity_after:.3f} after; "
        f"{report.folded_percent:.3f} % folded voxels; {report.seconds['total']:.1f} s on {report.device}.",
    )
    if report.landmarks:
        say(
            f"{report.landmarks} pairs of landmarks: {report.landmark_error_before_mm:.2f} mm apart before, "
            f"{report.landmark_error_after_mm:.2f} mm after, on average."
        )
    for warning in report.warnings:
        if warning != report.worse:
            say(f"Warning: {warning}")
    if report.worse:  # last, where it is seen; the files are written, so that the command has not failed
        complain(f"Warning: {report.worse}")
