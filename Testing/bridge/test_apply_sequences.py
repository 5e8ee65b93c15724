"""A 4-D series is moved frame by frame, as its frames would be alone, into a new sequence that can be played."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.known_registration import a_rigid_matrix
from support.mrml_nodes import add_linear_parent, add_volume, contents
from support.sequences import GRID, a_series, sequences
from support.volumes import a_blob_image
from VoxelMorphLib.bridge.actions.apply import Application, apply_transform
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node
from VoxelMorphLib.core.errors import ImageError, OutputError

__all__ = ["sequences"]


@pytest.fixture
def series(sequences, scene):
    """Three frames at 0, 1.5 and 3 s."""
    return a_series(scene)


@pytest.fixture
def player(scene, series):
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "player")
    browser.SetAndObserveMasterSequenceNodeID(series.GetID())
    return browser


def arrays(sequence):
    return [image_from_node(sequence.GetNthDataNode(n)) for n in range(sequence.GetNumberOfDataNodes())]


def test_every_frame_is_moved_as_a_volume_would_be(scene, series, registered):
    application = Application(registered["forward"])
    before = arrays(series)
    moved = apply_transform(series, application)
    assert moved.GetName() == "heart moved" and moved.GetIndexUnit() == "s"
    assert [moved.GetNthIndexValue(n) for n in range(3)] == ["0", "1.5", "3"]
    for number, (found, kept) in enumerate(zip(arrays(moved), arrays(series))):
        alone = image_from_node(apply_transform(add_volume(a_blob_image(GRID, number + 1), "alone"), application))
        assert found.geometry.matches(alone.geometry)
        np.testing.assert_allclose(found.array, alone.array, atol=1e-5 * np.ptp(alone.array))
        np.testing.assert_array_equal(kept.array, before[number].array)
    (browser,) = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    assert browser.GetMasterSequenceNode() is moved


def test_frames_lie_where_their_browser_shows_them(series, player, registered):
    matrix = a_rigid_matrix(10, (3, 1, -2))
    add_linear_parent(player.GetProxyNode(series), matrix)
    (first, *_others) = arrays(apply_transform(series, Application(registered["forward"])))
    placed = add_volume(a_blob_image(GRID, 1), "placed")
    add_linear_parent(placed, matrix)
    alone = image_from_node(apply_transform(placed, Application(registered["forward"])))
    np.testing.assert_allclose(first.array, alone.array, atol=1e-4 * np.ptp(alone.array))


def test_what_cannot_be_moved_is_refused_and_nothing_changes(scene, series, registered):
    empty = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "transforms")
    before = contents(scene)
    with pytest.raises(OutputError, match=r"transforms is a vtkMRMLSequenceNode, which .* Choose a volume, a sequence"):
        apply_transform(empty, Application(registered["forward"]))
    with pytest.raises(OutputError, match="A sequence always becomes a new one, and transforms stays as it is"):
        apply_transform(series, Application(registered["forward"]), empty)
    series.GetNthDataNode(1).SetAndObserveImageData(None)
    with pytest.raises(ImageError, match="holds no voxels"):
        apply_transform(series, Application(registered["forward"]))
    assert contents(scene) == before
