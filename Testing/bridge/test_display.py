"""What a person sees: the moving volume under its transform looks like the moved volume."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from support.mrml_nodes import add_volume
from support.slice_view import SliceView, require_rendering
from support.volumes import a_blob_image, a_geometry, a_smooth_field
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_to_node, show_like
from VoxelMorphLib.core.transform import DisplacementField


@pytest.fixture
def view(application, scene):
    """A slice view of the application, closed after the test."""
    require_rendering()
    view = SliceView(application)
    yield view
    view.close()


@pytest.mark.parametrize("name", ["RAS", "left-handed oblique"])
def test_the_transformed_volume_looks_like_the_moved_one(scene, view, tmp_path, name):
    geometry = a_geometry(name, (28, 26, 24), 1.2)
    fixed, image = (
        add_volume(a_blob_image(geometry), "fixed"),
        a_blob_image(a_geometry("LPS", (34, 32, 30), 1.2), seed=1),
    )
    field = DisplacementField(a_smooth_field(geometry, 3.0), geometry)
    moving, moved = add_volume(image, "moving"), image_to_node(field.resample(image, geometry))
    moving.CreateDefaultDisplayNodes()
    moving.GetDisplayNode().SetAutoWindowLevel(False)
    moving.GetDisplayNode().SetWindowLevel(200, 100)
    show_like(moved, moving)

    view.show(fixed)
    view.fit()
    pictures = {}
    for what, node, transform in (("before", moving, None), ("moved", moved, None), ("after", moving, field)):
        node.SetAndObserveTransformNodeID(transform and transform_to_node(transform).GetID())
        view.show(fixed, node, opacity=1.0)
        pictures[what] = view.picture(tmp_path / f"{what}.png").astype(float)
        assert (tmp_path / f"{what}.png").stat().st_size > 1000
    inside = (slice(80, 120),) * 2
    assert pictures["moved"][inside].std() > 20
    assert np.abs(pictures["after"] - pictures["moved"])[inside].mean() < 3
    assert np.abs(pictures["before"] - pictures["moved"])[inside].mean() > 12
