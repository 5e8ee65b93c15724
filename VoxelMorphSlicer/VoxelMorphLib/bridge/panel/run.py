"""One registration from the click to its nodes, polled by a timer: nothing here waits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Callable, Optional

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
        onEnd: called once per run with a sentence, and with the error where there was one.
    """

    def __init__(
        self, logic, makeWorker: Callable, progress: ProgressSection, onEnd: Callable[[str, Optional[Exception]], None]
    ):
        self._logic, self._makeWorker, self._progress, self._onEnd = logic, makeWorker, progress, onEnd
        self._worker = self._handle = self._parameters = None
        self._targets: dict = {}
        self._steps: Iterator[str] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)

    @property
    def busy(self) -> bool:
        """Whether a registration, or what follows one, goes on."""
        return self._handle is not None

    def start(self, parameters) -> None:
        """Start with the configuration as it is now.

        Raises:
            VoxelMorphError: an input is unfit; nothing was started.
        """
        self._parameters, self._targets = parameters, outputs.targets(parameters)
        self._worker = self._worker or self._makeWorker()
        self._handle = self._logic.start(
            parameters.fixedVolume,
            parameters.movingVolume,
            model=parameters.model,
            options=options_of(parameters),
            initialNode=parameters.initialTransform,
            fixedMaskNode=parameters.fixedMask,
            movingMaskNode=parameters.movingMask,
            targets={output: self._targets[name] for output, name in outputs.REGISTERED.items()},
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
            self._end(_("Registered; what follows was cancelled"))

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
        for output, name in outputs.REGISTERED.items():
            setattr(self._parameters, name, nodes[output])
        self._steps = self._follow_up(nodes)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self._end(_("Cancelled; the scene is as before"))
        else:
            self._end(str(error), error)

    def _step(self) -> None:
        """One part of what follows a registration, so that the application stays responsive between the parts."""
        try:
            text = next(self._steps, None)
        except Exception as error:  # the panel must be usable again, whatever a node or VTK does
            if not isinstance(error, VoxelMorphError):
                logging.exception("What follows a registration failed")
            self._end(_("Registered, but: {error}").format(error=error), error)
            return
        if text is None:
            name = self._parameters.movedVolume.GetName() if self._parameters.movedVolume else ""
            self._end(_("Done: {name}").format(name=name))
        else:
            self._progress.progress(1.0, text)

    def _follow_up(self, nodes) -> Iterator[str]:
        """Jacobian map, moved segmentation and table; yields the name of the part that comes next."""
        chosen, targets = self._parameters, self._targets
        fixed, moving, forward = chosen.fixedVolume, chosen.movingVolume, nodes["forward"]
        if chosen.jacobianVolume is not None or chosen.overlay == "jacobian":
            yield _("Jacobian map")
            chosen.jacobianVolume = self._logic.jacobian(forward, fixed, targets["jacobianVolume"])
        if chosen.movingSegmentation is not None:
            yield _("Moving the segmentation")
            chosen.movedSegmentation = self._logic.applyTransform(
                chosen.movingSegmentation, forward, fixed, target=targets["movedSegmentation"]
            )
        yield _("Measuring")
        segmentations = _both(chosen.fixedSegmentation, chosen.movingSegmentation)
        landmarks = _both(chosen.fixedLandmarks, chosen.movingLandmarks)
        chosen.resultsTable = self._logic.evaluate(
            fixed, moving, nodes["moved"], forward, *segmentations, *landmarks, targets["resultsTable"], isFresh=True
        )

    def _end(self, text: str, error: Exception | None = None) -> None:
        self._timer.stop()
        self._handle = self._parameters = self._steps = None
        self._onEnd(text, error)


def _both(fixed, moving) -> tuple:
    """Two nodes to compare, or none."""
    return (fixed, moving) if fixed is not None and moving is not None else (None, None)
