"""The classical start: a translation, rigid or affine map found by mutual information, before any network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813

from ..core.errors import GeometryError
from ..core.image import Image
from ..core.io.itk import LPS, itk_image
from ..core.progress import Progress, silent
from ..core.transform import AffineTransform

#: The two images are reduced to at most this many voxels: a start needs no detail.
MAX_VOXELS = 250_000
#: Positions are compared on this many voxels, all of which are sampled.
TRIAL_VOXELS = 20_000
BINS = 32
SAMPLES = 0.25
ITERATIONS = 100
SHRINKS = (4, 2, 1)
#: Tried about each axis, so that a head that was scanned tilted is found.
TRIAL_ANGLES_DEG = (-30.0, 0.0, 30.0)
#: A position other than the header's must raise mutual information by this factor to be believed.
TRIAL_GAIN = 1.1


def affine_start(fixed: Image, moving: Image, kind: str, seed: int = 0, progress: Progress = silent) -> AffineTransform:
    """Align two images by their headers, contents and joint intensities.

    Args:
        fixed: grid and intensities to align to.
        moving: image to align.
        kind: "none" (the headers are right), "centre" (a translation), "rigid" or "affine".
        seed: of the voxels that mutual information is measured on.
        progress: called at every iteration; may raise `Cancelled`.

    Returns:
        fixed -> moving in RAS mm. Never worse in mutual information than the headers, as far as they overlap.

    Raises:
        GeometryError: no position was found in which the images overlap.

    Source: Mattes et al., IEEE TMI 2003, doi:10.1109/TMI.2003.809072, as implemented in ITK.
    """
    if kind == "none":
        return AffineTransform(np.eye(4))
    with _one_thread():
        return _aligned(fixed, moving, kind, seed, progress)


def _aligned(fixed: Image, moving: Image, kind: str, seed: int, progress: Progress) -> AffineTransform:
    trial = _Search(_reduced(fixed, TRIAL_VOXELS), _reduced(moving, TRIAL_VOXELS), seed, progress)
    transform = trial.best_position(with_rotations=kind != "centre")
    if kind == "centre":
        return _to_ras(transform)
    search = _Search(_reduced(fixed, MAX_VOXELS), _reduced(moving, MAX_VOXELS), seed, progress)
    transform = search.refine(transform, 0.1, 0.5)
    if kind == "affine":
        start = sitk.AffineTransform(3)
        start.SetMatrix(transform.GetMatrix())
        start.SetTranslation(transform.GetTranslation())
        start.SetCenter(transform.GetCenter())
        transform = search.refine(start, 0.5, 1.0)
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

    def __init__(self, fixed: sitk.Image, moving: sitk.Image, seed: int, progress: Progress):
        self.fixed, self.moving, self.seed, self.progress = fixed, moving, seed, progress
        self.centre = _centre_of_mass(fixed)

    def best_position(self, with_rotations: bool) -> sitk.Euler3DTransform:
        """The best of: the headers, equal grid centres, equal centres of mass; each also tilted."""
        shifts = [
            np.zeros(3),
            _centre_of_grid(self.moving) - _centre_of_grid(self.fixed),
            _centre_of_mass(self.moving) - self.centre,
        ]
        headers, *centred = [self._euler((0.0, 0.0, 0.0), shift) for shift in shifts]
        best, score = self._best(centred)
        header_score = self._score(headers)
        if TRIAL_GAIN * header_score >= score:
            best, score = headers, header_score
        if not with_rotations:
            return best
        angles = [np.deg2rad(a) for a in product(TRIAL_ANGLES_DEG, repeat=3) if any(a)]
        tilted, tilted_score = self._best([self._euler(a, shift) for shift in shifts[1:] for a in angles])
        return tilted if tilted_score > TRIAL_GAIN * score else best

    def refine(self, start: sitk.Transform, begin: float, end: float) -> sitk.Transform:
        """Multi-resolution ascent from `start`; `start` itself comes back when that is better."""
        transform = type(start)(start)
        method = self._method()
        method.SetShrinkFactorsPerLevel(SHRINKS)
        method.SetSmoothingSigmasPerLevel([s / 2 if s > 1 else 0 for s in SHRINKS])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=1.0, minStep=1e-3, numberOfIterations=ITERATIONS, gradientMagnitudeTolerance=1e-6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        self._execute(method, begin, end)
        return transform if self._score(transform) >= self._score(start) else start

    def _execute(self, method: sitk.ImageRegistrationMethod, begin: float, end: float) -> None:
        """Run; an exception of the progress callback stops the ascent first, because ITK would swallow it."""
        stopped: list[BaseException] = []

        def report() -> None:
            done = (method.GetCurrentLevel() + method.GetOptimizerIteration() / ITERATIONS) / len(SHRINKS)
            try:
                self.progress(begin + (end - begin) * done, "Aligning")
            except BaseException as error:
                stopped.append(error)
                method.StopRegistration()

        method.AddCommand(sitk.sitkIterationEvent, report)
        try:
            method.Execute(self.fixed, self.moving)
        except RuntimeError as error:
            if not stopped:
                raise GeometryError(
                    "The affine start lost the overlap of the two volumes. Align them roughly first, or choose "
                    "--affine centre."
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
            return -method.MetricEvaluate(self.fixed, self.moving)
        except RuntimeError:
            return -np.inf

    def _method(self) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(BINS)
        if self.fixed.GetNumberOfPixels() > 2 * TRIAL_VOXELS:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(SAMPLES, self.seed + 1)  # ITK takes seed 0 for "the wall clock"
        method.SetInterpolator(sitk.sitkLinear)
        return method

    def _euler(self, angles: tuple[float, ...], shift: np.ndarray) -> sitk.Euler3DTransform:
        return sitk.Euler3DTransform(self.centre.tolist(), *map(float, angles), shift.tolist())


def _reduced(image: Image, voxels: int) -> sitk.Image:
    """The image as SimpleITK's, on isotropic voxels (LPS mm), smoothed before it is sampled down."""
    geometry = image.geometry
    spacing = max(geometry.spacing.min(), (np.prod(geometry.shape * geometry.spacing) / voxels) ** (1 / 3))
    reference = itk_image(np.empty(geometry.with_spacing(spacing).shape, np.uint8), geometry.with_spacing(spacing))
    full = itk_image(image.array.astype(np.float32), geometry)
    smooth = sitk.SmoothingRecursiveGaussian(full, spacing / 2)
    low = float(image.array.min())
    return sitk.Resample(smooth, reference, sitk.Transform(), sitk.sitkLinear, low, sitk.sitkFloat32)


def _centre_of_grid(image: sitk.Image) -> np.ndarray:
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


def _centre_of_mass(image: sitk.Image) -> np.ndarray:
    array = sitk.GetArrayViewFromImage(image).T
    weights = array - array.min()
    weights = np.minimum(weights, np.percentile(weights, 99))
    total = weights.sum()
    if total <= 0:
        return _centre_of_grid(image)
    profiles = [weights.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    index = [float((profile * np.arange(profile.size)).sum() / total) for profile in profiles]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def _to_ras(transform: sitk.Transform) -> AffineTransform:
    """A SimpleITK linear map about a centre (LPS) as one RAS matrix."""
    matrix = np.eye(4)
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, translation = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + translation - linear @ centre
    return AffineTransform(LPS @ matrix @ LPS)
