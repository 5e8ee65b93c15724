"""One attempt at a registration: images of any size, spacing and orientation to the moved image and both transforms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..core.devices import resolve_device
from ..core.errors import ConfigError, GeometryError
from ..core.geometry import Geometry
from ..core.image import Image, LabelMap, check_registrable
from ..core.landmarks import check_inside, check_pairs, fit_landmarks
from ..core.progress import Progress, silent, span
from ..core.thin_plate import fit_thin_plate
from ..core.transform import IDENTITY, Transform
from ..weights.architectures import LINEAR
from ..weights.catalogue import DEFAULT_MODEL
from ..weights.entry import ModelEntry
from ..weights.identity import model_identity
from .alignment import Alignment, align, inverted, without_deformation
from .cache import RegistrationCache
from .compared_pair import ComparedPair
from .fitness import check_scale, unfitness
from .guides import Guidance, common_labels
from .initial import check_initial, initial_warnings
from .initialisation import MAX_VOXELS, Start, affine_start
from .masks import check_labels_meet, described, fitted_mask, mask_through
from .memo import Memo, fingerprint
from .memory_need import check_memory_need
from .overlap import overlaps
from .planar_start import planar_start
from .planes import are_slices, check_in_plane, check_plane_model, onto_plane, plane_note
from .predictor import Predictor, known_entry, load_predictor, optimises
from .quality import Figures, measure
from .reduced_image import ReducedImage
from .request import RegistrationRequest
from .result import Registration, RegistrationReport
from .verdict import Verdict, judge, strained

#: Of the moving image, seen through an initial transform, that an affine start is searched for.
SURROUNDINGS_VOXELS = 8 * MAX_VOXELS


APART = (
    "The volumes do not overlap in the patient, so the registration started from their middles on each other. Check "
    "the position and the orientation in both headers."
)
BY_CHANCE = (
    "The volumes are of different contrasts and count as aligned without a deformation, because it raised their "
    "agreement no more than chance does. To have it all the same, choose a similarity instead of automatic."
)
#: Starts from landmarks, and the maps that they fit.
LANDMARK_STARTS = {f"landmarks-{kind}": kind for kind in ("rigid", "affine", "thin-plate")}


def register_once(
    request: RegistrationRequest, progress: Progress = silent, cache: RegistrationCache | None = None
) -> Registration:
    """Align the two volumes of a request, with the memory there is; see `register.register` for the way back from less.

    Args:
        request: the pair and how to register it.
        progress: called with the finished fraction and a text; may raise `Cancelled`.
        cache: keeps networks, affine starts and the last alignment for the next call; None begins anew.

    Returns:
        The moved image, the transforms in both directions, and a report.

    Raises:
        ImageError: a volume cannot be registered (constant, NaN, one slice), a mask is empty, or landmarks or labels
            are unfit.
        GeometryError: the volumes do not overlap although the start is "none" or an initial transform was given, that
            is damaged, or a mask does not overlap its volume.
        ConfigError: unknown model or option.
        WeightsError: the weights cannot be had or read.
        DeviceError: no such device, or its memory does not suffice.
        Cancelled: the progress callback stopped the work.
    """
    cache = cache or RegistrationCache()
    job = _Job(request, progress)
    options = job.options
    job.check()
    job.choose_start(known_entry(request.model))  # before anything is downloaded
    with job.stage("load", 0.0, 0.05):
        predictor = load_predictor(request, span(progress, 0.0, 0.05), cache.networks)
        job.choose_start(predictor.entry)
        if predictor.predict is not None:
            check_scale(job.fixed.geometry, predictor.entry)
        check_memory_need(job.fixed, job.moving, predictor, cache.clear)
    with job.stage("affine", 0.05, 0.2):
        start = job.start(cache.starts)
    with job.stage("network", 0.2, 0.8):
        found = job.align(predictor, start, cache.alignments)
        alignment = job.kept(predictor, start, found)
        forward, inverse = alignment.forward, alignment.inverse
    with job.stage("resample", 0.8, 0.9):
        moved = forward.resample(job.moving, job.fixed.geometry, options.interpolation, options.background)
    with job.stage("measure", 0.9, 1.0):
        figures = measure(job.fixed, job.moving, moved, job.initial, forward, inverse)
        verdict = job.judge(predictor.entry, start, alignment, figures)
        if alignment is not found and not verdict.sentence:
            rejected = job.judge(predictor.entry, start, found, figures).sentence
            verdict = replace(verdict, sentence=f"{rejected} The start was kept." if rejected else "")
        guided = job.guided(predictor, forward)
    progress(1.0, "Done")
    return Registration(moved, forward, inverse, job.report(predictor, figures, verdict, alignment, guided))


class _Job:
    """One registration on its way: its request, its clock and the stage it is in."""

    def __init__(self, request: RegistrationRequest, progress: Progress):
        self.request, self.fixed, self.moving, self.options = request, request.fixed, request.moving, request.options
        self.initial = request.initial or IDENTITY
        self.progress, self._progress = progress, progress
        self.fixed_mask: LabelMap | None = None
        self.moving_mask: LabelMap | None = None
        self.guidance: Guidance | None = None
        self.affine = "none"
        self.are_slices = False
        self.warnings: tuple[str, ...] = ()  # of the start
        self._told: tuple[str, ...] = ()  # of what it begins with
        self.seconds: dict[str, float] = {}

    def stage(self, name: str, begin: float, end: float) -> _Stage:
        self._progress = span(self.progress, begin, end)
        return _Stage(self, name)

    def check(self) -> None:
        check_registrable(self.fixed, "fixed")
        check_registrable(self.moving, "moving")
        resolve_device(self.options.device)
        self.fixed_mask = fitted_mask(self.request.fixed_mask, self.fixed, "fixed")
        self.moving_mask = fitted_mask(self.request.moving_mask, self.moving, "moving")
        check_initial(self.initial)
        self._told = initial_warnings(self.initial)
        self.are_slices = are_slices(self.fixed, self.moving)
        if self.are_slices:
            self._check_planes()
        self.guidance = self._checked_guidance()

    def _check_planes(self) -> None:
        """Lay the plane of one slice on that of the other, if no initial transform does."""
        planes = self.fixed.geometry, self.moving.geometry
        if self.initial is not IDENTITY:
            check_in_plane(*planes, self.initial)
            return
        self.initial = onto_plane(*planes)
        self._told += plane_note(*planes)

    def _checked_guidance(self) -> Guidance:
        request, options = self.request, self.options
        landmarks = check_pairs(request.fixed_landmarks, request.moving_landmarks)
        if landmarks is not None:
            check_inside(landmarks[0], self.fixed.geometry, "fixed")
            check_inside(landmarks[1], self.moving.geometry, "moving")
        labels = None
        if request.fixed_labels is not None and request.moving_labels is not None:
            labels = request.fixed_labels, request.moving_labels
            common_labels(*labels)
            check_labels_meet(labels[0], self.fixed, "fixed")
            check_labels_meet(labels[1], self.moving, "moving")
        elif request.fixed_labels is not None or request.moving_labels is not None:
            raise ConfigError("Labels of only one image cannot pull. Give those of the fixed and of the moving image.")
        return Guidance(landmarks, labels, options.landmark_weight, options.label_weight)

    def choose_start(self, entry: ModelEntry | None) -> None:
        """Decide what comes before the model, and refuse volumes apart that nothing may bring together."""
        wanted = self.options.affine
        if wanted != "auto":
            self.affine = wanted
        elif entry is None:
            return  # a file that was not read yet
        else:
            self.affine = entry.affine_start
        if entry is not None and entry.architecture == LINEAR and self.affine == "none":
            raise ConfigError(
                f"The model {entry.id} does nothing without a start, and the start is none. Choose centre, rigid or "
                "affine, or another model."
            )
        if entry is not None and self.are_slices:
            check_plane_model(entry)
        self._check_use(entry)
        chosen = wanted not in ("auto", "none") or self.affine in ("grid", "centre")
        if chosen or overlaps(self.fixed.geometry, self.moving.geometry, self.initial):
            return
        if wanted == "auto" and self.request.initial is None:
            self.affine = "grid" if self.affine == "none" else self.affine
            self._told += (APART,)
        else:
            raise GeometryError(
                f"The volumes {self.fixed.name} (centre {_point(self.fixed.geometry)}) and {self.moving.name} (centre "
                f"{_point(self.moving.geometry)}) do not overlap in the patient. Choose the start centre, rigid or "
                "affine, or give an initial transform."
            )

    def _check_use(self, entry: ModelEntry | None) -> None:
        """Refuse landmarks and labels that nothing would look at, and a start from landmarks without any."""
        assert self.guidance is not None
        landmarks, labels = self.guidance.landmarks, self.guidance.labels
        if self.affine in LANDMARK_STARTS:
            if landmarks is None:
                raise ConfigError(
                    f"The start {self.affine} needs landmarks in both images, and there are none. Give them, or choose "
                    "another start."
                )
            _ = self._landmark_start  # before anything is downloaded
            landmarks = None  # they are of use
        if entry is None or optimises(entry, self.options.refine):
            return
        for given, what in ((landmarks, "landmarks"), (labels, "labels")):
            if given is not None:
                raise ConfigError(
                    f"The {what} would not be used, because the model {entry.id} optimises nothing on the pair. Choose "
                    f"refine fast, balanced or best, the model {DEFAULT_MODEL}, or give no {what}."
                )

    @cached_property
    def _landmark_start(self) -> Transform:
        assert self.guidance is not None and self.guidance.landmarks is not None
        fixed, moving = self.guidance.landmarks
        moving, kind = inverted(self.initial).apply_to_points(moving), LANDMARK_STARTS[self.affine]
        if kind == "thin-plate":
            return fit_thin_plate(fixed, moving, self.fixed.geometry).compose(self.initial)
        return fit_landmarks(fixed, moving, kind).compose(self.initial)

    @cached_property
    def _pair(self) -> bytes:
        """What is aligned, in one digest."""
        return fingerprint(self.fixed, self.moving, self.fixed_mask, self.moving_mask)

    @cached_property
    def compared(self) -> ComparedPair:
        """The pair on few voxels."""
        return ComparedPair(self.fixed, self.moving, self.fixed_mask, self.moving_mask)

    def start(self, starts: Memo[Start]) -> Transform:
        """Fixed -> moving before the deformable stage."""
        if self.affine == "none":
            return self.initial
        if self.affine in LANDMARK_STARTS:
            return self._landmark_start
        found = starts.recall(self._find_start, self._pair, self.initial, self.affine, self.options.seed)
        self.warnings = found.warnings
        return found.transform.compose(self.initial)

    def _find_start(self) -> Start:
        if self.are_slices:
            return self._find_planar_start()
        moving, moving_mask = self.moving, self.moving_mask
        if self.initial is not IDENTITY:
            coarse = ReducedImage.of(moving, None, SURROUNDINGS_VOXELS).as_image(moving.name)
            moving = self.initial.resample(coarse, _surroundings(self.fixed.geometry))
            moving_mask = None if moving_mask is None else mask_through(moving_mask, moving, self.initial)
        masks = (self.fixed_mask, moving_mask)
        return affine_start(self.fixed, moving, self.affine, self.options.seed, self._progress, *masks)

    def _find_planar_start(self) -> Start:
        moving, moving_mask = self.moving, self.moving_mask
        motion = self.initial.as_matrix()
        if self.request.initial is None and motion is not None:  # which keeps what lies beyond the fixed slice
            geometry = moving.geometry.moved(np.linalg.inv(motion))
            moving = Image(moving.array, geometry, moving.name)
            moving_mask = None if moving_mask is None else LabelMap(moving_mask.array, geometry, moving_mask.name)
        elif self.initial is not IDENTITY:
            moving = self.initial.resample(moving, _surroundings(self.fixed.geometry))
            moving_mask = None if moving_mask is None else mask_through(moving_mask, moving, self.initial)
        masks = (self.fixed_mask, moving_mask)
        return planar_start(self.fixed, moving, self.affine, self.options.seed, self._progress, *masks)

    def align(self, predictor: Predictor, start: Transform, alignments: Memo[Alignment]) -> Alignment:
        """The transforms in both directions."""
        if not alignments.capacity:
            return self._find_alignment(predictor, start)
        decisive = replace(self.options, interpolation="linear", background=None)
        model = model_identity(self.request.model or DEFAULT_MODEL, self.request.weights_dir)
        inputs = (self._pair, start, predictor.entry, predictor.device, model, decisive, self.guidance)
        return alignments.recall(lambda: self._find_alignment(predictor, start), *inputs)

    def _find_alignment(self, predictor: Predictor, start: Transform) -> Alignment:
        if not predictor.deforms:
            return Alignment(start, inverted(start))
        guidance = self.guidance if self.guidance is not None and self.guidance.pulls else None
        masks = self.fixed_mask, self.moving_mask
        return align(self.fixed, self.moving, start, predictor, self._progress, *masks, guidance)

    def kept(self, predictor: Predictor, start: Transform, found: Alignment) -> Alignment:
        """The start in place of a deformation that raised no measure of agreement, or between contrasts only by chance.

        Not where landmarks, labels or a mask on one side say what else counts.
        """
        masks = self.fixed_mask, self.moving_mask
        is_pulled = self.guidance is not None and self.guidance.pulls
        if not predictor.deforms or is_pulled or (masks[0] is None) != (masks[1] is None):
            return found
        improved = self.compared.improved(start, found.forward)
        of_contrasts = self.options.similarity == "auto" and found.similarity in ("mind", "mi")
        if improved and (not of_contrasts or self.compared.improved(start, found.forward, beyond_chance=True)):
            return found
        told = "; ".join(filter(None, (found.compared, "nothing better than the start was found, which was kept")))
        warnings = (*found.warnings, BY_CHANCE) if improved else found.warnings
        return replace(without_deformation(found, start), compared=told, warnings=warnings)

    def judge(self, entry: ModelEntry, start: Transform, alignment: Alignment, figures: Figures) -> Verdict:
        """Whether the result is worse than its start."""
        transforms = (self.initial, start, alignment.forward)
        return judge(self.compared, transforms, figures, entry, alignment.similarity)

    def guided(self, predictor: Predictor, forward: Transform) -> dict[str, Any]:
        """What landmarks and labels did, as fields of the report."""
        guidance = self.guidance
        if guidance is None or not guidance.pulls:
            return {}
        return {
            "guides": guidance.described() if predictor.optimiser is not None else "",
            "landmarks": 0 if guidance.landmarks is None else len(guidance.landmarks[0]),
            "landmark_error_before_mm": guidance.landmark_error(self.initial),
            "landmark_error_after_mm": guidance.landmark_error(forward),
        }

    def report(
        self,
        predictor: Predictor,
        figures: Figures,
        verdict: Verdict,
        alignment: Alignment,
        guided: Mapping[str, Any],
    ) -> RegistrationReport:
        entry = predictor.entry
        said = (verdict.sentence, unfitness(self.request, entry))
        warnings = tuple(sentence for sentence in said if sentence) + self._told + self.warnings
        warnings += self.request.fixed.notes + self.request.moving.notes
        warnings += predictor.warnings + alignment.warnings
        strain = strained(figures, entry, predictor.optimiser is not None)
        warnings += (strain,) if strain else ()
        return RegistrationReport(
            model=entry.id,
            model_title=entry.title,
            model_sha256=entry.sha256 or "",
            device=predictor.device,
            precision=self.options.precision,
            affine=self.affine,
            compared=alignment.compared,
            options=self.options.to_dict(),
            seconds={**self.seconds, "total": sum(self.seconds.values())},
            worse=verdict.sentence,
            warnings=warnings,
            fixed=str(self.fixed.geometry),
            moving=str(self.moving.geometry),
            fixed_mask=described(self.fixed_mask),
            moving_mask=described(self.moving_mask),
            **figures.to_dict(),
            **verdict.figures(),
            **guided,
        )


class _Stage:
    """Times one stage of a job."""

    def __init__(self, job: _Job, name: str):
        self.job, self.name = job, name

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        self.job.seconds[self.name] = round(time.perf_counter() - self.began, 3)


def _surroundings(geometry: Geometry) -> Geometry:
    """Half the extent added on every side, so that nothing is lost before an affine start, on voxels as it needs."""
    extent = geometry.shape * geometry.spacing
    coarse = geometry.with_spacing(np.maximum(geometry.spacing, 2 * (np.prod(extent) / SURROUNDINGS_VOXELS) ** (1 / 3)))
    margin = [n // 2 for n in coarse.shape]
    return coarse.shifted([-m for m in margin], [n + 2 * m for n, m in zip(coarse.shape, margin)])


def _point(geometry: Geometry) -> str:
    return "(" + ", ".join(f"{c:.0f}" for c in geometry.centre) + ") mm"
