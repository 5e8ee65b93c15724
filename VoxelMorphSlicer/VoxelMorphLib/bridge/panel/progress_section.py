"""What a person sees while work runs, and the sentence that remains of it; of a training also its measures."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import qt
from slicer.i18n import tr as _

from ...core.errors import MemoryShortError, VoxelMorphError
from ..background.steps import Task
from ..install import note_unloadable
from ..scene.curve_nodes import Curves, show_chart

#: Side of the warning sign.
ICON_PIXELS = 24


def clock_text(seconds: float) -> str:
    """Elapsed time such as 1:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class ProgressSection:
    """Progress bar, stage, elapsed time; afterwards a sentence with a warning sign where something went wrong.

    Args:
        ui: the widgets by name.
    """

    def __init__(self, ui):
        self.ui = ui
        self._text, self._began = "", 0.0
        ui.progressBar.hide()
        icon = ui.statusIconLabel.style().standardIcon(qt.QStyle.SP_MessageBoxWarning)
        ui.statusIconLabel.setPixmap(icon.pixmap(ICON_PIXELS, ICON_PIXELS))
        ui.statusIconLabel.hide()

    def start(self, text: str) -> None:
        """Show the bar at its beginning."""
        self._began = time.monotonic()
        self.ui.progressBar.value = 0
        self.ui.progressBar.show()
        self.ui.statusIconLabel.hide()
        self.progress(0.0, text)

    def progress(self, fraction: float, text: str) -> None:
        """Show how far the work is (0 to 1) and what it does."""
        self.ui.progressBar.value = int(self.ui.progressBar.maximum * fraction)
        self._text = text
        self.tick()

    def tick(self) -> None:
        """Show the time that passed."""
        elapsed = clock_text(time.monotonic() - self._began)
        self.ui.statusLabel.text = _("{stage} ({elapsed})").format(stage=self._text, elapsed=elapsed)

    def finish(self, text: str, error: bool = False, doubtful: bool = False) -> None:
        """Hide the bar and leave a sentence."""
        self.ui.progressBar.hide()
        self.say(text, error, doubtful)

    def say(self, text: str, error: bool = False, doubtful: bool = False) -> None:
        """Show a sentence; errors and doubtful results with a warning sign, and in the application's log."""
        if error:
            logging.error(text)
        elif doubtful:
            logging.warning(text)
        self.ui.statusLabel.text = text
        self.ui.statusIconLabel.visible = error or doubtful


def done(name: str, warnings: Sequence[str] = (), worse: str = "") -> str:
    """What is there now, and what was warned of; that the result is worse than before comes first, in its own line."""
    text = _("Done: {name}").format(name=name)
    others = [warning for warning in warnings if warning != worse]
    text = " ".join([f"{text}.", *others]) if others else text
    return f"{worse}\n{text}" if worse else text


def sentence_of(error: Exception) -> str:
    """What to show; a fault of the program and what a worker said of its own go to the log as well.

    That a worker could not load torch is remembered, so that the next click offers to install it again.
    """
    note_unloadable(error)
    if isinstance(error, VoxelMorphError):
        if getattr(error, "details", ""):
            logging.error(error.details)
        return _with_remedy(error) if isinstance(error, MemoryShortError) else str(error)
    logging.error("VoxelMorph failed", exc_info=error)
    if isinstance(error, MemoryError):
        return _("The memory of this computer does not suffice. Crop the volumes, or close other programs.")
    text = _("This failed by a fault of VoxelMorph ({kind}: {error}). Please report it with the log.")
    return text.format(kind=type(error).__name__, error=error)


def _with_remedy(error: MemoryShortError) -> str:
    """The sentence with a remedy that only the panel has: the library knows no check boxes."""
    remedy = _(
        'Or tick "Fall back when GPU memory is short": the next click then goes on at half resolution or on the '
        "processor."
    )
    return f"{error} {remedy}"


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
        """The text with the newest loss and the Dice of both directions."""
        texts = [text]
        forms = {
            "loss": _("loss {value:.4g}"),
            "val_dice": _("Dice {value:.3f}"),
            "val_back_dice": _("back {value:.3f}"),
        }
        for column, form in forms.items():
            value = self._curves.last(column) if self._curves is not None else None
            if value is not None:
                texts.append(form.format(value=value))
        return ", ".join(texts)
