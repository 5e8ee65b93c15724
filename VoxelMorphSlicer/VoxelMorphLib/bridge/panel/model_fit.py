"""How the models suit the two chosen volumes: their order, a mark in the list, and one line about the chosen one."""

from __future__ import annotations

from collections.abc import Mapping

import slicer
from slicer.i18n import tr as _

from ...core.errors import VoxelMorphError
from ...weights.entry import ModelEntry
from ...weights.suitability import Fit, Shown, fit, fitting, ordered
from ..scene.volume_nodes import has_voxels, volume_geometry


class ModelFit:
    """What is known about the chosen pair; each volume is looked at once."""

    def __init__(self):
        self._pair: tuple[Shown, Shown] | None = None
        self._looked: dict[str, tuple[tuple, Shown]] = {}

    def look(self, fixed, moving, hidden: tuple[bool, bool]) -> None:
        """Take another pair.

        Args:
            fixed, moving: vtkMRMLScalarVolumeNode, None for what is not chosen yet.
            hidden: whether a mask hides a part of the fixed and of the moving volume.
        """
        volumes = [self._shown(node, masked) for node, masked in zip((fixed, moving), hidden)]
        self._pair = None if None in volumes else (volumes[0], volumes[1])

    def order(self, entries: Mapping[str, ModelEntry]) -> list[str]:
        """The ids of models, what suits the pair first and the oldest last."""
        nothing = Shown("")
        return [one.entry.id for one in ordered(entries.values(), *(self._pair or (nothing, nothing)))]

    def mark(self, entry: ModelEntry | None) -> str:
        """What the list says after the title of a model; "" where nothing is known."""
        found = self._fit(entry)
        if found is None or found.is_general:
            return ""
        return _("fits") if found.suits else _("does not fit")

    def line(self, entry: ModelEntry, entries: Mapping[str, ModelEntry]) -> str:
        """One line about the chosen model: whether it suits the pair, and else which one does."""
        found = self._fit(entry)
        if found is None:
            return entry.description
        better = [] if found.suits and not found.is_general else fitting(entry, *self._pair, entries.values())
        if better:
            text = _("{fit} Made for such volumes: {title}.")
        else:
            text = "{fit}" if found.suits else _("{fit} Choose the first model of the list.")
        return text.format(fit=found.sentence(), title=better[0].title if better else "")

    def _fit(self, entry: ModelEntry | None) -> Fit | None:
        return None if entry is None or self._pair is None else fit(entry, *self._pair)

    def _shown(self, node, masked: bool) -> Shown | None:
        if node is None or not has_voxels(node):
            return None
        if masked:  # what remains of it is not known
            return Shown.named(node.GetName())
        state = (node.GetName(), node.GetMTime(), node.GetImageData().GetMTime())
        known = self._looked.get(node.GetID())
        if known is None or known[0] != state:
            known = self._looked[node.GetID()] = (state, _look(node))
        return known[1]


def _look(node) -> Shown:
    try:
        geometry = volume_geometry(node)
    except VoxelMorphError:  # the click on Register says what is wrong with the grid
        return Shown.named(node.GetName())
    return Shown.of(slicer.util.arrayFromVolume(node).T, geometry, node.GetName())
