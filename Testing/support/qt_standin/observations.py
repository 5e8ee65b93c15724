"""Observers of VTK objects that end with the widget that wanted them, as those of qvtk connections do."""

from __future__ import annotations

from .strict import Strict, raw_attribute


class Observations:
    """What one widget observes.

    Args:
        widget: when Qt deletes it, all observations end.
    """

    def __init__(self, widget: Strict):
        self._observed = []
        raw_attribute(widget, "destroyed").connect(self.clear)

    def add(self, item, *events_and_callback) -> None:
        """`add(scene, event, ..., callback)`."""
        *events, callback = events_and_callback
        self._observed += [(item, item.AddObserver(event, callback)) for event in events]

    def clear(self, *_deleted) -> None:
        """Observe nothing."""
        for item, tag in self._observed:
            item.RemoveObserver(tag)
        self._observed.clear()
