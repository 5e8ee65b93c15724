"""Registrations from the click to their nodes, polled by a timer: nothing here waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import qt
from slicer.i18n import tr as _

from ...core.config import RegistrationOptions
from ...core.errors import Cancelled
from ..background.steps import StepRunner, Steps
from ..scene.result_nodes import warnings_of
from . import outputs
from .follow_up import check_inputs, follow_up
from .progress_section import ProgressSection
from .sentences import done, sentence_of
from .sequence_section import FRAME

#: How often the worker is asked for news.
POLL_MS = 50
#: How long a poll leaves the processor to the thread that measures; the application stands still for that long.
WAIT_S = 0.03


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
        hyper=parameters.hyper,
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
        self._worker = self._parameters = None
        self._cancel: Callable[[], None] | None = None
        self._targets: dict = {}
        self._steps: StepRunner | None = None
        self._registered = False
        self._warnings: list[str] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)

    @property
    def busy(self) -> bool:
        """Whether a registration, or what follows one, goes on."""
        return self._parameters is not None

    def start(self, parameters) -> None:
        """Register the volumes of the configuration as it is now.

        Raises:
            VoxelMorphError: an input is unfit; nothing was started.
        """
        self._begin(parameters, self._startPair)

    def startSequence(self, parameters) -> None:
        """Register the sequence of the configuration as it is now, frame by frame.

        Raises:
            VoxelMorphError: an input is unfit; nothing was started.
        """
        self._begin(parameters, self._startSeries)

    def startSteps(self, parameters, steps: Steps) -> None:
        """Do other work on the scene, which gives the sentence that remains of it."""
        self._parameters, self._steps = parameters, StepRunner(steps)
        self._timer.start()

    def cancel(self) -> None:
        """Stop at once; the scene stays as it is, or as the finished registration left it."""
        if self._steps is not None:
            self._steps.close()
            registered = _("Registered; what follows was cancelled")
            self._end(registered if self._registered else _("Cancelled; the scene is as before"))
        elif self._cancel is not None:
            self._cancel()
            self._worker.poll()

    def cancelWithoutParameters(self) -> None:
        """Stop where the configuration left the scene: nobody would know what the result is for."""
        if self.busy and self._parameters.parameterNode.GetScene() is None:
            self.cancel()

    def close(self) -> None:
        """Stop and end the worker."""
        self.cancel()
        if self._worker is not None:
            self._worker.shutdown()

    def _begin(self, parameters, start: Callable) -> None:
        self._worker = self._worker or self._makeWorker()
        self._parameters = parameters
        try:
            cancel = start(parameters)
        except Exception:
            self._parameters = None
            raise
        if self.busy:  # a sequence that holds nothing but its reference is done already
            self._cancel = cancel
            self._timer.start()

    def _startPair(self, parameters) -> Callable[[], None]:
        check_inputs(parameters)
        self._targets = outputs.targets(parameters)
        handle = self._logic.start(
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
        return lambda: self._worker.cancel(handle)

    def _startSeries(self, parameters) -> Callable[[], None]:
        is_frame = parameters.sequenceReference == FRAME
        return self._logic.startSequence(
            parameters.sequence,
            parameters.sequenceFrame - 1 if is_frame else parameters.fixedVolume,
            model=parameters.model,
            options=options_of(parameters),
            worker=self._worker,
            allowFallback=parameters.allowFallback,
            referenceMaskNode=parameters.fixedMask,
            initialNode=None if is_frame else parameters.initialTransform,
            onProgress=self._progress.progress,
            onFinished=self._finishSeries,
            onFailed=self._fail,
        ).cancel

    def _poll(self) -> None:
        self._progress.tick()
        if self._steps is None:
            self._worker.poll()
        else:
            self._step()

    def _finish(self, nodes) -> None:
        for output, name in outputs.REGISTERED.items():
            setattr(self._parameters, name, nodes[output])
        self._registered, self._warnings = True, warnings_of(nodes["forward"])
        self._steps = StepRunner(follow_up(self._parameters, self._targets, self._logic, nodes))

    def _finishSeries(self, result) -> None:
        self._parameters.sequenceBrowser = result.browser
        self._end(done(result.browser.GetName(), result.warnings))

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self._end(_("Cancelled; the scene is as before"))
        else:
            self._end(sentence_of(error), error)

    def _step(self) -> None:
        """One part of the work, so that the application stays responsive between the parts."""
        try:
            text = self._steps.poll(WAIT_S)
        except StopIteration as end:
            self._end(" ".join([end.value, *self._steps.warnings]))
        except Exception as error:  # the panel must be usable again, whatever a node or VTK does
            text = sentence_of(error)
            if self._registered:
                text = " ".join([_("Registered, but: {error}").format(error=text), *self._warnings])
            self._end(text, error)
        else:
            if text:
                self._progress.progress(1.0, text)

    def _end(self, text: str, error: Exception | None = None) -> None:
        self._timer.stop()
        self._cancel = self._parameters = self._steps = None
        self._registered = False
        self._onEnd(text, error)
