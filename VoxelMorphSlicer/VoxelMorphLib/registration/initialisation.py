"""The affine initialisation: the linear transform that aligns two volumes wherever they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.errors import GeometryError
from ..core.geometry import Geometry
from ..core.held_signals import held_signals
from ..core.image import Image, LabelMap
from ..core.io.itk import LPS
from ..core.memory import is_memory_shortage
from ..core.progress import Progress, silent
from ..core.transform import AffineTransform
from .header_check import HeaderCheck
from .masks import cropped
from .order import comes_first
from .overlap import overlap_share
from .pose_search import Pose, PoseSearch
from .reduced_image import ReducedImage, reduced_contents

#: The fixed and the moving field of view are scaled to this extent, mm, for which the steps of the ascent are made.
USUAL_EXTENT = 180.0
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

    def scaled(self, factor: float) -> Start:
        """The same in millimetres that are `factor` times as many."""
        matrix = self.transform.matrix.copy()
        matrix[:3, 3] *= factor
        return Start(AffineTransform(matrix), self.warnings)


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
        The transform, which inverts when the images are swapped, and a sentence where it turns far or the contents
        look mirrored. Apart from "grid" it is the identity where nothing better was found: near the headers in the
        sense of `HeaderCheck`, farther away in mutual information.

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
    scale = USUAL_EXTENT / np.sqrt(_extent(fixed.geometry) * _extent(moving.geometry))
    sides = (fixed, fixed_mask), (moving, moving_mask)
    seen = [cropped(_scaled(image, scale), None if mask is None else _scaled(mask, scale)) for image, mask in sides]
    with _one_thread():
        here, there = (_Side(reduced_contents(*each, MAX_VOXELS), *each) for each in seen)
        if here.precedes(there):
            return _aligned(here, there, kind, seed, progress).scaled(1 / scale)
        found = _aligned(there, here, kind, seed, progress).scaled(1 / scale)
        return Start(found.transform.inverse(), found.warnings)


def _extent(geometry: Geometry) -> float:
    """Side of a cube of the same volume, mm."""
    return float(np.prod(geometry.spacing * geometry.shape)) ** (1 / 3)


Voxels = TypeVar("Voxels", bound=Image)


def _scaled(image: Voxels, scale: float) -> Voxels:
    """The image with larger or smaller millimetres."""
    geometry = Geometry(image.geometry.shape, np.diag([scale, scale, scale, 1.0]) @ image.geometry.affine)
    return type(image)(image.array, geometry, image.name)


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the two images: its contents on few voxels, and all of what may be looked at."""

    contents: ReducedImage
    image: Image
    mask: LabelMap | None

    def precedes(self, other: _Side) -> bool:
        """Whether to look from here into the other, whichever of the two is called fixed."""
        one, two = self.contents, other.contents
        return comes_first((one.volume(), two.volume()), (one.mean(), two.mean()))


def _aligned(here: _Side, there: _Side, kind: str, seed: int, progress: Progress) -> Start:
    fixed, moving = here.contents, there.contents
    coarse_fixed, coarse_moving = fixed.reduced(TRIAL_VOXELS), moving.reduced(TRIAL_VOXELS)
    check = HeaderCheck(here.image, there.image, here.mask)
    if kind == "centre":
        position = _to_ras(_Search(coarse_fixed, coarse_moving, seed, progress).best_position())
        return Start(check.best([position]))
    pose, mirrored, matrix = _pose(coarse_fixed, coarse_moving, kind == "affine", seed, progress)
    found = _Search(fixed, moving, seed, progress).aligned(matrix, kind)
    return Start(check.best(found), start_warnings(pose.angle_deg, mirrored.score > MIRROR_GAIN * pose.score))


def _pose(
    here: ReducedImage, there: ReducedImage, with_scale: bool, seed: int, progress: Progress
) -> tuple[Pose, Pose, np.ndarray]:
    """The best pose, the best mirrored one, and the first as (4, 4), here -> there in RAS mm."""
    ras = LPS[:3, :3]
    centre = ras @ here.centre_of_mass()
    ends = (there.centre_of_grid(), here.centre_of_grid()), (there.centre_of_mass(), here.centre_of_mass())
    shifts = [np.zeros(3), *(ras @ (there_end - here_end) for there_end, here_end in ends)]
    poses = PoseSearch(here.seen(), there.seen(), centre, shifts, seed, progress)
    pose = poses.best(with_scale)
    return pose, poses.mirrored(pose, with_scale), poses.matrix(pose)


def start_warnings(angle_deg: float, is_mirrored: bool) -> tuple[str, ...]:
    """What to check of a start that turns so far, or of contents that would fit better as in a mirror."""
    found = []
    if is_mirrored:
        found.append(
            "The moving volume looks mirrored: its contents would fit the fixed volume better as in a mirror. It was "
            "not mirrored. Check the orientation of both volumes before anything is measured."
        )
    if angle_deg > TOLD_TURN_DEG:
        found.append(
            f"The moving volume was turned by {angle_deg:.0f} degrees: check left and right. A volume whose "
            "contents are mirrored can look turned as well."
        )
    return tuple(found)


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

    def aligned(self, matrix: np.ndarray, kind: str) -> list[AffineTransform]:
        """Ascent from a similarity (RAS mm), or from the headers where these are better than what that leads to.

        Returns:
            What was found, for "affine" behind the similarity on the way there.
        """
        found, score = self._ascended(matrix, kind)
        headers = sitk.Euler3DTransform()
        if self._overlap(headers) >= LEAST_OVERLAP * self._overlap(found[-1]) and self._score(headers) > score:
            found, _ = self._ascended(np.eye(4), kind)
        return [_to_ras(each) for each in found]

    def _ascended(self, matrix: np.ndarray, kind: str) -> tuple[list[Any], float]:
        linear = LPS[:3, :3] @ matrix[:3, :3] @ LPS[:3, :3]
        shift = LPS[:3, :3] @ matrix[:3, 3] + linear @ self.centre - self.centre
        start = sitk.Euler3DTransform() if kind == "rigid" else sitk.Similarity3DTransform()
        start.SetCenter(self.centre.tolist())
        start.SetMatrix(linear.ravel().tolist(), 1e-6)
        start.SetTranslation(shift.tolist())
        found, score = self.refine(start, SHRINKS if kind == "rigid" else SHRINKS[:-1], 0.3, 0.5)
        if kind == "rigid":
            return [found], score
        free = sitk.AffineTransform(3)
        free.SetMatrix(found.GetMatrix())
        free.SetTranslation(found.GetTranslation())
        free.SetCenter(found.GetCenter())
        freest, score = self.refine(free, SHRINKS, 0.5, 1.0, score)
        return [found, freest], score

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
        """Run; an exception of the progress callback or a signal stops the ascent first: ITK would swallow them."""
        stopped: list[BaseException] = []

        def report() -> None:
            if came:
                method.StopRegistration()
                return
            done = (method.GetCurrentLevel() + method.GetOptimizerIteration() / ITERATIONS) / levels
            try:
                self.progress(begin + (end - begin) * done, "Aligning")
            except BaseException as error:
                stopped.append(error)
                method.StopRegistration()

        method.AddCommand(sitk.sitkIterationEvent, report)
        try:
            with held_signals() as came:
                method.Execute(self.fixed.image, self.moving.image)
        except RuntimeError as error:
            if not stopped:
                _check_memory(error)
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
        except RuntimeError as error:
            _check_memory(error)
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


def _check_memory(error: RuntimeError) -> None:
    """Pass on that the memory is full, which ITK says in the same way as that nothing overlaps."""
    if is_memory_shortage(error):
        raise MemoryError(str(error)) from error


def _to_ras(transform: Any) -> AffineTransform:
    """A SimpleITK linear map about a centre (LPS; Euler or affine, which share no base class) as one RAS matrix."""
    matrix = np.eye(4)
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, translation = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + translation - linear @ centre
    return AffineTransform(LPS @ matrix @ LPS)
