"""One registration from the click to its nodes, polled by a timer: nothing here waits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Callable

import qt
from slicer.i18n import tr as _

from ...core.config import RegistrationOptions
from ...core.errors import Cancelled, VoxelMorphError
from . import outputs
from .progress_section import ProgressSection

#: How often the worker is asked for news.
POLL_MS = 50


def options_of(parameters) -> RegistrationOptions:
    """The settings of a configuration as the library takes them.

    Raises:
        ConfigError: a value is impossible.
    """
    return RegistrationOptions(
        affine=parameters.affine,
        device=parameters.device,
        precision=parameters.precision,
        interpolation=parameters.interpolation,
        budget_s=parameters.budget,
        smoothness=parameters.smoothness,
    )


class Run:
    """Runs registrations of configurations, one at a time.

    Args:
        logic: starts registrations and what follows them.
        makeWorker: gives the process that computes; called for the first run.
        progress: shows how far the work is.
        onEnd: called once per run with a sentence and whether it is an error.
    """

    def __init__(self, logic, makeWorker: Callable, progress: ProgressSection, onEnd: Callable[[str, bool], None]):
        self._logic, self._makeWorker, self._progress, self._onEnd = logic, makeWorker, progress, onEnd
        self._worker = self._handle = self._parameters = None
        self._steps: Iterator[str] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)

    @property
    def busy(self) -> bool:
        return self._handle is not None

    def start(self, parameters) -> None:
        """Start with the configuration as it is now.

        Raises:
            VoxelMorphError: an input is unfit; nothing was started.
        """
        outputs.forget_other_results(parameters)
        self._parameters = parameters
        self._worker = self._worker or self._makeWorker()
        self._handle = self._logic.start(
            parameters.fixedVolume,
            parameters.movingVolume,
            model=parameters.model,
            options=options_of(parameters),
            initialNode=parameters.initialTransform,
            targets=outputs.targets(parameters),
            worker=self._worker,
            allowFallback=parameters.allowFallback,
            onProgress=self._progress.progress,
            onFinished=self._finish,
            onFailed=self._fail,
        )
        self._timer.start()

    def cancel(self) -> None:
        """Stop at once; the scene stays as it is, or as the finished registration left it."""
        if self._handle is not None and self._steps is None:
            self._worker.cancel(self._handle)
            self._worker.poll()
        if self._steps is not None:
            self._end(_("Registered; what follows was cancelled"), False)

    def close(self) -> None:
        """Stop and end the worker."""
        self.cancel()
        if self._worker is not None:
            self._worker.shutdown()

    def _poll(self) -> None:
        self._progress.tick()
        if self._steps is None:
            self._worker.poll()
        else:
            self._step()

    def _finish(self, nodes) -> None:
        outputs.keep_nodes(self._parameters, nodes)
        self._steps = self._follow_up(nodes)

    def _fail(self, error: Exception) -> None:
        cancelled = isinstance(error, Cancelled)
        self._end(_("Cancelled; the scene is as before") if cancelled else str(error), not cancelled)

    def _step(self) -> None:
        """One part of what follows a registration, so that the application stays responsive between the parts."""
        try:
            text = next(self._steps, None)
        except Exception as error:  # the panel must be usable again, whatever a node or VTK does
            if not isinstance(error, VoxelMorphError):
                logging.exception("What follows a registration failed")
            self._end(_("Registered, but: {error}").format(error=error), True)
            return
        if text is None:
            name = self._parameters.movedVolume.GetName() if self._parameters.movedVolume else ""
            self._end(_("Done: {name}").format(name=name), False)
        else:
            self._progress.progress(1.0, text)

    def _follow_up(self, nodes) -> Iterator[str]:
        """Jacobian map, moved segmentation and table; yields the name of the part that comes next."""
        chosen = self._parameters
        if chosen.jacobianVolume is not None or chosen.overlay == "jacobian":
            yield _("Jacobian map")
            chosen.jacobianVolume = self._logic.jacobian(nodes["forward"], chosen.fixedVolume, chosen.jacobianVolume)
        if chosen.movingSegmentation is not None:
            yield _("Moving the segmentation")
            chosen.movedSegmentation = self._logic.applyTransform(
                chosen.movingSegmentation, nodes["forward"], chosen.fixedVolume, target=chosen.movedSegmentation
            )
        yield _("Measuring")
        chosen.resultsTable = self._logic.evaluate(
            chosen.fixedVolume,
            chosen.movingVolume,
            nodes["moved"],
            nodes["forward"],
            fixedSegmentation=chosen.fixedSegmentation,
            movingSegmentation=chosen.movingSegmentation,
            fixedLandmarks=chosen.fixedLandmarks,
            movingLandmarks=chosen.movingLandmarks,
            table=chosen.resultsTable,
        )

    def _end(self, text: str, error: bool) -> None:
        self._timer.stop()
        self._handle = self._parameters = self._steps = None
        self._onEnd(text, error)
