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
from .pose_search import Pose, PoseSearch, Seen

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
#: A position other than the header's must raise mutual information by this factor to be believed.
TRIAL_GAIN = 1.1
#: A map that leaves less than this share of the overlap is not believed: thin volumes would be turned out of sight.
LEAST_OVERLAP = 0.5
#: Empty space around the contents is left out but for this share of their extent, or it would take the voxels.
MARGIN = 0.1
#: Share of the range of intensities that is empty.
EMPTY = 0.1
#: A turn from the headers that is told.
TOLD_TURN_DEG = 40.0
#: Mirrored contents that raise the mutual information of the coarse images by this factor are told. Brains of different
#: people reach 1.03; one person's reach 1.07 across contrasts, 1.1 in one contrast, and an abdomen 1.4.
MIRROR_GAIN = 1.06


@dataclass(frozen=True, eq=False)
class Start:
    """Where a registration begins.

    Args:
        transform: fixed -> moving in RAS mm; never mirrors.
        warnings: sentences about what the user should check.
    """

    transform: AffineTransform
    warnings: tuple[str, ...] = ()


def affine_start(
    fixed: Image,
    moving: Image,
    kind: str,
    seed: int = 0,
    progress: Progress = silent,
    fixed_mask: LabelMap | None = None,
    moving_mask: LabelMap | None = None,
) -> Start:
    """Align two images by their headers, contents and joint intensities.

    Rotations up to 180 degrees are found. Contents that are mirrored are told and left mirrored.

    Args:
        fixed: grid and intensities to align to.
        moving: image to align.
        kind: "none" (the headers are right), "grid" (the middles of both volumes on each other, whatever they show),
            "centre" (the best translation), "rigid" or "affine".
        seed: of the voxels that mutual information is measured on.
        progress: called at every iteration; may raise `Cancelled`.
        fixed_mask, moving_mask: 0 and 1 on the grids of the images; only what lies inside is compared.

    Returns:
        The transform, apart from "grid" never worse in mutual information than the headers, as far as they overlap;
        and a sentence where it turns far or the contents look mirrored.

    Raises:
        GeometryError: no position was found in which the images overlap, or a mask is empty.

    Source: Mattes et al., IEEE TMI 2003, doi:10.1109/TMI.2003.809072, as implemented in ITK.
    """
    if kind == "none":
        return Start(AffineTransform(np.eye(4)))
    if kind == "grid":
        matrix = np.eye(4)
        matrix[:3, 3] = moving.geometry.centre - fixed.geometry.centre
        return Start(AffineTransform(matrix))
    reduced_fixed = _reduced_contents(*cropped(fixed, fixed_mask))
    reduced_moving = _reduced_contents(*cropped(moving, moving_mask))
    with _one_thread():
        return _aligned(reduced_fixed, reduced_moving, kind, seed, progress)


def _aligned(fixed: ReducedImage, moving: ReducedImage, kind: str, seed: int, progress: Progress) -> Start:
    coarse_fixed, coarse_moving = fixed.reduced(TRIAL_VOXELS), moving.reduced(TRIAL_VOXELS)
    if kind == "centre":
        return Start(_to_ras(_Search(coarse_fixed, coarse_moving, seed, progress).best_position()))
    pose, mirrored, matrix = _pose(coarse_fixed, coarse_moving, kind == "affine", seed, progress)
    transform = _Search(fixed, moving, seed, progress).aligned(matrix, kind)
    return Start(transform, _warnings(pose, mirrored))


def _pose(
    fixed: ReducedImage, moving: ReducedImage, with_scale: bool, seed: int, progress: Progress
) -> tuple[Pose, Pose, np.ndarray]:
    """The best pose, the best mirrored one, and the first as (4, 4), fixed -> moving in RAS mm.

    It is looked from the smaller field of view into the larger one, as most of the larger one has no counterpart.
    """
    is_swapped = moving.volume() < fixed.volume()
    here, there = (moving, fixed) if is_swapped else (fixed, moving)
    ras = LPS[:3, :3]
    centre = ras @ here.centre_of_mass()
    ends = (there.centre_of_grid(), here.centre_of_grid()), (there.centre_of_mass(), here.centre_of_mass())
    shifts = [np.zeros(3), *(ras @ (there_end - here_end) for there_end, here_end in ends)]
    poses = PoseSearch(here.seen(), there.seen(), centre, shifts, seed, progress)
    pose = poses.best(with_scale)
    matrix = poses.matrix(pose)
    return pose, poses.mirrored(pose, with_scale), np.linalg.inv(matrix) if is_swapped else matrix


def _warnings(pose: Pose, mirrored: Pose) -> tuple[str, ...]:
    found = []
    if mirrored.score > MIRROR_GAIN * pose.score:
        found.append(
            "The moving volume looks mirrored: its contents would fit the fixed volume better as in a mirror. It was "
            "not mirrored. Check the orientation of both volumes before anything is measured."
        )
    if pose.angle_deg > TOLD_TURN_DEG:
        found.append(
            f"The moving volume was turned by {pose.angle_deg:.0f} degrees: check left and right. A volume whose "
            "contents are mirrored can look turned as well."
        )
    return tuple(found)


def _reduced_contents(image: Image, mask: LabelMap | None) -> ReducedImage:
    """The image on few voxels, which lie where something is if that is less than half of the volume."""
    whole = ReducedImage.of(image, mask, MAX_VOXELS)
    if mask is not None:
        return whole
    coarse = whole.reduced(TRIAL_VOXELS).as_image(image.name)
    level = coarse.array.min() + EMPTY * (np.percentile(coarse.array, 99.9) - coarse.array.min())
    filled = np.argwhere(coarse.array > level)
    if len(filled) == 0:
        return whole
    corners = [filled.min(axis=0) - 1, filled.max(axis=0) + 1]
    low, high = image.geometry.world_to_voxel(coarse.geometry.voxel_to_world(np.array(corners)))
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    first = np.maximum(np.floor(low), 0).astype(int)
    last = np.minimum(np.ceil(high) + 1, image.array.shape).astype(int)
    if 2 * np.prod(last - first) > image.array.size:
        return whole
    part = image.array[tuple(slice(a, b) for a, b in zip(first, last))]
    return ReducedImage.of(Image(part, image.geometry.shifted(first, last - first), image.name), None, MAX_VOXELS)


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

    def best_position(self) -> Any:
        """The best of: the headers, equal grid centres, equal centres of mass."""
        shifts = [
            np.zeros(3),
            self.moving.centre_of_grid() - self.fixed.centre_of_grid(),
            self.moving.centre_of_mass() - self.centre,
        ]
        headers, *centred = [sitk.Euler3DTransform(self.centre.tolist(), 0, 0, 0, shift.tolist()) for shift in shifts]
        best, score = self._best(centred)
        return headers if TRIAL_GAIN * self._score(headers) >= score else best

    def aligned(self, matrix: np.ndarray, kind: str) -> AffineTransform:
        """Ascent from a similarity (RAS mm), or from the headers where these are better than what that leads to."""
        found, score = self._ascended(matrix, kind)
        headers = sitk.Euler3DTransform()
        if self._overlap(headers) >= LEAST_OVERLAP * self._overlap(found) and self._score(headers) > score:
            found, _ = self._ascended(np.eye(4), kind)
        return _to_ras(found)

    def _ascended(self, matrix: np.ndarray, kind: str) -> tuple[Any, float]:
        linear = LPS[:3, :3] @ matrix[:3, :3] @ LPS[:3, :3]
        shift = LPS[:3, :3] @ matrix[:3, 3] + linear @ self.centre - self.centre
        start = sitk.Euler3DTransform() if kind == "rigid" else sitk.Similarity3DTransform()
        start.SetCenter(self.centre.tolist())
        start.SetMatrix(linear.ravel().tolist(), 1e-6)
        start.SetTranslation(shift.tolist())
        found, score = self.refine(start, SHRINKS if kind == "rigid" else SHRINKS[:-1], 0.3, 0.5)
        if kind == "rigid":
            return found, score
        free = sitk.AffineTransform(3)
        free.SetMatrix(found.GetMatrix())
        free.SetTranslation(found.GetTranslation())
        free.SetCenter(found.GetCenter())
        return self.refine(free, SHRINKS, 0.5, 1.0, score)

    def refine(
        self, start: sitk.Transform, shrinks: Sequence[int], begin: float, end: float, score: float | None = None
    ) -> tuple[Any, float]:
        """Ascent from `start` (of that score), coarse to fine; `start` itself comes back when that is better."""
        score = self._score(start) if score is None else score
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
        found = self._score(transform)
        if found < score or self._overlap(transform) < LEAST_OVERLAP * self._overlap(start):
            return start, score
        return transform, found

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

    def volume(self) -> float:
        """mm3 of the field of view, or of the mask."""
        share = 1.0 if self.mask is None else float((sitk.GetArrayViewFromImage(self.mask) > 0).mean())
        return share * float(np.prod(np.array(self.geometry.shape) * self.geometry.spacing))

    def seen(self) -> Seen:
        """The same for a search over poses."""
        inside = None if self.mask is None else array_of(self.mask) > 0
        return Seen(self.as_image("coarse"), inside)

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
