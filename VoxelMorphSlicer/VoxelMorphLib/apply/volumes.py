"""Volumes of any kind through a transform onto any grid, each interpolated once."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from ..core.errors import ConfigError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.image_resampling import MULTILABEL
from ..core.progress import Progress, silent
from ..core.series import CHANNELS, COLOURS, Series, Volume
from ..core.transform import Transform
from .options import ApplyOptions


def carry_volume(
    volume: Volume,
    transform: Transform,
    geometry: Geometry,
    options: ApplyOptions,
    progress: Progress = silent,
) -> Volume:
    """Resample a volume; a series frame by frame or channel by channel.

    Args:
        volume: is not changed; a `LabelMap` is sampled by nearest neighbour unless the interpolation is "multilabel".
        transform: points of the result -> points of `volume`.
        geometry: grid of the result.
        options: how.
        progress: told every frame; may raise `Cancelled`.

    Raises:
        ConfigError: "multilabel" of something that holds no labels.

    Warns:
        UserWarning: vectors, whose components are carried along but not turned.
    """
    if isinstance(volume, Image):
        return transform.resample(volume, geometry, options.interpolation, options.background)
    if options.interpolation == MULTILABEL and volume.array.dtype.kind == "f" and volume.kind == COLOURS:
        raise ConfigError(f"{volume.name} holds colours, no labels. Choose another interpolation.")
    if volume.kind == CHANNELS and len(volume) == 3:
        warnings.warn(
            f"The components of {volume.name} are carried along as they are: if they are directions, they are not "
            "turned.",
            stacklevel=2,
        )
    return volume.with_array(_frames(volume, transform, geometry, options, progress), geometry)


def _frames(
    series: Series, transform: Transform, geometry: Geometry, options: ApplyOptions, progress: Progress
) -> np.ndarray:
    """(I, J, K, N) on the grid; what the transform does at its voxels is computed once for all frames."""
    if transform.as_matrix() is None:
        transform = transform.to_displacement(geometry)
    if options.background is None and series.kind == COLOURS:
        options = replace(options, background=0.0)
    kind = LabelMap if options.interpolation == MULTILABEL else Image
    moved = np.empty((*geometry.shape, len(series)), series.array.dtype)
    for number in range(len(series)):
        progress(number / len(series), f"Resampling {number + 1} of {len(series)}")
        frame = transform.resample(series.frame(number, kind), geometry, options.interpolation, options.background)
        moved[..., number] = frame.array
    return moved
