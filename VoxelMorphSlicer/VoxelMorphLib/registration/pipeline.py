"""One attempt at a registration: images of any size, spacing and orientation to the moved image and both transforms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..core.devices import resolve_device
from ..core.errors import ConfigError
from ..core.image import check_registrable
from ..core.progress import Progress, silent, span
from ..core.transform import Transform
from ..weights.catalogue import DEFAULT_MODEL
from ..weights.entry import ModelEntry
from ..weights.identity import model_identity
from .alignment import Alignment, align, inverted, without_deformation
from .cache import RegistrationCache
from .compared_pair import ComparedPair
from .extent import on_extent
from .fitness import check_scale, ignored_regularity, unfitness
from .guides import guidance_of
from .initialisation import Start
from .masks import described, fitted_mask
from .memo import Memo, fingerprint
from .memory_need import check_memory_need
from .predictor import Predictor, known_entry, load_predictor
from .quality import Figures, measure
from .request import RegistrationRequest
from .result import Registration, RegistrationReport
from .starting import Starting
from .verdict import Verdict, judge, strained

BY_CHANCE = (
    "The volumes are of different contrasts and count as aligned without a deformation, because it raised their "
    "agreement no more than chance does. To have it all the same, choose a similarity instead of automatic."
)


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
    job.starting.choose(known_entry(request.model))  # before anything is downloaded
    with job.stage("load", 0.0, 0.05):
        predictor = load_predictor(request, span(progress, 0.0, 0.05), cache.networks)
        job.starting.choose(predictor.entry)
        if predictor.predict is not None:
            check_scale(job.fixed.geometry, predictor.entry)
        predictor = on_extent(job.fixed, job.moving, predictor, options.extent, cache.clear)
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
        figures = measure(job.fixed, job.moving, moved, job.starting.initial, forward, inverse)
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
        self.progress, self._progress = progress, progress
        self.seconds: dict[str, float] = {}
        check_registrable(self.fixed, "fixed")
        check_registrable(self.moving, "moving")
        resolve_device(self.options.device)
        self.fixed_mask = fitted_mask(request.fixed_mask, self.fixed, "fixed")
        self.moving_mask = fitted_mask(request.moving_mask, self.moving, "moving")
        self.guidance = guidance_of(request)
        self.starting = Starting(request, self.guidance, (self.fixed_mask, self.moving_mask))

    def stage(self, name: str, begin: float, end: float) -> _Stage:
        self._progress = span(self.progress, begin, end)
        return _Stage(self, name)

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
        return self.starting.find(starts, self._pair, self._progress)

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
        guidance = self.guidance if self.guidance.pulls else None
        masks = self.fixed_mask, self.moving_mask
        mid_space = self.options.mid_space
        if mid_space and guidance is not None and predictor.optimiser is not None and predictor.predict is not None:
            raise ConfigError(
                "Landmarks and labels pull a refinement where the volumes are, not halfway between them. Leave "
                "midSpace off, or choose refine none."
            )
        return align(self.fixed, self.moving, start, predictor, self._progress, *masks, guidance, mid_space)

    def kept(self, predictor: Predictor, start: Transform, found: Alignment) -> Alignment:
        """The start in place of a deformation that raised no measure of agreement, or between contrasts only by chance.

        Not where landmarks, labels or a mask on one side say what else counts.
        """
        masks = self.fixed_mask, self.moving_mask
        if not predictor.deforms or self.guidance.pulls or (masks[0] is None) != (masks[1] is None):
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
        transforms = (self.starting.initial, start, alignment.forward)
        return judge(self.compared, transforms, figures, entry, alignment.similarity)

    def guided(self, predictor: Predictor, forward: Transform) -> dict[str, Any]:
        """What landmarks and labels did, as fields of the report."""
        guidance = self.guidance
        if not guidance.pulls:
            return {}
        return {
            "guides": guidance.described() if predictor.optimiser is not None else "",
            "landmarks": 0 if guidance.landmarks is None else len(guidance.landmarks[0]),
            "landmark_error_before_mm": guidance.landmark_error(self.starting.initial),
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
        said = (verdict.sentence, unfitness(self.request, entry), ignored_regularity(self.options, entry))
        warnings = tuple(sentence for sentence in said if sentence) + self.starting.warnings
        warnings += self.request.fixed.notes + self.request.moving.notes
        warnings += predictor.warnings + alignment.warnings
        strain = strained(figures, entry, predictor.follows_smoothness)
        warnings += (strain,) if strain else ()
        return RegistrationReport(
            model=entry.id,
            model_title=entry.title,
            model_sha256=entry.sha256 or "",
            device=predictor.device,
            precision=predictor.precision,
            affine=self.starting.kind,
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
