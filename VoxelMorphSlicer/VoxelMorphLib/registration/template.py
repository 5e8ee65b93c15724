"""The template that a model keeps, or makes for the attributes of a subject, as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.attributes import Attribute, chosen_values
from ..core.errors import ConfigError, GeometryError
from ..core.image import Image
from ..core.progress import Progress, silent
from ..core.series import Series
from ..core.tensors import as_array, as_tensor
from ..networks.conditional_template import GeneratedTemplate
from ..networks.template import LearnedTemplate
from ..weights.architectures import TEMPLATES
from ..weights.catalogue import load_catalogue
from ..weights.entry import ModelEntry
from .memo import NetworkCache
from .network_space import standard_grid
from .template_request import TemplateRequest

WITHOUT_BASE = (
    "The file of {} holds only what is added to the image that its training started from, and only that is shown. Give "
    "that image as base."
)


def make_template(request: TemplateRequest, progress: Progress = silent, networks: NetworkCache | None = None) -> Image:
    """Make a template.

    Args:
        request: model and subject.
        progress: receives what is fetched and read.
        networks: keeps what was read for the next template of the same model.

    Returns:
        The template on the grid of the model's training, its middle at the origin, with sentences about what is
        doubtful as notes.

    Raises:
        ConfigError: the model has no template or no such attribute, or a value is no number.
        GeometryError: the base has another shape.
        WeightsError: as `weights.load.load_network`.
    """
    _check_entry(request)
    network, entry = (networks or NetworkCache()).load(request.model, request.weights_dir, progress=progress)
    attributes = attributes_of(network, entry)
    values, notes = chosen_values(attributes, request.attributes)
    voxels, doubts = _voxels(network, attributes, values, request.base, entry)
    array = as_array(voxels)
    shape = (*array.shape, 1, 1)[:3]
    grid = standard_grid(entry.space, shape) if request.base is None else request.base.geometry
    return Image(array.reshape(shape), grid, _name(attributes, values), (*notes, *doubts))


def make_sweep(
    request: TemplateRequest, name: str, values: Sequence[float], progress: Progress = silent
) -> tuple[Series, tuple[str, ...]]:
    """The templates of several values of one attribute, as frames, and what is doubtful about them.

    Args:
        request: model, and the subject's other attributes.
        name: of the attribute.
        values: of it, one for each frame.
        progress: receives how far this is.

    Raises:
        VoxelMorphError: as `make_template`.
    """
    networks, frames = NetworkCache(), []
    for place, value in enumerate(values):
        subject = replace(request, attributes={**request.attributes, name: value})
        frames.append(make_template(subject, silent if place else progress, networks))
        progress((place + 1) / len(values), f"{name} {value:g}")
    array = np.stack([frame.array for frame in frames], axis=-1)
    series = Series(array, frames[0].geometry, f"Template, {name} {values[0]:g} to {values[-1]:g}")
    return series, tuple(dict.fromkeys(note for frame in frames for note in frame.notes))


def model_attributes(request: TemplateRequest, progress: Progress = silent) -> Sequence[Attribute]:
    """What the template of a model depends on; the file is read where the list of models does not say it.

    Raises:
        VoxelMorphError: as `make_template`.
    """
    _check_entry(request)
    entry = load_catalogue().get(str(request.model))
    if entry is not None and entry.attributes:
        return entry.attributes
    return attributes_of(*NetworkCache().load(request.model, request.weights_dir, progress=progress))


def attributes_of(network: object, entry: ModelEntry) -> Sequence[Attribute]:
    """What the template depends on; numbered where the file names nothing."""
    count = network.attributes if isinstance(network, GeneratedTemplate) else 0
    if len(entry.attributes) == count:
        return entry.attributes
    return [Attribute(f"attribute{number}") for number in range(1, count + 1)]


def _check_entry(request: TemplateRequest) -> None:
    """Refuse other models of the catalogue before anything is downloaded."""
    entry = load_catalogue().get(str(request.model))
    if entry is not None and entry.architecture not in TEMPLATES:
        raise _no_template(entry)


def _no_template(entry: ModelEntry) -> ConfigError:
    return ConfigError(
        f"The model {entry.id} is a {entry.architecture} and has no template. Choose a model of the recipe template or "
        "conditional-template."
    )


@torch.inference_mode()
def _voxels(
    network: object, attributes: Sequence[Attribute], values: Sequence[float], base: Image | None, entry: ModelEntry
) -> tuple[Tensor, list[str]]:
    """The template (*shape), and sentences about it."""
    template: Tensor
    if isinstance(network, LearnedTemplate):
        template, holds_base = network.template.detach(), True
    elif isinstance(network, GeneratedTemplate):
        standardised = [a.standardised(value) for a, value in zip(attributes, values)]
        template, holds_base = network.template(torch.tensor([standardised]))[0], bool(network.base.any())
    else:
        raise _no_template(entry)
    if len(template) != 1:
        raise ConfigError(f"The template of {entry.id} has {len(template)} channels and is no volume.")
    if base is not None and holds_base:
        raise ConfigError(f"The file of {entry.id} holds its whole template. Leave the base out.")
    if base is None:
        return template[0].clone(), [] if holds_base else [WITHOUT_BASE.format(entry.id)]
    if base.array.shape != (*template.shape[1:], 1, 1)[:3]:
        raise GeometryError(
            f"{base.name} has the shape {base.array.shape}, the template of {entry.id} {tuple(template.shape[1:])}. "
            "Choose the image that the training started from."
        )
    return template[0] + as_tensor(base.array).reshape(template.shape[1:]), []


def _name(attributes: Sequence[Attribute], values: Sequence[float]) -> str:
    subject = ", ".join(f"{a.name} {value:g} {a.unit}".strip() for a, value in zip(attributes, values))
    return f"Template, {subject}" if subject else "Template"
