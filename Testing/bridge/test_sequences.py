"""4-D series: every frame on the reference, two synchronised sequences, and nothing when a frame fails."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.volumes import transformed

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.known_registration import a_rigid_matrix, known_forward
from support.made_up_worker import MadeUpWorker, known_result
from support.mrml_nodes import add_linear_parent, add_volume, contents, map_from_world
from support.sequences import GRID, a_series, sequences
from support.volumes import CENTRE, a_blob_image, a_geometry
from VoxelMorphLib.bridge.actions.sequences import FrameByFrame, SequenceJob
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, volume_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, ConfigError, GeometryError, ImageError, WorkerError
from VoxelMorphLib.core.image import Image

__all__ = ["sequences"]

POINTS = CENTRE + np.random.default_rng(0).uniform(-8, 8, (20, 3))


@pytest.fixture
def series(sequences, scene):
    """Three frames at 0, 1.5 and 3 s."""
    return a_series(scene)


def browse(scene, series):
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "player")
    browser.SetAndObserveMasterSequenceNodeID(series.GetID())
    return browser, browser.GetProxyNode(series)


def test_every_frame_is_registered_to_a_volume(logic, scene, series):
    fixed = add_volume(a_blob_image(a_geometry("oblique")), "atlas")
    worker, reports = MadeUpWorker(), []
    options = RegistrationOptions(affine="rigid")
    volumes, transforms, _browser = logic.registerSequence(
        series, fixed, "some-model", options, lambda *report: reports.append(report), worker=worker, allowFallback=True
    )
    assert [job.model for job in worker.jobs] == ["some-model"] * 3 and worker.jobs[0].options == options
    assert all(job.allow_fallback and job.fixed.geometry.matches(volume_geometry(fixed)) for job in worker.jobs)
    assert (volumes.GetName(), transforms.GetName()) == ("heart moved", "heart transforms")
    for index, job in enumerate(worker.jobs):
        expected = known_result(job)
        moved = image_from_node(volumes.GetNthDataNode(index))
        np.testing.assert_allclose(moved.array, expected.moved.array, atol=1e-4)
        assert moved.geometry.matches(volume_geometry(fixed))
        node = transforms.GetNthDataNode(index)
        assert np.abs(map_from_world(node, POINTS) - known_forward().apply_to_points(POINTS)).max() < 0.05
        assert node.GetAttribute("VoxelMorph.Model") == "optimise"
    assert reports[0] == (0.0, "Frame 1 of 3 (time 0 s): reading")
    assert (pytest.approx(0.5), "Frame 2 of 3 (time 1.5 s): half way") in reports


def test_both_sequences_keep_the_index_and_play_together(logic, scene, series):
    fixed = add_volume(a_blob_image(a_geometry("oblique")), "atlas")
    volumes, transforms, browser = logic.registerSequence(series, fixed, worker=MadeUpWorker())
    for sequence in (volumes, transforms):
        assert [sequence.GetNthIndexValue(index) for index in range(3)] == ["0", "1.5", "3"]
        assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")
    assert browser.GetName() == "heart registered"
    assert browser.GetMasterSequenceNode() is volumes and browser.IsSynchronizedSequenceNode(transforms)
    shown, transform = browser.GetProxyNode(volumes), browser.GetProxyNode(transforms)
    for index in (2, 0, 1):
        browser.SetSelectedItemNumber(index)
        frame = volumes.GetNthDataNode(index)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), slicer.util.arrayFromVolume(frame))
        np.testing.assert_allclose(
            map_from_world(transform, POINTS), map_from_world(transforms.GetNthDataNode(index), POINTS)
        )


def test_the_reference_frame_stays_as_it_is(logic, scene, series):
    worker = MadeUpWorker()
    volumes, transforms, _browser = logic.registerSequence(series, 1, worker=worker)
    assert len(worker.jobs) == 2
    original = slicer.util.arrayFromVolume(series.GetNthDataNode(1))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volumes.GetNthDataNode(1)), original)
    np.testing.assert_allclose(map_from_world(transforms.GetNthDataNode(1), POINTS), POINTS)
    assert all(job.fixed.array.max() == pytest.approx(original.max()) for job in worker.jobs)
    assert {transforms.GetNthDataNode(index).GetClassName() for index in range(3)} == {"vtkMRMLTransformNode"}


def test_the_shown_volume_names_its_sequence_and_its_place(logic, scene, series):
    """Parents of the shown volume move all frames, and the transforms take their place."""
    _player, proxy = browse(scene, series)
    matrix = a_rigid_matrix(12, (3, 1, -2))
    add_linear_parent(proxy, matrix)
    for node in (proxy, series):
        worker = MadeUpWorker()
        fixed = add_volume(a_blob_image(a_geometry("oblique")), "atlas")
        _volumes, transforms, _browser = logic.registerSequence(node, fixed, worker=worker)
        assert worker.jobs[0].moving.geometry.matches(transformed(GRID, matrix))
        own = map_from_world(transforms.GetNthDataNode(0), POINTS)
        in_world = own @ matrix[:3, :3].T + matrix[:3, 3]
        assert np.abs(in_world - known_forward().apply_to_points(POINTS)).max() < 0.05


@pytest.mark.parametrize("is_under", [False, True], ids=["beside it", "under it"])
def test_the_initial_transform_comes_before_every_frame(logic, scene, series, is_under):
    initial = transform_to_node(known_forward(0.5), name="rough")
    _player, proxy = browse(scene, series)
    proxy.SetAndObserveTransformNodeID(initial.GetID() if is_under else None)
    fixed, worker = add_volume(a_blob_image(a_geometry("oblique")), "atlas"), MadeUpWorker()
    logic.registerSequence(proxy, fixed, worker=worker, initialNode=initial)
    assert len(worker.jobs) == 3
    for job in worker.jobs:
        assert job.moving.geometry.matches(GRID)
        assert np.abs(job.initial.apply_to_points(POINTS) - map_from_world(initial, POINTS)).max() < 0.05


def test_the_warnings_of_single_frames_are_kept(sequences, scene):
    series = FrameByFrame(SequenceJob(a_series(scene, [a_blob_image(GRID, seed) for seed in range(6)]), 0))
    for index in range(6):
        job = series.frame_request(index)
        if job is not None:
            result = known_result(job)
            warnings = () if index == 1 else (f"Warning {index}.", "And more.")
            report = replace(result.report, warnings=warnings)
            series.take(index, SimpleNamespace(**{**vars(result), "report": report}))
    assert series.write().warnings == (
        "Frame 3 of 6 (time 3 s): Warning 2. And more.",
        "Frame 4 of 6 (time 4.5 s): Warning 3. And more.",
        "Frame 5 of 6 (time 6 s): Warning 4. And more.",
        "1 more frame gave warnings, which stand on their transforms.",
    )


@pytest.mark.slow
def test_registering_in_this_process_aligns_the_frames(logic, scene, sequences):
    images = [a_blob_image(GRID), Image(np.roll(a_blob_image(GRID).array, 1, axis=0), GRID, "shifted")]
    series = a_series(scene, images)
    options = RegistrationOptions(budget_s=1, device="cpu")
    volumes, _transforms, _browser = logic.registerSequence(series, 0, "optimise", options)
    inside = (slice(2, -2),) * 3
    errors = [
        np.abs(array - images[0].array)[inside].mean()
        for array in (images[1].array, image_from_node(volumes.GetNthDataNode(1)).array)
    ]
    assert errors[1] < 0.6 * errors[0]


def test_the_result_lies_beside_the_shown_volume(logic, scene, series):
    _player, proxy = browse(scene, series)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    try:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "visit")
        hierarchy.CreateItem(folder, proxy)
        for node in logic.registerSequence(proxy, 0, worker=MadeUpWorker()):
            assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    finally:
        hierarchy.RemoveAllItems(False)


def assert_refused(scene, error, message, call):
    before = contents(scene)
    with pytest.raises(error, match=message):
        call()
    assert contents(scene) == before


def test_cancelling_keeps_nothing(logic, scene, series):
    def stop(_fraction, text):
        if text.startswith("Frame 3"):
            raise Cancelled("stopped by the test")

    worker = MadeUpWorker()
    call = lambda: logic.registerSequence(series, 0, progress=stop, worker=worker)  # noqa: E731
    assert_refused(scene, Cancelled, "stopped by the test", call)
    assert len(worker.jobs) == 1


def test_the_frame_that_fails_is_named(logic, scene, series):
    def fail_at_the_third(job):
        if job.moving.array.max() == third:
            raise WorkerError("The process ended.", "last words")
        return known_result(job)

    third = slicer.util.arrayFromVolume(series.GetNthDataNode(2)).max()
    worker = MadeUpWorker(fail_at_the_third)
    message = r"^Frame 3 of 3 \(time 3 s\) failed: The process ended\.$"
    assert_refused(scene, WorkerError, message, lambda: logic.registerSequence(series, 0, worker=worker))


def test_an_unfit_frame_is_named(logic, scene, sequences):
    images = [a_blob_image(GRID), Image(np.zeros(GRID.shape), GRID, "empty")]
    series = a_series(scene, images)
    message = "Frame 2 of 2 .* failed: The moving volume .* is empty or constant"
    assert_refused(scene, ImageError, message, lambda: logic.registerSequence(series, 0, worker=MadeUpWorker()))


def test_a_failing_step_leaves_the_scene_unchanged(logic, scene, series, monkeypatch):
    from VoxelMorphLib.bridge.actions import sequences as sequences_module

    def fail(*_args):
        raise MemoryError("injected")

    monkeypatch.setattr(sequences_module, "place_beside", fail)
    assert_refused(scene, MemoryError, "injected", lambda: logic.registerSequence(series, 0, worker=MadeUpWorker()))


def test_unfit_sequences_and_references_are_refused(logic, scene, series):
    worker = MadeUpWorker()
    volume = add_volume(a_blob_image(GRID), "single")
    empty = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    tables = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "tables")
    tables.SetDataNodeAtValue(slicer.vtkMRMLTableNode(), "0")
    for node, message in (
        (None, "A sequence of volumes is needed, got nothing"),
        (volume, "got single, which shows no sequence"),
        (empty, "empty is a sequence without volumes"),
        (tables, "tables is a sequence without volumes"),
    ):
        assert_refused(scene, ImageError, message, lambda node=node: logic.registerSequence(node, 0, worker=worker))
    for reference in (3, -1, 1.5, None):
        message = f"heart has the frames 0 to 2, not {reference}"
        call = lambda reference=reference: logic.registerSequence(series, reference, worker=worker)  # noqa: E731
        assert_refused(scene, ConfigError, message, call)
    _player, proxy = browse(scene, series)
    message = "shows the sequence itself"
    assert_refused(scene, ImageError, message, lambda: logic.registerSequence(series, proxy, worker=worker))
    proxy.SetAndObserveTransformNodeID(transform_to_node(known_forward(), name="bent").GetID())
    assert_refused(scene, GeometryError, "non-linear transform bent", lambda: logic.registerSequence(proxy, 0))
    assert not worker.jobs
