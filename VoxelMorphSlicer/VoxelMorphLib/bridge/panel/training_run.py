"""What the buttons of the training section start, polled by a timer: nothing here waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import qt
from slicer.i18n import tr as _

from ..background.training_process import TrainingProcess
from ..scene.curve_nodes import Curves, show_chart
from .progress_section import ProgressSection

#: How often the process is asked for news.
POLL_MS = 200


class TrainingRun:
    """Runs one process of the train command at a time.

    Args:
        progress: shows how far it is.
        onEnd: called once per run with the printed lines, or None, and the error where there was one.
    """

    def __init__(self, progress: ProgressSection, onEnd: Callable[[Optional[tuple], Optional[Exception]], None]):
        self._progress, self._onEnd = progress, onEnd
        self._process: TrainingProcess | None = None
        self.curves: Curves | None = None
        self._shown, self._news = False, (0.0, "")
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._process is not None

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.busy and self._process.stopping

    def start(self, begin: Callable[..., TrainingProcess], curves: Curves | None = None) -> None:
        """Start a process.

        Args:
            begin: called with `onProgress`, `onFinished` and `onFailed`.
            curves: of the training; shown as soon as there are some.

        Raises:
            VoxelMorphError: it could not be started.
        """
        self._process = begin(onProgress=self._report, onFinished=self._finish, onFailed=self._fail)
        self.curves, self._shown, self._news = curves, False, (0.0, _("Starting"))
        self._timer.start()

    def stop(self) -> None:
        """Let it save and end; the second time, end it at once."""
        if self.busy:
            self._process.stop()
            self._report(*self._news)

    def close(self) -> None:
        """Ask it to save and end, and forget it."""
        self._timer.stop()
        if self.busy and not self.stopping:
            self._process.stop()
        self._process = None

    def _poll(self) -> None:
        self._progress.tick()
        if self.curves is not None and self.curves.refresh():
            self._showCurves()
            self._report(*self._news)
        self._process.poll()

    def _showCurves(self) -> None:
        chart = self.curves.chart("loss")
        if chart is not None and not self._shown:
            self._shown = True
            show_chart(chart)

    def _report(self, fraction: float, stage: str) -> None:
        self._news = fraction, stage
        if self.busy:
            stopping = _("Stopping after the current step")
            self._progress.progress(fraction, stopping if self.stopping else self._measures(f"{stage}: {fraction:.0%}"))

    def _measures(self, text: str) -> str:
        """The text with the newest loss and Dice."""
        texts = [text]
        for column, form in (("loss", _("loss {value:.4g}")), ("val_dice", _("Dice {value:.3f}"))):
            value = self.curves.last(column) if self.curves is not None else None
            if value is not None:
                texts.append(form.format(value=value))
        return ", ".join(texts)

    def _finish(self, lines) -> None:
        self._end(lines, None)

    def _fail(self, error: Exception) -> None:
        self._end(None, error)

    def _end(self, lines, error: Exception | None) -> None:
        if not self.busy:  # the panel was closed
            return
        self._timer.stop()
        self._process = None
        if self.curves is not None and self.curves.refresh(force=True):
            self._showCurves()
        self._onEnd(lines, error)
