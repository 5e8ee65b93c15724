"""A model of the recipe atlas-segmentation makes a segmentation of a volume in the scene."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from support.mrml_nodes import add_linear_parent, add_volume, contents
from support.segmentations import add_segmentation, segment_voxels
from support.segmenting import LABELS, a_subject, overlap, write_segmenting_model
from support.volumes import a_geometry
from VoxelMorphLib.bridge.actions.segment import finds_labels
from VoxelMorphLib.bridge.logic import VoxelMorphLogic
from VoxelMorphLib.core.errors import OutputError, VoxelMorphError
from VoxelMorphLib.weights.own_models import add_to_catalogue
from VoxelMorphLib.weights.safetensors_file import read_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_segmenting_model(tmp_path_factory.mktemp("model") / "seg.safetensors")


@pytest.mark.slow
def test_a_volume_under_a_transform_gets_segments_where_it_is_seen(scene, model):
    image, truth = a_subject(a_geometry("LAS", (20, 20, 20), 1.7))
    volume, shift = add_volume(image, "scan"), np.eye(4)
    shift[:3, 3] = 5
    add_linear_parent(volume, shift)
    told = []
    node = VoxelMorphLogic().segment(volume, model, device="cpu", progress=lambda *what: told.append(what))
    assert node.GetName() == "scan labels" and node.GetParentTransformNode() is None
    fractions = [fraction for fraction, _stage in told]
    assert fractions and fractions == sorted(fractions)
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetSegment(name) for name in segmentation.GetSegmentIDs()]
    assert [(s.GetName(), s.GetLabelValue()) for s in segments] == [(f"label {n}", n) for n in LABELS[1:]]
    found = sum(label * segment_voxels(node, str(label)).astype(int) for label in LABELS[1:])
    assert overlap(found, truth.array) > 0.65


@pytest.mark.slow
def test_the_chosen_segmentation_receives_the_segments(scene, model):
    volume = add_volume(a_subject()[0], "scan")
    target = add_segmentation("mine", [a_subject()[1]], [("old", "Old", 0, 2)])
    assert VoxelMorphLogic().segment(volume, model, target) is target
    assert list(target.GetSegmentation().GetSegmentIDs()) == [str(label) for label in LABELS[1:]]


@pytest.mark.slow
def test_what_goes_wrong_is_one_sentence_and_leaves_the_scene(scene, model):
    volume = add_volume(a_subject()[0], "scan")
    before = contents(scene)
    with pytest.raises(VoxelMorphError, match=r"The model hippocampus-T1 finds no labels\. Choose one"):
        VoxelMorphLogic().segment(volume, "hippocampus-T1")
    with pytest.raises(OutputError, match="scan is a vtkMRMLScalarVolumeNode and cannot hold segments"):
        VoxelMorphLogic().segment(volume, model, volume)
    assert contents(scene) == before


def test_models_of_the_catalogue_are_known_to_find_labels(model, tmp_path, monkeypatch):
    monkeypatch.setenv("VXM_CACHE", str(tmp_path))
    add_to_catalogue(read_model(model)[1], model)
    assert finds_labels("seg") and not finds_labels("optimise") and not finds_labels(None)
