"""Matcher: whatever turns two encoded images into displacement fields: a network, an optimisation, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import torch

from ..core.config import NetworkSpace
from ..core.devices import resolve_device
from ..core.geometry import Geometry
from ..core.progress import Progress
from ..networks.fields import FieldPair
from ..weights.architectures import LINEAR
from ..weights.catalogue import find_entry, load_catalogue
from ..weights.entry import ModelEntry
from ..weights.load import load_network
from ..weights.store import pin_notice
from .network_cache import NetworkCache
from .optimise import VelocityOptimiser, optimiser_space
from .request import RegistrationRequest

#: Chosen when the user names no model: it needs no weights and no network connection.
DEFAULT_MODEL = "optimise"

_Mask = Optional[torch.Tensor]


@dataclass(frozen=True, eq=False)
class Matcher:
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
        progress(0.0, f"Aligning on {self.device}")
        with torch.no_grad():
            masks = (None if mask is None else mask.to(self.device) for mask in (fixed_mask, moving_mask))
            return self.predict(moving.to(self.device), fixed.to(self.device), progress, *masks)


def known_entry(model: str | Path | None) -> ModelEntry | None:
    """What the catalogue says about a model before it is loaded; None of weight files and unknown ids."""
    return load_catalogue().get(str(model or DEFAULT_MODEL))


def load_matcher(
    request: RegistrationRequest,
    progress: Progress,
    networks: NetworkCache | None = None,
) -> Matcher:
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
        return Matcher(find_entry(name), device, optimiser.fields)
    listed = known_entry(name)
    if listed is not None and listed.architecture == LINEAR:
        return Matcher(listed, "cpu", None)  # where every start is found
    load = networks.load if networks is not None else load_network
    told = pin_notice(listed)
    network, entry = load(request.model, request.weights_dir, device, options.precision, progress, options.hyper)
    notice = pin_notice(entry)
    said = (notice,) if notice and notice != told else ()
    return Matcher(entry, device, lambda moving, fixed, _progress, *_masks: network.fields(moving, fixed), said)
