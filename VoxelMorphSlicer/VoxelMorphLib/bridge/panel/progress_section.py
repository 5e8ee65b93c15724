"""What a person sees while work runs, and the one sentence that remains of it."""

from __future__ import annotations

import logging
import time

import qt
from slicer.i18n import tr as _

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

    def finish(self, text: str, error: bool = False) -> None:
        """Hide the bar and leave a sentence."""
        self.ui.progressBar.hide()
        self.say(text, error)

    def say(self, text: str, error: bool = False) -> None:
        """Show a sentence; errors with a warning sign, and in the application's log."""
        if error:
            logging.error(text)
        self.ui.statusLabel.text = text
        self.ui.statusIconLabel.visible = error
