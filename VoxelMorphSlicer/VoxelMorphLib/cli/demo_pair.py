"""The pair that `make demo` registers: the MNI152 brain and the same brain after a known smooth deformation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DependencyError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.transform import AffineTransform, DisplacementField

LABEL_NAMES = {1: "grey matter", 2: "white matter", 3: "fluid and rest"}
_SHAPE, _SPACING = (96, 112, 96), 2.0
_SMOOTHNESS_MM, _MEAN_DISPLACEMENT_MM = 17.0, 5.0
_ROTATION_DEG = (4.0, -7.0, 9.0)


@dataclass(frozen=True)
class SamplePair:
    """Two volumes of one brain whose true correspondence is known.

    Args:
        fixed: MNI152 T1, skull stripped, RAS grid of 2 mm.
        moving: the same brain deformed, with noise and another contrast, on an oblique LIA grid.
        truth: the transform fixed -> moving that a perfect registration finds, with its exact inverse.
        fixed_labels: tissue classes on the fixed grid, numbered as in `LABEL_NAMES`.
        moving_labels: the same on the moving grid.
    """

    fixed: Image
    moving: Image
    truth: DisplacementField
    fixed_labels: LabelMap
    moving_labels: LabelMap


def make_sample_pair(seed: int = 0) -> SamplePair:
    """Build the pair from the template that the package nilearn carries; nothing is downloaded.

    Args:
        seed: of the deformation and the noise; the same seed gives the same pair.

    Raises:
        DependencyError: nilearn is not installed.
    """
    generator = np.random.default_rng(seed)
    head, tissue = _template()
    fixed_grid = _centred_grid(tissue, np.eye(3), (_SPACING,) * 3, _SHAPE)
    axes = _rotation(np.deg2rad(_ROTATION_DEG)) @ np.array([[-1, 0, 0], [0, 0, 1], [0, -1, 0]])
    moving_grid = _centred_grid(tissue, axes, (1.9, 2.2, 2.0), (104, 90, 116))
    fixed_labels = _resample(tissue, fixed_grid)
    truth = _random_diffeomorphism(fixed_grid, fixed_labels.array > 0, generator)
    deform = truth.inverse().resample
    moving = deform(head, moving_grid, background=0)
    return SamplePair(
        Image((_resample(head, fixed_grid).array * 1000).astype(np.float32), fixed_grid, "MNI152"),
        Image(_another_scanner(moving.array, generator), moving_grid, "MNI152 deformed"),
        truth,
        fixed_labels,
        deform(tissue, moving_grid),
    )


def _template() -> tuple[Image, LabelMap]:
    """The skull-stripped T1 (0..1) and its tissue classes, both on the template's grid of 1 mm."""
    try:
        from nilearn import datasets
    except ImportError as error:
        raise DependencyError(
            "The sample pair is made from the MNI152 template in the package nilearn, which is not installed. "
            "Install it (pip install nilearn) or name your own volumes with --fixed and --moving."
        ) from error
    head = datasets.load_mni152_template(resolution=1)
    inside = _array(datasets.load_mni152_brain_mask(resolution=1)) > 0
    grey, white = (
        _array(load(resolution=1)) for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    tissue = np.where(1 - grey - white > np.maximum(grey, white), 3, np.where(white > grey, 2, 1))
    geometry = Geometry(head.shape, head.affine)
    return (
        Image(np.where(inside, _array(head), 0), geometry, "MNI152"),
        LabelMap(np.where(inside, tissue, 0).astype(np.uint8), geometry, "MNI152 tissue"),
    )


def _array(image: Any) -> np.ndarray:
    return np.asarray(image.dataobj, dtype=np.float32)


def _centred_grid(
    tissue: LabelMap, direction: np.ndarray, spacing: tuple[float, ...], shape: tuple[int, ...]
) -> Geometry:
    """A grid of `shape` whose centre lies on the middle of the brain."""
    inside = np.argwhere(tissue.array[::2, ::2, ::2] > 0) * 2
    middle = tissue.geometry.voxel_to_world((inside.min(axis=0) + inside.max(axis=0)) / 2)
    origin = middle - direction @ (np.array(spacing) * (np.array(shape) - 1) / 2)
    return Geometry.from_parts(shape, spacing, direction, origin)


def _rotation(angles: np.ndarray) -> np.ndarray:
    """(3, 3), rotation about x, then y, then z by three angles in radians."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz", angles).as_matrix()


def _resample(image: Image, geometry: Geometry) -> Image:
    return AffineTransform(np.eye(4)).resample(image, geometry, background=0)


def _random_diffeomorphism(geometry: Geometry, inside: np.ndarray, generator: np.random.Generator) -> DisplacementField:
    """The flow of a smooth random velocity, of 5 mm on average where `inside`, with its exact inverse."""
    from scipy.ndimage import gaussian_filter

    from ..core.displacement import integrate_velocity
    from ..core.tensors import as_array, as_tensor

    noise = generator.standard_normal((3, *geometry.shape)).astype(np.float32)
    velocity = np.stack([gaussian_filter(part, _SMOOTHNESS_MM / _SPACING, mode="constant") for part in noise])
    length = np.linalg.norm(velocity, axis=0)[inside].mean() * _SPACING
    tensor = as_tensor(velocity * (_MEAN_DISPLACEMENT_MM / length))[None]
    axes = geometry.affine[:3, :3].astype(np.float32)
    forward, backward = (np.moveaxis(as_array(integrate_velocity(v)[0]), 0, -1) @ axes.T for v in (tensor, -tensor))
    return DisplacementField(forward, geometry, DisplacementField(backward, geometry))


def _another_scanner(array: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Another contrast (0..1 -> 0..400, gamma 1.3) and 2 % noise inside the head, so that intensities do not match."""
    inside = array > 0
    noisy = array + 0.02 * generator.standard_normal(array.shape)
    return np.where(inside, 400 * np.clip(noisy, 0, 1) ** 1.3, 0).astype(np.float32)
