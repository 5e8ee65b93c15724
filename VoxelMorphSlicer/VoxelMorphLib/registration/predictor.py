"""A model and a pair of images to the transforms in both directions; the model may be a network or an optimisation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.config import NetworkSpace
from ..core.devices import resolve_device
from ..core.displacement import invert_displacement
from ..core.errors import ConfigError, DeviceError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.progress import Progress, span
from ..core.tensors import as_array
from ..core.transform import AffineTransform, CompositeTransform, DisplacementField, Transform
from ..networks.fields import FieldPair
from ..weights.architectures import LINEAR, MATRIX_ONLY
from ..weights.catalogue import DEFAULT_MODEL, find_entry, load_catalogue
from ..weights.entry import ModelEntry
from ..weights.load import load_network
from ..weights.store import pin_notice
from .guides import Guidance, Guides
from .masks import hide_outside
from .memo import NetworkCache
from .network_space import decode_affine, encode, encode_mask, field_grid, field_on_grid, network_grid
from .optimise import VelocityOptimiser, optimiser_space
from .quality import coarse_grid
from .request import RegistrationRequest
from .similarity import binary_roles, check_similarity
from .texture import FOREGROUND


@dataclass(frozen=True, eq=False)
class Predictor:
    """A loaded model on its device.

    Args:
        entry: what the catalogue or the file says about it.
        device: that it computes on.
        predict: (moving, fixed) -> fields of a network; tensors (1, 1, I, J, K) on `device`. None without network.
        optimiser: goes on from the network, or from the start; None where nothing is optimised.
        warnings: sentences about its first use.
    """

    entry: ModelEntry
    device: str
    predict: Callable[[torch.Tensor, torch.Tensor], FieldPair] | None = None
    optimiser: VelocityOptimiser | None = None
    warnings: tuple[str, ...] = ()

    @property
    def deforms(self) -> bool:
        """Whether anything comes after the start."""
        return self.predict is not None or self.optimiser is not None

    @property
    def compared(self) -> str:
        """How the optimiser compared the last pair, and why so; "" without optimiser."""
        return "" if self.optimiser is None else self.optimiser.reason

    def space(self, fixed: Image) -> NetworkSpace:
        """The grid and intensities to encode a pair for."""
        if self.predict is not None or self.optimiser is None:
            return self.entry.space
        return optimiser_space(self.entry.space, fixed, self.optimiser.preset)

    def fields(
        self,
        moving: torch.Tensor,
        fixed: torch.Tensor,
        progress: Progress,
        fixed_mask: torch.Tensor | None = None,
        moving_mask: torch.Tensor | None = None,
        guides: Guides | None = None,
    ) -> FieldPair:
        """Displacements in voxels of the grid of both images, without gradients.

        Networks ignore the masks, because outside them their images are background already, and the guides.
        """
        assert self.deforms, f"{self.entry.id} predicts no field"
        progress(0.0, f"Aligning on {self.device}")
        moving, fixed = moving.to(self.device), fixed.to(self.device)
        masks = [None if mask is None else mask.to(self.device) for mask in (fixed_mask, moving_mask)]
        with torch.no_grad():
            pair = None if self.predict is None else self.predict(moving, fixed)
            if self.optimiser is None:
                assert pair is not None
                return pair
            if pair is None:
                return self.optimiser.fields(moving, fixed, progress, masks[0], masks[1], None, guides)
            images = _full_range(moving), _full_range(fixed)
            refining = span(progress, 0.2, 1.0)
            return self.optimiser.fields(*images, refining, masks[0], masks[1], pair.displacement, guides)


def _full_range(image: torch.Tensor) -> torch.Tensor:
    """0..1 up to the 99.5th percentile, as the optimiser expects it; networks may leave the upper part empty."""
    values = image.flatten()
    values = values[:: max(1, values.numel() // 500_000)]
    return (image / torch.quantile(values, 0.995).clamp(min=1e-6)).clamp(0, 1)


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
        ConfigError: unknown model, or a refinement or similarity that it or the pair cannot have.
        WeightsError: the weights cannot be had or read.
        DeviceError: no such device.
    """
    options, name = request.options, str(request.model or DEFAULT_MODEL)
    device = resolve_device(options.device)
    listed = known_entry(name)
    if listed is not None and options.refine not in ("auto", "none"):
        _check_refinable(listed)  # before it is downloaded
    preset = _preset(options.refine, name, listed)
    optimiser = None
    if preset != "none":
        binary = binary_roles(request.fixed.array, request.moving.array)
        check_similarity(options.similarity, binary)
        optimiser = VelocityOptimiser(options.smoothness, options.budget_s, options.similarity, preset, binary=binary)
    if name == DEFAULT_MODEL:
        return Predictor(find_entry(name), device, None, optimiser)
    if listed is not None and listed.architecture == LINEAR:
        return Predictor(listed, "cpu")  # where every start is found
    load = networks.load if networks is not None else load_network
    told = pin_notice(listed)
    network, entry = load(
        request.model or name, request.weights_dir, device, options.precision, progress, options.hyper
    )
    if optimiser is not None:
        _check_refinable(entry)
    notice = pin_notice(entry)
    said = (notice,) if notice and notice != told else ()
    return Predictor(entry, device, network.fields, optimiser, said)


def optimises(entry: ModelEntry, refine: str) -> bool:
    """Whether a registration with this model and this refinement optimises anything on the pair itself."""
    return entry.id == DEFAULT_MODEL or (entry.bends and refine not in ("auto", "none"))


def _check_refinable(entry: ModelEntry) -> None:
    if entry.architecture in MATRIX_ONLY:
        raise ConfigError(
            f"The model {entry.id} gives a matrix, which has no deformation to refine. Choose refine none."
        )


def _preset(refine: str, name: str, listed: ModelEntry | None) -> str:
    """Of the optimisation that a request asks for; "none" for none."""
    if name == DEFAULT_MODEL:
        if refine == "none":
            raise ConfigError(
                "The model optimise is an optimisation, and refine none leaves nothing of it. Choose refine fast, "
                "balanced or best, or the model linear."
            )
        return "balanced" if refine == "auto" else refine
    if listed is not None and listed.architecture == LINEAR and refine not in ("auto", "none"):
        raise ConfigError(f"The model {name} bends nothing, so there is nothing to refine. Choose refine none.")
    return "none" if refine == "auto" else refine


#: Iterations that remove what sampling on a grid leaves between the integrals of a velocity and of its negative.
POLISHING = 6


@dataclass(frozen=True, eq=False)
class Alignment:
    """What aligning a pair gives.

    Args:
        forward, inverse: fixed -> moving and back: affine maps, or fields on the `field_grid`, each through the start.
        warnings: sentences about them.
        compared: how an optimisation compared the images, and why so.
        similarity: name of what it maximised; "auto" where nothing was optimised.
    """

    forward: Transform
    inverse: Transform
    warnings: tuple[str, ...] = ()
    compared: str = ""
    similarity: str = "auto"


def align(
    fixed: Image,
    moving: Image,
    start: Transform,
    predictor: Predictor,
    progress: Progress,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
    guidance: Guidance | None = None,
) -> Alignment:
    """Run a model on a pair.

    Args:
        fixed, moving: the images.
        start: fixed -> moving before the model.
        predictor: the model.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of their images.
        guidance: landmarks and labels that an optimisation is pulled by; networks ignore it.

    Raises:
        DeviceError: the memory of the device does not suffice.
        ImageError: no label of the guidance is left where the images are compared.
    """
    space = predictor.entry.space
    grid = network_grid(hide_outside(fixed, fixed_mask), predictor.space(hide_outside(fixed, fixed_mask)))
    images = encode(moving, grid, space, start, moving_mask), encode(fixed, grid, space, mask=fixed_mask)
    masks = encode_mask(fixed_mask, grid), encode_mask(moving_mask, grid, start)
    if predictor.optimiser is not None and moving_mask is None:
        masks = masks[0], _field_of_view(moving, grid, start, images[1])
    guides = None
    if guidance is not None and predictor.optimiser is not None:
        guides = guidance.on_grid(grid, start, predictor.device)
    pair = _guarded(predictor, *images, progress, *masks, guides)
    del images, masks
    if pair.matrix is not None:
        forward = decode_affine(pair.matrix, grid).compose(start)
        return Alignment(forward, inverted(forward))
    kept_on = field_grid(fixed.geometry, grid)
    field = field_on_grid(pair.displacement, grid, kept_on)
    said: tuple[str, ...] = ()
    if pair.inverse is not None:
        exact, _residual = invert_displacement(pair.displacement, POLISHING, start=pair.inverse, check=False)
        back = field_on_grid(exact, grid, kept_on)
    else:
        back, said = _inverted(field)
    field = replace(field, inverse_field=back)
    similarity = "auto" if predictor.optimiser is None else predictor.optimiser.chosen
    transforms = _after(start, field), _before(inverted(start), back)
    return Alignment(*transforms, said + _late(predictor), predictor.compared, similarity)


def _late(predictor: Predictor) -> tuple[str, ...]:
    if predictor.optimiser is None or not predictor.optimiser.out_of_time:
        return ()
    return (
        f"The optimisation stopped at its time limit of {predictor.optimiser.budget_s:g} s before it was done; this is "
        "the best that it had found. Allow more time, or choose a faster refinement.",
    )


def _guarded(
    predictor: Predictor, moving: torch.Tensor, fixed: torch.Tensor, progress: Progress, *others: Any
) -> FieldPair:
    try:
        return predictor.fields(moving, fixed, progress, *others)
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(
            f"{predictor.device} has too little free memory for a grid of {'x'.join(map(str, fixed.shape[2:]))} "
            "voxels. Choose the device cpu, the precision bfloat16, or close other programs that use the GPU."
        ) from error


#: Share of the fixed contents beyond the moving field of view from which on they are compared with nothing.
BEYOND = 0.01


def _field_of_view(moving: Image, grid: Geometry, start: Transform, fixed: torch.Tensor) -> torch.Tensor | None:
    """(1, 1, I, J, K), 1 where the moving volume was seen; None where it shows all of the fixed contents, or none."""
    places = coarse_grid(grid)
    step = round(float((places.spacing / grid.spacing).max()))
    contents = as_array(fixed[0, 0, ::step, ::step, ::step]) > FOREGROUND
    seen = moving.geometry.holds(moving.geometry.world_to_voxel(start.apply_to_points(places.points()[contents])))
    if not seen.any() or 1 - seen.mean() <= BEYOND:
        return None
    return encode_mask(LabelMap(np.ones(moving.array.shape, np.uint8), moving.geometry, moving.name), grid, start)


def without_deformation(found: Alignment, start: Transform) -> Alignment:
    """The start in place of what was found; where that is a field, a still one on the same grid, of the same kind."""
    first = found.forward.transforms[0] if isinstance(found.forward, CompositeTransform) else found.forward
    if not isinstance(first, DisplacementField):
        return replace(found, forward=start, inverse=inverted(start))
    still = DisplacementField(np.zeros_like(first.array), first.geometry)
    forward = replace(still, inverse_field=still)
    return replace(found, forward=_after(start, forward), inverse=_before(inverted(start), still))


def inverted(transform: Transform) -> Transform:
    """The inverse; what an initial transform lacks for an exact one is told by `initial.initial_warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return transform.inverse()


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
