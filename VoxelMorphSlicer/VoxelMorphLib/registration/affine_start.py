"""The classical start: a translation, rigid or affine map found by mutual information, before any network runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.errors import GeometryError
from ..core.image import Image, LabelMap
from ..core.io.itk import LPS
from ..core.progress import Progress, silent
from ..core.transform import AffineTransform
from .masks import cropped
from .overlap import overlap
from .reduced_image import ReducedImage

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
    pair = [
        ReducedImage.of(*cropped(image, mask), MAX_VOXELS)
        for image, mask in ((fixed, fixed_mask), (moving, moving_mask))
    ]
    with _one_thread():
        return _aligned(*pair, kind, seed, progress)


def _aligned(fixed: ReducedImage, moving: ReducedImage, kind: str, seed: int, progress: Progress) -> AffineTransform:
    trial = _Search(fixed.reduced(TRIAL_VOXELS), moving.reduced(TRIAL_VOXELS), seed, progress)
    transform = trial.best_position(with_rotations=kind != "centre")
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

    def best_position(self, with_rotations: bool) -> sitk.Euler3DTransform:
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

    def _best(self, candidates: list[sitk.Transform]) -> tuple[sitk.Transform, float]:
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
        return overlap(self.fixed.geometry, self.moving.geometry, _to_ras(transform))

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

    def _euler(self, angles: tuple[float, ...], shift: np.ndarray) -> sitk.Euler3DTransform:
        return sitk.Euler3DTransform(self.centre.tolist(), *map(float, angles), shift.tolist())


def _to_ras(transform: sitk.Transform) -> AffineTransform:
    """A SimpleITK linear map about a centre (LPS) as one RAS matrix."""
    matrix = np.eye(4)
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, translation = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + translation - linear @ centre
    return AffineTransform(LPS @ matrix @ LPS)
