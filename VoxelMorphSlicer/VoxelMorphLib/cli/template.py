"""The template command: the template of a model, for a subject of chosen attributes or as a sweep through one."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from .common import ConsoleProgress, Parser, run, say
from .interrupts import current

if TYPE_CHECKING:
    from ..core.series import Volume
    from ..registration.template_request import TemplateRequest

#: Frames of a sweep unless another number is given.
FRAMES, MOST_FRAMES = 11, 1000
#: Files of an array or volume that is a template already.
_ARRAYS = (".npy", ".npz")


def main(argv: Sequence[str] | None = None) -> int:
    """Write a template from the command line; see `--help`."""
    return run(_command, argv)


def _parser() -> Parser:
    parser = Parser(prog="VoxelMorphTemplate", description="Write the template that a model keeps or makes.")
    add = parser.add_argument
    add("--model", default="", help="id of the list of models, of the recipe template or conditional-template")
    add("--modelFile", type=Path, help="in its place a weights file, or an atlas as .npz or .npy")
    add("--attributes", default="", help='of the subject, "age=71,sex=1"; default: the mean of the training')
    add("--output", type=Path, required=True, help="output: the template as a volume, .nii.gz for example")
    add(
        "--series",
        default="",
        help='write a sweep through one attribute as a 4-D volume instead: "age" takes the trained range in '
        f'{FRAMES} frames, "age=20:90:15" 15 frames from 20 to 90',
    )
    add("--base", type=Path, help="volume that the generated one is added to; the original's files do not hold it")
    add("--weightsDir", dest="weights_dir", type=Path, help="folder with downloaded weights, recognised by checksum")
    return parser


def _command(argv: Sequence[str]) -> None:
    arguments = _parser().parse(argv)
    _check_files(arguments)
    volume, notes = _made(arguments)
    from ..core.io.volumes import write_volume

    current().check()
    write_volume(volume, arguments.output)
    current().finish()
    shape = "x".join(map(str, volume.array.shape))
    say(f"{volume.name}: {shape} voxels in {arguments.output}.", *(f"Warning: {note}" for note in notes))


def _check_files(arguments: argparse.Namespace) -> None:
    from ..core.io.collisions import check_apart
    from ..core.io.files import check_writable
    from ..core.io.images import check_image_extension

    if not arguments.model and not arguments.modelFile:
        raise ConfigError("There is no model. Give --model, an id of the list of models, or --modelFile, a file.")
    check_image_extension(arguments.output)
    check_writable(arguments.output)
    check_apart({"modelFile": arguments.modelFile, "base": arguments.base}, {"output": arguments.output})


def _made(arguments: argparse.Namespace) -> tuple[Volume, Sequence[str]]:
    """The template or sweep, and what is doubtful about it."""
    from ..core.io.files import extension

    if arguments.modelFile is not None and extension(arguments.modelFile) in _ARRAYS:
        return _read_array(arguments)
    request, progress = _request(arguments), ConsoleProgress("VoxelMorphTemplate")
    if arguments.series:
        return _sweep(request, arguments.series, progress)
    from ..registration.template import make_template

    template = make_template(request, progress)
    return template, template.notes


def _read_array(arguments: argparse.Namespace) -> tuple[Volume, Sequence[str]]:
    from ..core.io.images import read_image

    if arguments.attributes or arguments.series or arguments.base:
        raise ConfigError(f"{arguments.modelFile} is one volume without attributes. Leave these options out.")
    image = read_image(arguments.modelFile)
    return image, image.notes


def _request(arguments: argparse.Namespace) -> TemplateRequest:
    from ..core.io.images import read_image
    from ..registration.template_request import TemplateRequest

    return TemplateRequest(
        arguments.modelFile or arguments.model,
        parse_attributes(arguments.attributes),
        None if arguments.base is None else read_image(arguments.base),
        arguments.weights_dir,
    )


def parse_attributes(text: str) -> dict[str, float]:
    """The values of "age=71,sex=1" by name.

    Raises:
        ConfigError: the text is something else, or names an attribute twice.
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, is_given, value = (each.strip() for each in part.partition("="))
        if not name or not is_given or name in values:
            raise ConfigError(f"--attributes has {part!r}. Write every attribute once, as in age=71,sex=1.")
        values[name] = _number(value, name)
    return values


def _sweep(request: TemplateRequest, text: str, progress: ConsoleProgress) -> tuple[Volume, Sequence[str]]:
    from ..registration.template import make_sweep, model_attributes

    match = re.fullmatch(r"\s*([^=]+?)\s*(?:=\s*([^:]+):([^:]+)(?::(\d+))?)?\s*", text)
    if match is None:
        raise ConfigError(f"--series is {text!r}. Write age, age=20:90 or age=20:90:15, name, range and frames.")
    name, low, high, count = match.groups()
    attributes = {attribute.name: attribute for attribute in model_attributes(request, progress)}
    if name not in attributes:
        has = ", ".join(attributes) or "none: its template is always the same"
        raise ConfigError(f"There is no attribute {name!r} to sweep through; this model has {has}.")
    limits = attributes[name].limits if low is None else (_number(low, name), _number(high, name))
    if limits is None:
        raise ConfigError(f"The trained range of {name} is not known. Give one, as in --series {name}=20:90.")
    frames = int(count or FRAMES)
    if not 2 <= frames <= MOST_FRAMES:
        raise ConfigError(f"--series asks for {frames} frames; choose 2 to {MOST_FRAMES}.")
    step = (limits[1] - limits[0]) / (frames - 1)
    return make_sweep(request, name, [limits[0] + step * frame for frame in range(frames)], progress)


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"The attribute {name} is {text!r}. Write a number, as in {name}=71.")
    return value


if __name__ == "__main__":  # the module's process
    sys.exit(main())
