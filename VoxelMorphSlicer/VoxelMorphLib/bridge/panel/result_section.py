"""After a registration: layers of the slice views with a fade, the bent grid, and the table of results."""

from __future__ import annotations

import qt
import slicer

from .follow_up import holds_other_pair

#: Distance of the drawn grid lines.
GRID_SPACING_MM = 10.0
#: Ratios of volume that have the strongest colours of a Jacobian map.
JACOBIAN_RANGE = (0.5, 1.5)
#: In pixels; sentences among the values would push the units out of sight.
WIDEST_COLUMN = 160
GREY, BLUE_TO_RED = "vtkMRMLColorTableNodeGrey", "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
#: Parameter of each overlay.
_OVERLAYS = {"moved": "movedVolume", "moving": "movingVolume", "jacobian": "jacobianVolume"}


class ResultSection:
    """Shows the result of the chosen configuration.

    Args:
        ui: the widgets by name.
    """

    def __init__(self, ui):
        self.ui = ui
        self._shown = None
        self._bent = None  # transform whose grid is drawn
        # A column is narrower than its longest texts, which take several lines.
        ui.resultsTableView.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)

    def open(self) -> None:
        """Unfold the section, after a result arrived."""
        self.ui.resultSection.collapsed = False

    def connect(self, parameters) -> None:
        """Take a configuration as it is: the slice views stay until something is chosen."""
        self._shown = _view(parameters) if parameters.overlay in _OVERLAYS else None

    def update(self, parameters) -> None:
        """Follow the configuration; the slice views change only when their part of it did."""
        self._show_table(parameters.resultsTable)
        self._show_layers(parameters)
        self._show_grid(parameters)

    def _show_table(self, table) -> None:
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
            _take_away(before[1])
            return
        fixed, overlay, fade = self._shown
        is_new = before is None or before[:2] != (fixed, overlay)
        if is_new and parameters.overlay == "jacobian":
            _colour(parameters.jacobianVolume)
        slicer.util.setSliceViewerLayers(background=fixed, foreground=overlay, foregroundOpacity=fade, fit=is_new)

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


def _view(parameters) -> tuple[str, str, float] | None:
    """IDs of background and foreground and the opacity; None when nothing is to be shown."""
    overlay = getattr(parameters, _OVERLAYS[parameters.overlay])
    if not parameters.showResult or parameters.fixedVolume is None or overlay is None:
        return None
    return parameters.fixedVolume.GetID(), overlay.GetID(), parameters.fade


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
