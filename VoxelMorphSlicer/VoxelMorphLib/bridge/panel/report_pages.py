"""Pages of reports: written where a person wants them, and shown in the browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..background.steps import Steps
from .follow_up import evaluated_nodes
from .progress_section import done


def choose_page(name: str, onChosen: Callable[[str], None]) -> None:
    """Ask where a page goes.

    Args:
        name: proposed for the file, without an extension.
        onChosen: called with the path unless the person cancels.
    """
    path = qt.QFileDialog.getSaveFileName(
        slicer.util.mainWindow(), _("Write report"), f"{name}.html", f"{_('Page')} (*.html)"
    )
    if path:
        onChosen(path if path.lower().endswith((".html", ".htm")) else f"{path}.html")


def show_page(path: Path) -> None:
    """Show a page in the browser of this computer."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))


def reporting(chosen, logic, path: str) -> Steps:
    """Write the page of a result and show it; gives the sentence that remains of it. See `Steps`.

    Raises:
        ImageError: as `check_inputs`.
    """
    nodes, drawn = evaluated_nodes(chosen)
    return _reporting(logic.report.steps(*nodes, path, *drawn))


def _reporting(steps: Steps) -> Steps:
    written = yield from steps
    show_page(written)
    return done(str(written))
