"""A model and a pair of images to the transforms in both directions; the model may be a network or an optimisation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from ..core.config import NetworkSpace
from ..core.devices import resolve_device
from ..core.displacement import invert_displacement
from ..core.errors import DeviceError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.progress import Progress
from ..core.transform import AffineTransform, DisplacementField, Transform
from ..networks.fields import FieldPair
from ..weights.architectures import LINEAR
from ..weights.catalogue import find_entry, load_catalogue
from ..weights.entry import ModelEntry
from ..weights.load import load_network
from ..weights.store import pin_notice
from .masks import hide_outside
from .memo import NetworkCache
from .network_space import decode_affine, encode, encode_mask, field_on_grid, network_grid
from .optimise import VelocityOptimiser, optimiser_space
from .request import RegistrationRequest

#: Chosen when the user names no model: it needs no weights and no network connection.
DEFAULT_MODEL = "optimise"

_Mask = Optional[torch.Tensor]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A loaded model on its device.

    Args:
        entry: what the catalogue or the file says about it.
        device: that it computes on.
        predict: (moving, fixed, progress, fixed mask, moving mask) -> fields; tensors (1, 1, I, J, K) on `device`, or
            None for no mask. None where nothing comes after the start.
        warnings: sentences about its first use.
    """

    entry: ModelEntry
    device: str
    predict: Callable[[torch.Tensor, torch.Tensor, Progress, _Mask, _Mask], FieldPair] | None
    warnings: tuple[str, ...] = ()

    def space(self, fixed: Geometry) -> NetworkSpace:
        """The grid and intensities to encode a pair for."""
        return optimiser_space(self.entry.space, fixed) if self.entry.id == DEFAULT_MODEL else self.entry.space

    def fields(
        self,
        moving: torch.Tensor,
        fixed: torch.Tensor,
        progress: Progress,
        fixed_mask: torch.Tensor | None = None,
        moving_mask: torch.Tensor | None = None,
    ) -> FieldPair:
        """Displacements in voxels of the grid of both images, without gradients.

        Networks ignore the masks: outside them their images are background already.
        """
        assert self.predict is not None, f"{self.entry.id} predicts no field"
        progress(0.0, f"Aligning on {self.device}")
        with torch.no_grad():
            masks = (None if mask is None else mask.to(self.device) for mask in (fixed_mask, moving_mask))
            return self.predict(moving.to(self.device), fixed.to(self.device), progress, *masks)


def known_entry(model: str | Path | None) -> ModelEntry | None:
    """What the catalogue says about a model before it is loaded; None of weight files and unknown ids."""
    return load_catalogue().get(str(model or DEFAULT_MODEL))


def load_predictor(
    request: RegistrationRequest,
    progress: Progress,
    networks: NetworkCache | None = None,
) -> Predictor:
    """Prepare the model of a request.

    Args:
        request: names the model, device, precision, regularity and what an optimisation may cost.
        progress: of a download.
        networks: keeps what is loaded for the next call; None loads anew.

    Raises:
        ConfigError: unknown model.
        WeightsError: the weights cannot be had or read.
        DeviceError: no such device.
    """
    options, name = request.options, str(request.model or DEFAULT_MODEL)
    device = resolve_device(options.device)
    if name == DEFAULT_MODEL:
        optimiser = VelocityOptimiser(options.smoothness, options.budget_s)
        return Predictor(find_entry(name), device, optimiser.fields)
    listed = known_entry(name)
    if listed is not None and listed.architecture == LINEAR:
        return Predictor(listed, "cpu", None)  # where every start is found
    load = networks.load if networks is not None else load_network
    told = pin_notice(listed)
    network, entry = load(
        request.model or name, request.weights_dir, device, options.precision, progress, options.hyper
    )
    notice = pin_notice(entry)
    said = (notice,) if notice and notice != told else ()
    return Predictor(entry, device, lambda moving, fixed, _progress, *_masks: network.fields(moving, fixed), said)


#: Iterations that remove what sampling on a grid leaves between the integrals of a velocity and of its negative.
POLISHING = 2


@dataclass(frozen=True, eq=False)
class Alignment:
    """What aligning a pair gives.

    Args:
        forward, inverse: fixed -> moving and back: affine maps, or fields on the fixed grid, each through the start.
        warnings: sentences about them.
    """

    forward: Transform
    inverse: Transform
    warnings: tuple[str, ...] = ()


def align(
    fixed: Image,
    moving: Image,
    start: Transform,
    predictor: Predictor,
    progress: Progress,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
) -> Alignment:
    """Run a model on a pair.

    Args:
        fixed, moving: the images.
        start: fixed -> moving before the model.
        predictor: the model.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of their images.

    Raises:
        DeviceError: the memory of the device does not suffice.
    """
    space = predictor.entry.space
    grid = network_grid(hide_outside(fixed, fixed_mask), predictor.space(fixed.geometry))
    images = encode(moving, grid, space, start, moving_mask), encode(fixed, grid, space, mask=fixed_mask)
    masks = encode_mask(fixed_mask, grid), encode_mask(moving_mask, grid, start)
    pair = _guarded(predictor, *images, progress, *masks)
    del images, masks
    if pair.matrix is not None:
        forward = decode_affine(pair.matrix, grid).compose(start)
        return Alignment(forward, forward.inverse())
    field = field_on_grid(pair.displacement, grid, fixed.geometry)
    said: tuple[str, ...] = ()
    if pair.inverse is not None:
        exact, _residual = invert_displacement(pair.displacement, POLISHING, start=pair.inverse, check=False)
        back = field_on_grid(exact, grid, fixed.geometry)
    else:
        back, said = _inverted(field)
    field = replace(field, inverse_field=back)
    return Alignment(_after(start, field), _before(start.inverse(), back), said)


def _guarded(
    predictor: Predictor, moving: torch.Tensor, fixed: torch.Tensor, progress: Progress, *masks: torch.Tensor | None
) -> FieldPair:
    try:
        return predictor.fields(moving, fixed, progress, *masks)
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(
            f"{predictor.device} has too little free memory for a grid of {'x'.join(map(str, fixed.shape[2:]))} "
            "voxels. Choose the device cpu, the precision bfloat16, or close other programs that use the GPU."
        ) from error


def _inverted(field: DisplacementField) -> tuple[DisplacementField, tuple[str, ...]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        inverse = field.inverse()
    return replace(inverse, inverse_field=None), tuple(str(warning.message) for warning in caught)


def _after(start: Transform, field: DisplacementField) -> Transform:
    """The field, then the start; the field alone when the start does nothing."""
    return field if _is_identity(start) else field.compose(start)


def _before(end: Transform, field: DisplacementField) -> Transform:
    return field if _is_identity(end) else end.compose(field)


def _is_identity(transform: Transform) -> bool:
    return isinstance(transform, AffineTransform) and np.allclose(transform.matrix, np.eye(4), atol=1e-9)
