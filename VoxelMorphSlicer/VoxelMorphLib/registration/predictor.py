"""A model made ready for a pair: a network, an optimisation, or both in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.config import NetworkSpace, RegistrationOptions
from ..core.devices import resolve_device
from ..core.errors import ConfigError
from ..core.image import Image
from ..core.progress import Progress, span
from ..networks.conditional_template import GeneratedTemplate
from ..networks.fields import FieldPair
from ..networks.registrar import FeatureDetector, Registrar, integrating, peak_features
from ..networks.unet import unet_precision
from ..weights.architectures import LINEAR, MATRIX_ONLY
from ..weights.catalogue import DEFAULT_MODEL, find_entry, load_catalogue
from ..weights.entry import ModelEntry, check_regularity
from ..weights.load import load_network
from ..weights.store import pin_notice
from .effort import AFTER_FEATURES, finest_spacing, optimiser_space
from .features import BEFORE_REFINING, EFFORT, FeatureRegistrar
from .guides import Guides
from .memo import NetworkCache
from .optimise import VelocityOptimiser
from .request import RegistrationRequest
from .similarity import binary_roles, check_similarity

#: A network whose voxels are so many times as large as those of the pair leaves something to refine on finer ones,
#: if these are so many times as fine in spite of the voxels that an effort has at most.
COARSER, WORTHWHILE = 1.5, 1.2
OWN_VOXELS = NetworkSpace(centring="foreground")
#: Images are looked at in detail on voxels of so many times less than the network's, if they have such.
DETAILS = 2
#: Of one value of a network's features.
BYTES = {"float32": 4, "bfloat16": 2}

#: (moving, fixed) in detail.
Details = tuple[torch.Tensor, torch.Tensor]
Predict = Callable[[torch.Tensor, torch.Tensor, Details | None, Progress], FieldPair]


@dataclass(frozen=True, eq=False)
class Predictor:
    """A loaded model on its device.

    Args:
        entry: what the catalogue or the file says about it.
        device: that it computes on.
        predict: (moving, fixed, details, progress) -> fields of a network; tensors (1, 1, I, J, K) on `device`, and
            both in detail where it looks at that. None without network.
        optimiser: goes on from the network, or from the start; None where nothing is optimised.
        warnings: sentences about its first use and its grid.
        peak_bytes: of the network's features, for each voxel of its grid; None where it does not tell.
        by_features: what compares the features of a network, where it registers so.
        precision: of the network's convolutions.
    """

    entry: ModelEntry
    device: str
    predict: Predict | None = None
    optimiser: VelocityOptimiser | None = None
    warnings: tuple[str, ...] = ()
    peak_bytes: float | None = None
    by_features: FeatureRegistrar | None = None
    precision: str = "float32"

    @property
    def deforms(self) -> bool:
        """Whether anything comes after the start."""
        return self.predict is not None or self.optimiser is not None

    @property
    def compared(self) -> str:
        """How the optimiser compared the last pair, and why so; "" without optimiser."""
        return "" if self.optimiser is None else self.optimiser.reason

    @property
    def late_after(self) -> float:
        """Seconds after which a search of the last pair ended before it was done; 0 where none did."""
        searches = (each for each in (self.by_features, self.optimiser) if each is not None)
        return max((each.budget_s for each in searches if each.out_of_time), default=0.0)

    @property
    def follows_smoothness(self) -> bool:
        """Whether anything is optimised, so that a larger smoothness calms it."""
        return self.optimiser is not None or self.by_features is not None

    @property
    def optimises_alone(self) -> bool:
        """Whether the optimiser begins from the start, without a network."""
        return self.predict is None and self.optimiser is not None

    def space(self, image: Image, other: Image) -> NetworkSpace:
        """The grid and intensities to encode a pair for; the grid will be that of `image`."""
        if self.predict is not None or self.optimiser is None:
            return self.entry.space
        return optimiser_space(self.entry.space, image, other, self.optimiser.effort)

    def is_too_coarse(self, image: Image, other: Image) -> bool:
        """Whether a pair shows more than the network's grid holds, so that it is refined on voxels of its own."""
        size, finest = self.entry.space.voxel_size, min(finest_spacing(image), finest_spacing(other))
        if self.predict is None or self.optimiser is None or size is None or size <= COARSER * finest:
            return False
        own = optimiser_space(OWN_VOXELS, image, other, self.optimiser.effort).voxel_size
        return own is not None and size > WORTHWHILE * own

    def detail(self, image: Image, other: Image) -> int:
        """Voxels along one of the network's grid on which a pair is looked at in detail; 1 for none."""
        size, finest = self.entry.space.voxel_size, min(finest_spacing(image), finest_spacing(other))
        return DETAILS if self.by_features is not None and size is not None and size > COARSER * finest else 1

    def apart(self) -> tuple[Predictor, Predictor]:
        """The network alone, and what goes on from it on voxels of the pair's own."""
        own = replace(self, entry=find_entry(DEFAULT_MODEL), predict=None, peak_bytes=None, by_features=None)
        return replace(self, optimiser=None), own

    def fields(
        self,
        moving: torch.Tensor,
        fixed: torch.Tensor,
        progress: Progress,
        fixed_mask: torch.Tensor | None = None,
        moving_mask: torch.Tensor | None = None,
        guides: Guides | None = None,
        start: torch.Tensor | None = None,
        details: Details | None = None,
    ) -> FieldPair:
        """Displacements in voxels of the grid of both images, without gradients.

        Networks ignore the masks, because outside them their images are background already, and the guides; `start` is
        what an optimisation without a network goes on from, and `details` are both images on the voxels of `detail`.
        """
        assert self.deforms, f"{self.entry.id} predicts no field"
        progress(0.0, f"Aligning on {self.device}")
        moving, fixed = moving.to(self.device), fixed.to(self.device)
        masks = [None if mask is None else mask.to(self.device) for mask in (fixed_mask, moving_mask)]
        with torch.no_grad():
            details = None if details is None else (details[0].to(self.device), details[1].to(self.device))
            pair = None
            if self.predict is not None:
                predicting = progress if self.optimiser is None else span(progress, 0.0, 0.2)
                pair = self.predict(moving, fixed, details, predicting)
            if self.optimiser is None:
                assert pair is not None
                return pair
            if pair is None:
                start = None if start is None else start.to(self.device)
                return self.optimiser.fields(moving, fixed, progress, masks[0], masks[1], start, guides)
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
        ConfigError: unknown model, or a refinement, regularity or similarity that it or the pair cannot have.
        WeightsError: the weights cannot be had or read.
        DeviceError: no such device.
    """
    options, name = request.options, str(request.model or DEFAULT_MODEL)
    device = resolve_device(options.device)
    listed = known_entry(name)
    if listed is not None:  # before it is downloaded
        _check_use(listed, options)
    effort = _effort(options.refine, name, listed)
    optimiser = None
    if effort != "none":
        binary = binary_roles(request.fixed.array, request.moving.array)
        check_similarity(options.similarity, binary)
        optimiser = VelocityOptimiser(options.smoothness, options.budget_s, options.similarity, effort, binary=binary)
    if name == DEFAULT_MODEL:
        return Predictor(find_entry(name), device, None, optimiser)
    if listed is not None and listed.architecture == LINEAR:
        return Predictor(listed, "cpu")  # where every start is found
    load = networks.load if networks is not None else load_network
    told = pin_notice(listed)
    network, entry = load(
        request.model or name, request.weights_dir, device, options.precision, progress, options.hyper
    )
    if isinstance(network, GeneratedTemplate) and not network.base.any():
        raise ConfigError(
            f"The file of {entry.id} lacks the image that its template is added to, so nothing can be registered by "
            "way of it. Make a template of it, and register with that."
        )
    precision = unet_precision(network)
    if isinstance(network, FeatureDetector):
        steps = EFFORT if optimiser is None else BEFORE_REFINING
        network = FeatureRegistrar(network, options.smoothness, options.budget_s, steps)
    _check_use(entry, options)
    notice = pin_notice(entry)
    said = (notice,) if notice and notice != told else ()
    peak = peak_features(network)
    peak_bytes = None if peak is None else peak * BYTES[precision]
    by_features = network if isinstance(network, FeatureRegistrar) else None
    if by_features is not None and optimiser is not None:
        optimiser.effort = AFTER_FEATURES[effort]
    predict = _fields_of(network, options.integration_steps) if by_features is None else by_features.fields
    return Predictor(entry, device, predict, optimiser, said, peak_bytes, by_features, precision)


def _fields_of(network: Registrar, steps: int) -> Predict:
    """What the network predicts, its velocity integrated in so many squarings; 0 for its own number."""

    def fields(moving: torch.Tensor, fixed: torch.Tensor, _details: Details | None, _progress: Progress) -> FieldPair:
        with integrating(network, steps):
            return network.fields(moving, fixed)

    return fields


def optimises(entry: ModelEntry, refine: str) -> bool:
    """Whether a registration with this model and this refinement optimises anything on the pair itself."""
    return entry.id == DEFAULT_MODEL or (entry.bends and refine not in ("auto", "none"))


def _check_use(entry: ModelEntry, options: RegistrationOptions) -> None:
    check_regularity(entry, options.hyper)
    if entry.architecture in MATRIX_ONLY and options.refine not in ("auto", "none"):
        raise ConfigError(
            f"The model {entry.id} gives a matrix, which has no deformation to refine. Choose refine none."
        )


def _effort(refine: str, name: str, listed: ModelEntry | None) -> str:
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
