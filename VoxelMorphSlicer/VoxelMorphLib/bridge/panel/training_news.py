"""What a person sees while something trains: progress with the newest measures, and curves that follow."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..background.steps import Task
from ..scene.curve_nodes import Curves, show_chart
from .progress_section import ProgressSection


class TrainingNews:
    """The news of one run of the train command.

    Args:
        progress: shows how far it is.
        curves: of the training; shown as soon as there are some. None where nothing is trained.
    """

    def __init__(self, progress: ProgressSection, curves: Curves | None = None):
        self._progress, self._curves = progress, curves
        self._shown, self._news = False, (0.0, _("Starting"))
        #: The run, once it is known; its end is awaited differently from its progress.
        self.task: Task | None = None

    def poll(self) -> None:
        """Show the time that passed, and what is new in the curves."""
        self._progress.tick()
        if self._curves is not None and self._curves.refresh():
            self._show()
            self.report(*self._news)

    def report(self, fraction: float, stage: str) -> None:
        """Show how far the run is, 0 to 1, with the newest measures."""
        self._news = fraction, stage
        if self.task is not None and self.task.stopping:
            self._progress.progress(fraction, _("Stopping after the current step"))
        else:
            self._progress.progress(fraction, self._measures(f"{stage}: {fraction:.0%}"))

    def again(self) -> None:
        """Show the last progress in other words: that the run stops."""
        self.report(*self._news)

    def end(self) -> None:
        """Show the last of the curves."""
        if self._curves is not None and self._curves.refresh(force=True):
            self._show()

    def _show(self) -> None:
        chart = self._curves.chart("loss")
        if chart is not None and not self._shown:
            self._shown = True
            show_chart(chart)

    def _measures(self, text: str) -> str:
        """The text with the newest loss and Dice."""
        texts = [text]
        for column, form in (("loss", _("loss {value:.4g}")), ("val_dice", _("Dice {value:.3f}"))):
            value = self._curves.last(column) if self._curves is not None else None
            if value is not None:
                texts.append(form.format(value=value))
        return ", ".join(texts)
