"""Preparation: what comes between a click and its run, while packages may be installed."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from ...core.errors import OutputError


class Preparation:
    """Installs what a run lacks, then begins it; an installation lets the application handle clicks meanwhile.

    Args:
        onChanged: called when `busy` changed.
        onFailed: called with whatever goes wrong, so that the panel is usable again.
    """

    def __init__(self, onChanged: Callable[[], None], onFailed: Callable[[Exception], None]):
        self._onChanged, self._onFailed = onChanged, onFailed
        self.busy = False

    def run(self, install: Callable[[], None], isOpen: Callable[[], bool], begin: Callable[[], None]) -> None:
        """Install, then begin unless the scene was closed meanwhile.

        Args:
            install: asks for packages and installs them.
            isOpen: whether the configuration that was shown at the click still is.
            begin: begins the run.
        """
        self.busy = True
        self._onChanged()
        try:
            install()
            if not isOpen():
                raise OutputError(_("The scene was closed meanwhile; nothing was done."))
            begin()
        except Exception as error:  # of any kind: whatever pip or a node does
            self._onFailed(error)
        finally:
            self.busy = False
        self._onChanged()
