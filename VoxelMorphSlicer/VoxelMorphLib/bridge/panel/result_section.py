"""After a registration: layers of the slice views with a fade, the bent grid, and the table of results."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import VoxelMorphError
from ..actions.results_table import summary_of
from ..scene.checkerboard import show_checkerboard
from .follow_up import holds_other_pair
from .report_pages import choose_page

#: Distance of the drawn grid lines.
GRID_SPACING_MM = 10.0
#: Ratios of volume that have the strongest colours of a Jacobian map.
JACOBIAN_RANGE = (0.5, 1.5)
#: In pixels; sentences among the values would push the units out of sight.
WIDEST_COLUMN = 160
GREY, BLUE_TO_RED = "vtkMRMLColorTableNodeGrey", "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
#: Parameter of each overlay.
_OVERLAYS = {
    "moved": "movedVolume",
    "checkerboard": "movedVolume",
    "moving": "movingVolume",
    "jacobian": "jacobianVolume",
}
#: Milliseconds for which each volume is seen while both flicker.
FLICKER_MS = 500


class ResultSection:
    """Shows the result of the chosen configuration.

    Args:
        ui: the widgets by name.
        onReport: called with the path that a person chose for the report.
    """

    def __init__(self, ui, onReport: Callable[[str], None]):
        self.ui = ui
        self._shown = None
        self._overlay = ""  # ID of what lies over the fixed volume
        self._bent = None  # transform whose grid is drawn
        self._name = ""  # proposed for a report
        self._timer = qt.QTimer()
        self._timer.setInterval(FLICKER_MS)
        self._timer.connect("timeout()", self._flicker)
        self._is_front = True
        ui.flickerCheckBox.connect("toggled(bool)", self._on_flicker)
        ui.reportButton.connect("clicked(bool)", lambda _checked: choose_page(self._name, onReport))
        # A column is narrower than its longest texts, which take several lines.
        ui.resultsTableView.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)

    @staticmethod
    def overlays() -> dict[str, str]:
        """What can be laid over the fixed volume, with its text."""
        return {
            "moved": _("Moved volume"),
            "checkerboard": _("Checkerboard of fixed and moved"),
            "moving": _("Moving volume, as it was"),
            "jacobian": _("Jacobian map"),
        }

    def close(self) -> None:
        """Let the views rest."""
        self.ui.flickerCheckBox.checked = False

    def open(self) -> None:
        """Unfold the section, after a result arrived."""
        self.ui.resultSection.collapsed = False

    def connect(self, parameters) -> None:
        """Take a configuration as it is: the slice views stay until something is chosen."""
        self._shown = _view(parameters) if parameters.overlay in _OVERLAYS else None
        self._overlay = self._shown[1] if self._shown else ""

    def update(self, parameters) -> None:
        """Follow the configuration; the slice views change only when their part of it did."""
        forward = parameters.forwardTransform
        self._name = forward.GetName() if forward is not None else ""
        self._show_table(parameters.resultsTable)
        self._show_layers(parameters)
        self._show_grid(parameters)

    def _on_flicker(self, flickers: bool) -> None:
        if flickers:
            self._timer.start()
            return
        self._timer.stop()
        self._is_front = True
        if self._shown is not None:
            slicer.util.setSliceViewerLayers(foregroundOpacity=self._shown[2])

    def _flicker(self) -> None:
        if self._shown is not None:
            self._is_front = not self._is_front
            slicer.util.setSliceViewerLayers(foregroundOpacity=1.0 if self._is_front else 0.0)

    def _show_table(self, table) -> None:
        self.ui.resultSummaryLabel.text = summary_of(table)
        view = self.ui.resultsTableView
        if view.mrmlTableNode() is table:
            return
        view.setMRMLTableNode(table)
        view.resizeColumnsToContents()
        for column in range(table.GetNumberOfColumns() if table is not None else 0):
            view.setColumnWidth(column, min(view.columnWidth(column), WIDEST_COLUMN))
        view.resizeRowsToContents()

    def _show_layers(self, parameters) -> None:
        if _is_of_another_pair(parameters):
            return  # what is shown stays until the volumes that were chosen now have a result
        before, self._shown = self._shown, _view(parameters)
        if self._shown == before:
            return
        if self._shown is None:
            _take_away(self._overlay)
            return
        fixed, overlay, fade, state = self._shown
        is_new = before is None or before[:2] != self._shown[:2] or before[3] != state
        if is_new:
            self._overlay = overlay if state is None else _checkerboard(parameters)
        if is_new and parameters.overlay == "jacobian":
            _colour(parameters.jacobianVolume)
        slicer.util.setSliceViewerLayers(background=fixed, foreground=self._overlay, foregroundOpacity=fade, fit=is_new)

    def _show_grid(self, parameters) -> None:
        """Draw the grid of the current transform; what a person made visible elsewhere stays as it is."""
        bent = parameters.forwardTransform if parameters.showGrid else None
        if bent is self._bent:
            return
        if self._bent is not None and self._bent.GetDisplayNode() is not None:
            _set_visible(self._bent.GetDisplayNode(), False)
        if bent is not None:
            _draw_grid(bent, parameters.fixedVolume)
        self._bent = bent


def _is_of_another_pair(parameters) -> bool:
    """Whether the overlay belongs to other volumes than those that are chosen now."""
    overlay = getattr(parameters, _OVERLAYS[parameters.overlay])
    pair = (parameters.fixedVolume, parameters.movingVolume)
    return overlay is not None and overlay is not parameters.movingVolume and holds_other_pair(overlay, pair)


def _take_away(overlay: str) -> None:
    """Leave the background alone where the overlay was shown."""
    for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if view.GetForegroundVolumeID() == overlay:
            view.SetForegroundVolumeID(None)


def _view(parameters) -> tuple[str, str, float, tuple | None] | None:
    """IDs of background and foreground, the opacity, and the state of what a checkerboard is made of.

    None when nothing is to be shown.
    """
    overlay = getattr(parameters, _OVERLAYS[parameters.overlay])
    fixed = parameters.fixedVolume
    if not parameters.showResult or fixed is None or overlay is None:
        return None
    if parameters.overlay != "checkerboard":
        return fixed.GetID(), overlay.GetID(), parameters.fade, None
    images = [node.GetImageData() for node in (fixed, overlay)]
    return fixed.GetID(), overlay.GetID(), 1.0, tuple(image.GetMTime() if image else 0 for image in images)


def _checkerboard(parameters) -> str:
    """ID of the checkerboard; of the moved volume where none can be made."""
    moved = parameters.movedVolume
    try:
        mixed = show_checkerboard(parameters.fixedVolume, moved)
    except VoxelMorphError:  # under a transform by now
        mixed = None
    return (mixed or moved).GetID()


def _colour(jacobian) -> None:
    """Red where the volume grows, blue where it shrinks; a colour table that a person chose stays."""
    if jacobian.GetDisplayNode() is None:
        jacobian.CreateDefaultDisplayNodes()
    display = jacobian.GetDisplayNode()
    if display.GetColorNodeID() not in (None, GREY) or jacobian.GetScene().GetNodeByID(BLUE_TO_RED) is None:
        return
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(BLUE_TO_RED)
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*JACOBIAN_RANGE)


def _draw_grid(transform, region) -> None:
    """Draw the bent grid of a transform over a volume."""
    if transform.GetDisplayNode() is None:
        transform.CreateDefaultDisplayNodes()
    display = transform.GetDisplayNode()
    with slicer.util.NodeModify(display):
        _set_visible(display, True)
        display.SetVisualizationMode(display.VIS_MODE_GRID)
        display.SetGridSpacingMm(GRID_SPACING_MM)
        if region is not None:
            display.SetAndObserveRegionNode(region)


def _set_visible(display, visible: bool) -> None:
    display.SetVisibility(visible)
    display.SetVisibility2D(visible)
