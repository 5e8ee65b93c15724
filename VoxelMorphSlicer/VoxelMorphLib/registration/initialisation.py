"""The affine initialisation: where two volumes lie, whether they overlap, and the linear transform that aligns them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.errors import GeometryError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap
from ..core.io.itk import LPS, array_of, itk_image
from ..core.progress import Progress, silent
from ..core.transform import AffineTransform, Transform
from .masks import cropped

#: The two images are reduced to at most this many voxels: a start needs no detail.
MAX_VOXELS = 250_000
#: Positions are compared on this many voxels, all of which are sampled.
TRIAL_VOXELS = 10_000
#: Images of at most so many voxels are compared on all of them.
SMALLEST_SAMPLED = 40_000
BINS = 32
#: Share of the voxels on which two maps are compared at full size.
SAMPLES = 0.25
ITERATIONS = 100
#: Shrink factors of the ascent, coarse to fine, and the share of the voxels that is sampled at each.
LEVELS = {4: 1.0, 2: 0.25, 1: 0.1}
SHRINKS = tuple(LEVELS)
#: Tried about each axis, so that a head that was scanned tilted is found.
TRIAL_ANGLES_DEG = (-30.0, 0.0, 30.0)
#: A position other than the header's must raise mutual information by this factor to be believed.
TRIAL_GAIN = 1.1
#: A map that leaves less than this share of the overlap is not believed: thin volumes would be turned out of sight.
LEAST_OVERLAP = 0.5


def affine_start(
    fixed: Image,
    moving: Image,
    kind: str,
    seed: int = 0,
    progress: Progress = silent,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
) -> AffineTransform:
    """Align two images by their headers, contents and joint intensities.

    Args:
        fixed: grid and intensities to align to.
        moving: image to align.
        kind: "none" (the headers are right), "grid" (the middles of both volumes on each other, whatever they show),
            "centre" (the best translation), "rigid" or "affine".
        seed: of the voxels that mutual information is measured on.
        progress: called at every iteration; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of the images; only what lies inside is compared.

    Returns:
        fixed -> moving in RAS mm. Apart from "grid" never worse in mutual information than the headers, as far as they
        overlap.

    Raises:
        GeometryError: no position was found in which the images overlap, or a mask is empty.

    Source: Mattes et al., IEEE TMI 2003, doi:10.1109/TMI.2003.809072, as implemented in ITK.
    """
    if kind == "none":
        return AffineTransform(np.eye(4))
    if kind == "grid":
        matrix = np.eye(4)
        matrix[:3, 3] = moving.geometry.centre - fixed.geometry.centre
        return AffineTransform(matrix)
    reduced_fixed = ReducedImage.of(*cropped(fixed, fixed_mask), MAX_VOXELS)
    reduced_moving = ReducedImage.of(*cropped(moving, moving_mask), MAX_VOXELS)
    with _one_thread():
        return _aligned(reduced_fixed, reduced_moving, kind, seed, progress)


def _aligned(fixed: ReducedImage, moving: ReducedImage, kind: str, seed: int, progress: Progress) -> AffineTransform:
    trial = _Search(fixed.reduced(TRIAL_VOXELS), moving.reduced(TRIAL_VOXELS), seed, progress)
    transform: Any = trial.best_position(with_rotations=kind != "centre")
    if kind == "centre":
        return _to_ras(transform)
    search = _Search(fixed, moving, seed, progress)
    transform = search.refine(transform, SHRINKS if kind == "rigid" else SHRINKS[:-1], 0.1, 0.5)
    if kind == "affine":
        start = sitk.AffineTransform(3)
        start.SetMatrix(transform.GetMatrix())
        start.SetTranslation(transform.GetTranslation())
        start.SetCenter(transform.GetCenter())
        transform = search.refine(start, SHRINKS, 0.5, 1.0)
    return _to_ras(transform)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads come in any order, and the same seed shall give the same start."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


class _Search:
    """Mutual information of two reduced images, and the maps that raise it."""

    def __init__(self, fixed: ReducedImage, moving: ReducedImage, seed: int, progress: Progress):
        self.fixed, self.moving, self.progress = fixed, moving, progress
        self.centre = fixed.centre_of_mass()
        self._itk_seed = seed + 1  # ITK takes 0 for "the wall clock"
        self._is_sampled = fixed.image.GetNumberOfPixels() > SMALLEST_SAMPLED

    def best_position(self, with_rotations: bool) -> sitk.Transform:
        """The best of: the headers, equal grid centres, equal centres of mass; each also tilted."""
        shifts = [
            np.zeros(3),
            self.moving.centre_of_grid() - self.fixed.centre_of_grid(),
            self.moving.centre_of_mass() - self.centre,
        ]
        headers, *centred = [self._euler((0.0, 0.0, 0.0), shift) for shift in shifts]
        best, score = self._best(centred)
        header_score = self._score(headers)
        if TRIAL_GAIN * header_score >= score:
            best, score = headers, header_score
        if not with_rotations:
            return best
        angles = [np.deg2rad(a) for a in product(TRIAL_ANGLES_DEG, repeat=3) if any(a)]
        tilted = [self._euler(a, shift) for shift in shifts[1:] for a in angles]
        least = LEAST_OVERLAP * self._overlap(best)
        found, found_score = self._best([tilt for tilt in tilted if self._overlap(tilt) >= least] or [best])
        return found if found_score > TRIAL_GAIN * score else best

    def refine(self, start: sitk.Transform, shrinks: Sequence[int], begin: float, end: float) -> sitk.Transform:
        """Ascent from `start`, coarse to fine; `start` itself comes back when that is better."""
        transform = type(start)(start)
        method = self._method()
        method.SetShrinkFactorsPerLevel(shrinks)
        if self._is_sampled:
            method.SetMetricSamplingPercentagePerLevel([LEVELS[shrink] for shrink in shrinks], self._itk_seed)
        method.SetSmoothingSigmasPerLevel([s / 2 if s > 1 else 0 for s in shrinks])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=1.0, minStep=1e-3, numberOfIterations=ITERATIONS, gradientMagnitudeTolerance=1e-6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        self._execute(method, len(shrinks), begin, end)
        is_worse = self._score(transform) < self._score(start)
        return start if is_worse or self._overlap(transform) < LEAST_OVERLAP * self._overlap(start) else transform

    def _execute(self, method: sitk.ImageRegistrationMethod, levels: int, begin: float, end: float) -> None:
        """Run; an exception of the progress callback stops the ascent first, because ITK would swallow it."""
        stopped: list[BaseException] = []

        def report() -> None:
            done = (method.GetCurrentLevel() + method.GetOptimizerIteration() / ITERATIONS) / levels
            try:
                self.progress(begin + (end - begin) * done, "Aligning")
            except BaseException as error:
                stopped.append(error)
                method.StopRegistration()

        method.AddCommand(sitk.sitkIterationEvent, report)
        try:
            method.Execute(self.fixed.image, self.moving.image)
        except RuntimeError as error:
            if not stopped:
                raise GeometryError(
                    "The affine start lost the overlap of the two volumes. Align them roughly first, or choose "
                    "the affine start centre."
                ) from error
        if stopped:
            raise stopped[0]

    def _best(self, candidates: Sequence[sitk.Transform]) -> tuple[sitk.Transform, float]:
        scores = [self._score(candidate) for candidate in candidates]
        best = int(np.argmax(scores))
        if not np.isfinite(scores[best]):
            raise GeometryError(
                "The contents of the two volumes do not overlap in any of the tried positions. "
                "Give an initial transform that brings them together."
            )
        self.progress(0.05, "Aligning centres")
        return candidates[best], scores[best]

    def _score(self, transform: sitk.Transform) -> float:
        """Mutual information in nats; minus infinity without overlap."""
        method = self._method()
        method.SetInitialTransform(transform)
        try:
            return -method.MetricEvaluate(self.fixed.image, self.moving.image)
        except RuntimeError:
            return -np.inf

    def _overlap(self, transform: sitk.Transform) -> float:
        return overlap_share(self.fixed.geometry, self.moving.geometry, _to_ras(transform))

    def _method(self) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(BINS)
        if self.fixed.mask is not None:
            method.SetMetricFixedMask(self.fixed.mask)
        if self.moving.mask is not None:
            method.SetMetricMovingMask(self.moving.mask)
        if self._is_sampled:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(SAMPLES, self._itk_seed)
        method.SetInterpolator(sitk.sitkLinear)
        return method

    def _euler(self, angles: Sequence[float] | np.ndarray, shift: np.ndarray) -> sitk.Euler3DTransform:
        return sitk.Euler3DTransform(self.centre.tolist(), *map(float, angles), shift.tolist())


def _to_ras(transform: Any) -> AffineTransform:
    """A SimpleITK linear map about a centre (LPS; Euler or affine, which share no base class) as one RAS matrix."""
    matrix = np.eye(4)
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, translation = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + translation - linear @ centre
    return AffineTransform(LPS @ matrix @ LPS)


#: Places along each axis at which it is looked.
PLACES = 16


def overlaps(fixed: Geometry, moving: Geometry, transform: Transform) -> bool:
    """True when some place of the fixed field of view lies in the moving one; exact for linear transforms.

    Source: two convex bodies are apart when a plane separates them, and for two boxes it is parallel to a face of one
    or to an edge of each (Gottschalk et al., SIGGRAPH 1996, doi:10.1145/237170.237244).
    """
    matrix = transform.as_matrix()
    if matrix is None:
        return overlap_share(fixed, moving, transform) > 0
    to_moving = moving.world_to_voxel_affine @ matrix @ fixed.affine
    corners = _corners(fixed) @ to_moving[:3, :3].T + to_moving[:3, 3], _corners(moving)
    return not any(_separates(axis, *corners) for axis in _directions(to_moving[:3, :3]))


def overlap_share(fixed: Geometry, moving: Geometry, transform: Transform) -> float:
    """Share, 0 to 1, of the fixed grid that `transform` (fixed -> moving) leads to places inside the moving one."""
    steps = np.stack(np.meshgrid(*[np.linspace(0, n - 1, PLACES) for n in fixed.shape], indexing="ij"), axis=-1)
    voxels = moving.world_to_voxel(transform.apply_to_points(fixed.voxel_to_world(steps)))
    inside = (voxels >= -0.5) & (voxels <= np.array(moving.shape) - 0.5)
    return float(inside.all(axis=-1).mean())


def _corners(geometry: Geometry) -> np.ndarray:
    """(8, 3), voxel coordinates of the outer corners."""
    return np.array(list(product(*[(-0.5, n - 0.5) for n in geometry.shape])))


def _directions(edges: np.ndarray) -> np.ndarray:
    """(15, 3), normals of the planes that can separate a box with these edges (columns) from one along the axes."""
    own, others = edges.T, np.eye(3)
    pairs = [(own[1], own[2]), (own[2], own[0]), (own[0], own[1]), *product(own, others)]
    return np.concatenate([others, [np.cross(one, other) for one, other in pairs]])


def _separates(direction: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    here, there = one @ direction, other @ direction
    gap = 1e-9 * max(np.abs(here).max(), np.abs(there).max())
    return bool(here.max() < there.min() - gap or there.max() < here.min() - gap)


#: Voxels along an axis that ITK's metrics and filters need at least.
FEWEST = 4


@dataclass(frozen=True, eq=False)
class ReducedImage:
    """An image as SimpleITK's (float32, LPS mm).

    Args:
        image: its voxels.
        mask: 0 and 1 (uint8) on the same grid, or None.
        geometry: that grid in RAS.
        low: value beyond the image.
    """

    image: sitk.Image
    mask: sitk.Image | None
    geometry: Geometry
    low: float

    @classmethod
    def of(cls, image: Image, mask: LabelMap | None, voxels: int) -> ReducedImage:
        """The image on about `voxels` voxels at most; `mask` is on its grid."""
        whole = itk_image(image.array.astype(np.float32, copy=False), image.geometry)
        whole_mask = None if mask is None else itk_image(mask.array.astype(np.uint8, copy=False), mask.geometry)
        return cls(whole, whole_mask, image.geometry, float(image.array.min())).reduced(voxels)

    def reduced(self, voxels: int) -> ReducedImage:
        """The same on about `voxels` voxels at most, isotropic ones unless the volume is too thin for that."""
        extent = np.array(self.geometry.shape) * self.geometry.spacing
        spacing = max(self.geometry.spacing.min(), float(np.prod(extent) / voxels) ** (1 / 3))
        grid = self.geometry.with_spacing(np.minimum(spacing, extent / FEWEST))
        image = _resampled(self.image, grid, self.low)
        return ReducedImage(image, None if self.mask is None else _resampled_mask(self.mask, grid), grid, self.low)

    def as_image(self, name: str) -> Image:
        """The voxels as an image of ours."""
        return Image(array_of(self.image), self.geometry, name)

    def centre_of_grid(self) -> np.ndarray:
        """(3,), LPS mm."""
        return self._point([(n - 1) / 2 for n in self.image.GetSize()])

    def centre_of_mass(self) -> np.ndarray:
        """(3,), LPS mm, of the intensities above the minimum, single bright specks held down."""
        weights = self._weights()
        total = weights.sum()
        if total <= 0:
            return self.centre_of_grid()
        profiles = [weights.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        return self._point([float((profile * np.arange(profile.size)).sum() / total) for profile in profiles])

    def _point(self, index: list[float]) -> np.ndarray:
        return np.array(self.image.TransformContinuousIndexToPhysicalPoint(index))

    def _weights(self) -> np.ndarray:
        array = sitk.GetArrayViewFromImage(self.image).T
        inside = slice(None) if self.mask is None else sitk.GetArrayViewFromImage(self.mask).T > 0
        seen = array[inside]
        low, high = seen.min(), np.percentile(seen, 99)
        weights = np.zeros_like(array)
        weights[inside] = np.minimum(seen, high) - low
        return weights


def _resampled(image: sitk.Image, grid: Geometry, outside: float) -> sitk.Image:
    """Smoothed and sampled on a coarser grid; means of whole blocks come first, as they cost little."""
    blocks = [max(1, int(coarse / fine + 1e-6)) for coarse, fine in zip(grid.spacing, image.GetSpacing())]
    # Not the recursive filter, which refuses volumes of fewer than four slices.
    smooth = sitk.DiscreteGaussian(sitk.BinShrink(image, blocks), ((grid.spacing / 2) ** 2).tolist())
    reference = itk_image(np.empty(grid.shape, np.uint8), grid)
    return sitk.Resample(smooth, reference, sitk.Transform(), sitk.sitkLinear, outside, sitk.sitkFloat32)


def _resampled_mask(mask: sitk.Image, grid: Geometry) -> sitk.Image:
    """Voxels of which half is inside; a mask too thin for that keeps its fullest voxels."""
    share = _resampled(sitk.Cast(mask, sitk.sitkFloat32), grid, 0.0)
    fullest = float(sitk.GetArrayViewFromImage(share).max())
    return sitk.Cast(share >= 0.5 * min(fullest, 1.0), sitk.sitkUInt8)
