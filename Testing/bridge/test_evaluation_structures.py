"""Structures of both images in the table of results: which are compared, and how they overlap."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from scipy.spatial.distance import cdist
from support.mrml_nodes import add_volume
from support.organs import a_ball
from support.results_rows import numbers
from support.segmentations import add_segmentation, segment_voxels
from support.volumes import a_geometry
from VoxelMorphLib.bridge.scene.scene_path import ScenePath
from VoxelMorphLib.bridge.scene.volume_nodes import volume_geometry
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.transform import AffineTransform
from VoxelMorphLib.evaluation.structures import Sampler, Structure, matched


def test_structures_are_compared_by_name_and_the_rest_is_listed(evaluate, segmentations):
    found = evaluate(fixedSegmentation=segmentations[0], movingSegmentation=segmentations[1])
    for name in ("Liver", "Kidney"):
        before, after = numbers(found["Dice overlap", name, "0 to 1"])
        assert before < 0.8 < 0.85 < after
        before, after = numbers(found["Mean surface distance", name, "mm"])
        assert after < before and after < 1
    assert found["Not compared", "Spleen", ""] == ("", "not in atlas")
    assert found["Not compared", "Cyst", ""] == ("", "not in truth")


def test_overlap_and_distances_agree_with_their_definitions(evaluate, segmentations, volumes, registered):
    """Computed anew from all pairs of surface voxels of the resampled structures."""
    found = evaluate(fixedSegmentation=segmentations[0], movingSegmentation=segmentations[1])
    grid = volume_geometry(volumes[0])
    masks = []
    for node, transform in zip(
        segmentations, (AffineTransform(np.eye(4)), ScenePath(registered["forward"]).through_vtk())
    ):
        source = a_geometry("RAS" if node is segmentations[0] else "LPS", (34, 32, 30), 1.0)
        labels = LabelMap(segment_voxels(node, "a").astype(np.uint8), source)
        masks.append(transform.resample(labels, grid).array > 0)
    overlap = 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum())
    distances = cdist(*(grid.voxel_to_world(np.argwhere(surface(mask))) for mask in masks))
    both = np.concatenate([distances.min(0), distances.min(1)])
    for measure, unit, expected in (
        ("Dice overlap", "0 to 1", overlap),
        ("Mean surface distance", "mm", both.mean()),
        ("95 % Hausdorff distance", "mm", np.percentile(both, 95)),
    ):
        assert numbers(found[measure, "Liver", unit])[1] == pytest.approx(expected, abs=6e-3)


def test_fixed_structures_come_to_the_moving_ones_by_the_inverse(evaluate, segmentations, volumes, registered):
    inputs = {"fixedSegmentation": segmentations[0], "movingSegmentation": segmentations[1]}
    found = evaluate(**inputs)
    grid = volume_geometry(volumes[1])
    fixed, moving = (
        LabelMap(segment_voxels(node, "a").astype(np.uint8), a_geometry(axes, (34, 32, 30), 1.0))
        for node, axes in zip(segmentations, ("RAS", "LPS"))
    )
    identity = AffineTransform(np.eye(4))
    own = identity.resample(moving, grid).array > 0
    expected = []
    for way in (identity, ScenePath(registered["inverse"]).through_vtk()):
        brought = way.resample(fixed, grid).array > 0
        expected.append(2 * (own & brought).sum() / (own.sum() + brought.sum()))
    key = ("Dice overlap, fixed to moving", "Liver", "0 to 1")
    assert numbers(found[key]) == pytest.approx(expected, abs=1e-3)
    assert expected[1] > 0.8 > expected[0]
    assert not any(measure == key[0] for measure, *_rest in evaluate())
    slicer.mrmlScene.RemoveNode(registered["inverse"])
    with pytest.warns(UserWarning, match="is searched numerically"):
        searched = evaluate(**inputs)
    assert numbers(searched[key]) == pytest.approx(expected, abs=0.01)
    volumes[1].SetAndObserveTransformNodeID(registered["forward"].GetID())
    with pytest.warns(UserWarning, match="is searched numerically"):
        assert evaluate(**inputs) == searched


def surface(mask):
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def test_label_maps_are_compared_by_colour_name_or_number(scene, evaluate, segmentations):
    grid = a_geometry("RAS", (34, 32, 30), 1.0)
    labels = LabelMap((3 * a_ball(grid, 6)).astype(np.int16), grid, "labels")
    nodes = [add_volume(labels, name, "vtkMRMLLabelMapVolumeNode") for name in ("fixed labels", "moving labels")]
    found = evaluate(fixedSegmentation=nodes[0], movingSegmentation=nodes[1])
    assert numbers(found["Dice overlap", "label 3", "0 to 1"])[0] == 1.0
    nodes[0].CreateDefaultDisplayNodes()
    nodes[0].GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeLabels")
    name = nodes[0].GetDisplayNode().GetColorNode().GetColorName(3)
    assert name and name != "label 3"
    found = evaluate(fixedSegmentation=nodes[0], movingSegmentation=nodes[1])
    assert ("Dice overlap", name, "0 to 1") in found, "other names, but the same number"


def names(pairs_and_rest):
    pairs, fixed, moving = pairs_and_rest
    return [(a.name, b.name) for a, b in pairs], [s.name for s in fixed], [s.name for s in moving]


def test_matching_prefers_names_and_refuses_ambiguity():
    def structures(*items):
        return [Structure(name, label, None) for name, label in items]

    fixed = structures(("Liver", 1), ("left", 2), ("twin", 3), ("twin", 4), ("alone", 7))
    moving = structures(("LIVER ", 9), ("links", 2), ("twin", 3), ("other", 4), ("x", 5), ("y", 5))
    assert names(matched(fixed, moving)) == (
        [("Liver", "LIVER "), ("left", "links"), ("twin", "twin"), ("twin", "other")],
        ["alone"],
        ["x", "y"],
    )
    assert names(matched(structures(("a", 1), ("b", 1)), structures(("c", 1), ("d", 1)))) == (
        [],
        ["a", "b"],
        ["c", "d"],
    )


def test_a_label_map_is_sampled_once_for_all_its_structures():
    grid = a_geometry("RAS", (8, 8, 8))
    labels = LabelMap((a_ball(grid, 4) + a_ball(grid, 2)).astype(np.uint8), grid)
    calls = []

    class Counted(AffineTransform):
        def resample(self, *args):
            calls.append(args)
            return super().resample(*args)

    sampler = Sampler(Counted(np.eye(4)), grid)
    masks = [sampler.mask(Structure("s", label, labels)) for label in (1, 2)]
    np.testing.assert_array_equal(masks[0] | masks[1], a_ball(grid, 4))
    assert len(calls) == 1 and not sampler.mask(Structure("empty", 1, None)).any()
    for _layer in range(5):  # of a segmentation whose segments have a layer each, only some are held
        sampler.mask(Structure("s", 1, LabelMap(labels.array, grid)))
    assert len(calls) == 6 and len(sampler._sampled) == sampler.kept


def test_structures_that_vanish_have_no_distances(scene, evaluate, volumes):
    grid = a_geometry("RAS", (12, 12, 12), 1.0)
    far = a_geometry("RAS", (12, 12, 12), 1.0).shifted((500, 0, 0), (12, 12, 12))
    here = add_segmentation("here", [LabelMap(a_ball(grid, 4).astype(np.uint8), grid)], [("a", "A", 0, 1)])
    gone = add_segmentation("gone", [LabelMap(np.ones(far.shape, np.uint8), far)], [("a", "A", 0, 1)])
    found = evaluate(fixedSegmentation=here, movingSegmentation=gone)
    assert numbers(found["Dice overlap", "A", "0 to 1"]) == [0.0, 0.0]
    assert found["Mean surface distance", "A", "mm"] == ("", "")
    assert found["Dice overlap, fixed to moving", "A", "0 to 1"] == ("", "")
    found = evaluate(fixedSegmentation=gone, movingSegmentation=here)
    assert found["Dice overlap", "A", "0 to 1"] == ("", "")
    assert numbers(found["Dice overlap, fixed to moving", "A", "0 to 1"]) == [0.0, 0.0]
