"""The logic from nodes to nodes: registering in this process and by a worker, and every way to refuse."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.known_registration import a_rigid_matrix, known_forward
from support.made_up_worker import MadeUpWorker
from support.mrml_nodes import add_linear_parent, add_volume, contents, map_from_world
from support.segmentations import add_segmentation
from support.volumes import CENTRE, a_blob_image, a_geometry
from support.workers import write_tiny_network
from VoxelMorphLib.bridge.scene.transform_nodes import transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, volume_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.errors import ConfigError, DependencyError, GeometryError, ImageError, OutputError
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.transform import AffineTransform, DisplacementField

QUICK = RegistrationOptions(budget_s=1, device="cpu")
POINTS = CENTRE + np.random.default_rng(0).uniform(-8, 8, (50, 3))


@pytest.fixture
def worker():
    return MadeUpWorker()


def test_models_that_can_run_are_listed(logic):
    models = logic.models()
    assert models[0].id == "optimise" and all(entry.available for entry in models)


@pytest.mark.slow
def test_registering_in_this_process_aligns_two_volumes(logic, scene):
    geometry = a_geometry("oblique", (20, 18, 16))
    fixed = add_volume(a_blob_image(geometry), "fixed")
    shifted = add_volume(a_blob_image(geometry), "moving")
    add_linear_parent(shifted, a_rigid_matrix(0, (2.0, -1.5, 1.0)))
    reports = []
    nodes = logic.register(fixed, shifted, "optimise", QUICK, progress=lambda *report: reports.append(report))
    assert list(nodes) == ["moved", "forward", "inverse"]
    target, start, end = (image_from_node(node) for node in (fixed, shifted, nodes["moved"]))
    before = AffineTransform(np.eye(4)).resample(start, target.geometry).array
    inside = (slice(3, -3),) * 3
    assert np.abs(end.array - target.array)[inside].mean() < 0.5 * np.abs(before - target.array)[inside].mean()
    assert reports[-1] == (1.0, "Done") and nodes["forward"].GetAttribute("VoxelMorph.Model") == "optimise"


def test_everything_reaches_the_worker(logic, worker, volumes, tmp_path):
    fixed, moving = volumes
    initial = transform_to_node(known_forward(0.5), name="rough")
    options = RegistrationOptions(affine="rigid", interpolation="cubic")
    reports = []
    nodes = logic.register(
        fixed,
        moving,
        "some-model",
        options,
        initialNode=initial,
        progress=lambda *report: reports.append(report),
        worker=worker,
        weightsDir=tmp_path,
        allowFallback=True,
    )
    (job,) = worker.jobs
    assert (job.model, job.options, job.weights_dir, job.allow_fallback) == ("some-model", options, tmp_path, True)
    assert job.fixed.geometry.matches(volume_geometry(fixed)) and job.moving.name == "moving"
    assert np.abs(job.initial.apply_to_points(POINTS) - map_from_world(initial, POINTS)).max() < 0.05
    assert reports == [(0.5, "half way")]
    assert np.abs(map_from_world(nodes["forward"], POINTS) - known_forward().apply_to_points(POINTS)).max() < 0.05


def test_a_moving_volume_under_the_initial_transform_is_not_moved_twice(logic, worker, volumes):
    fixed, moving = volumes
    initial = transform_to_node(known_forward(0.5), name="rough")
    own = volume_geometry(moving)
    moving.SetAndObserveTransformNodeID(initial.GetID())
    logic.register(fixed, moving, initialNode=initial, worker=worker)
    assert worker.jobs[0].moving.geometry.matches(own)


@pytest.mark.parametrize("with_initial", [False, True])
def test_what_lies_under_the_earlier_result_is_registered_again_as_before(logic, worker, volumes, with_initial):
    own, nodes = [volume_geometry(volume) for volume in volumes], None
    initial = transform_to_node(known_forward(0.5), name="rough") if with_initial else None
    for _time in range(2):
        nodes = logic.register(*volumes, initialNode=initial, targets=nodes, worker=worker)
        for volume, output in zip(volumes, ("inverse", "forward")):
            volume.SetAndObserveTransformNodeID(nodes[output].GetID())
    for job in worker.jobs:
        assert job.fixed.geometry.matches(own[0])
        assert job.moving.geometry.matches(own[1])
    fixed, moving = volumes
    assert_refused(GeometryError, "under the non-linear transform", logic, fixed, moving)


def test_masks_under_the_earlier_result_are_read_as_their_volumes(logic, worker, volumes):
    fixed, moving = volumes
    masks = [add_ball("label map", halves_of_a_ball(volume_geometry(volume))) for volume in volumes]
    nodes = logic.register(fixed, moving, worker=worker)
    for node, output in zip((*volumes, *masks), ("inverse", "forward") * 2):
        node.SetAndObserveTransformNodeID(nodes[output].GetID())
    for _time in range(2):
        logic.register(fixed, moving, targets=nodes, worker=worker, fixedMaskNode=masks[0], movingMaskNode=masks[1])
    for mask, volume in ((worker.jobs[-1].fixed_mask, fixed), (worker.jobs[-1].moving_mask, moving)):
        assert mask.geometry.matches(volume_geometry_of_its_own(volume))
        assert mask.array.any()


def volume_geometry_of_its_own(volume):
    """Where the volume would lie under nothing."""
    parent = volume.GetTransformNodeID()
    volume.SetAndObserveTransformNodeID(None)
    geometry = volume_geometry(volume)
    volume.SetAndObserveTransformNodeID(parent)
    return geometry


def add_ball(kind, labels):
    """A label map, a scalar volume of whole numbers, or a segmentation of one or two layers that holds the voxels."""
    if kind == "label map":
        return add_volume(labels, "mask", "vtkMRMLLabelMapVolumeNode")
    if kind == "scalar volume":
        return add_volume(labels, "mask")
    if kind == "segmentation":
        return add_segmentation("mask", [labels], [("a", "first", 0, 1), ("b", "second", 0, 2)])
    layers = [labels.with_array((labels.array == label).astype(np.uint8)) for label in (1, 2)]
    return add_segmentation("mask", layers, [("a", "first", 0, 1), ("b", "second", 1, 1)])


def halves_of_a_ball(geometry):
    """Labels 1 and 2, left and right."""
    away = geometry.points() - CENTRE
    side = np.where(away[..., 0] < 0, 1, 2)
    return LabelMap(np.where(np.linalg.norm(away, axis=-1) < 8, side, 0).astype(np.uint8), geometry, "mask")


@pytest.mark.parametrize("kind", ["label map", "scalar volume", "segmentation", "two layers"])
@pytest.mark.parametrize("start", [False, True])
def test_masks_mark_what_the_worker_looks_at(logic, worker, volumes, kind, start):
    fixed, moving = volumes
    parent = add_linear_parent(moving, a_rigid_matrix(10, (40.0, 0, 5.0)))
    masks = [add_ball(kind, halves_of_a_ball(volume_geometry(fixed))), add_ball(kind, halves_of_a_ball(a_geometry()))]
    masks[1].SetAndObserveTransformNodeID(parent.GetID())
    steps = logic.register.steps(fixed, moving, "optimise", QUICK, fixedMaskNode=masks[0], movingMaskNode=masks[1])
    (logic.start if start else logic.finish)(steps, worker)
    (job,) = worker.jobs
    to_own = {"fixed": np.eye(4), "moving": np.linalg.inv(a_rigid_matrix(10, (40.0, 0, 5.0)))}
    for role, image, mask in (("fixed", job.fixed, job.fixed_mask), ("moving", job.moving, job.moving_mask)):
        assert mask.geometry.matches(image.geometry)
        own = AffineTransform(to_own[role]).apply_to_points(image.geometry.points())
        away = np.linalg.norm(own - CENTRE, axis=-1)
        assert (mask.array[away < 6.5] == 1).all() and (mask.array[away > 9.5] == 0).all()


def test_a_moving_mask_under_the_initial_transform_is_not_moved_twice(logic, worker, volumes):
    fixed, moving = volumes
    mask = add_ball("segmentation", halves_of_a_ball(volume_geometry(moving)))
    expected = halves_of_a_ball(volume_geometry(moving)).array > 0
    initial = transform_to_node(known_forward(0.5), name="rough")
    for node in (moving, mask):
        node.SetAndObserveTransformNodeID(initial.GetID())
    logic.register(fixed, moving, initialNode=initial, worker=worker, movingMaskNode=mask)
    np.testing.assert_array_equal(worker.jobs[0].moving_mask.array, expected)


def test_unfit_masks_are_refused_before_anything_starts(logic, volumes, scene):
    fixed, moving = volumes
    empty = LabelMap(np.zeros((4, 4, 4), np.uint8), a_geometry("RAS", (4, 4, 4)))
    for kind in ("label map", "segmentation"):
        node = add_ball(kind, empty)
        assert_refused(ImageError, "The fixed mask mask is empty", logic, fixed, moving, fixedMaskNode=node)
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "table")
    message = "table is a vtkMRMLTableNode and cannot be a mask"
    assert_refused(ImageError, message, logic, fixed, moving, movingMaskNode=table)
    bare = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "bare")
    assert_refused(ImageError, "bare has no segments", logic, fixed, moving, movingMaskNode=bare)
    far = add_ball("label map", halves_of_a_ball(a_geometry()))
    add_linear_parent(far, a_rigid_matrix(0, (500.0, 0, 0)))
    assert_refused(GeometryError, "fixed mask mask.* covers no voxel", logic, fixed, moving, fixedMaskNode=far)
    ball = add_ball("scalar volume", halves_of_a_ball(a_geometry()))
    named = {"movingMaskNode": ball, "targets": {"moved": ball}}
    assert_refused(OutputError, "is a mask and cannot receive the moved output", logic, fixed, moving, **named)


def assert_refused(error, message, logic, *args, **kwargs):
    scene, worker = slicer.mrmlScene, MadeUpWorker()
    before = contents(scene)
    with pytest.raises(error, match=message):
        logic.register(*args, worker=worker, **kwargs)
    with pytest.raises(error, match=message):
        logic.start(logic.register.steps(*args, **kwargs), worker)
    assert contents(scene) == before and not worker.jobs


def test_unfit_inputs_are_refused_before_anything_starts(logic, volumes, scene):
    fixed, moving = volumes
    assert_refused(ImageError, "A scalar volume is needed, got none", logic, None, moving)
    assert_refused(ImageError, "A scalar volume is needed, got none", logic, fixed, None)
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "table")
    assert_refused(ImageError, "got table, a vtkMRMLTableNode", logic, table, moving)
    assert_refused(ImageError, "fixed is both the fixed and the moving volume", logic, fixed, fixed)
    constant = add_volume(a_blob_image(a_geometry()), "constant")
    slicer.util.updateVolumeFromArray(constant, np.zeros((5, 5, 5)))
    assert_refused(ImageError, "moving volume constant is empty or constant", logic, fixed, constant)
    gone = add_volume(a_blob_image(a_geometry()), "gone")
    scene.RemoveNode(gone)
    assert_refused(OutputError, "gone is no longer in the scene", logic, fixed, gone)
    moving.SetAndObserveTransformNodeID(transform_to_node(known_forward(), name="bent").GetID())
    assert_refused(GeometryError, "moving is under the non-linear transform bent", logic, fixed, moving)


def test_unfit_outputs_are_refused_before_anything_starts(logic, volumes, scene):
    fixed, moving = volumes
    output = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "output")
    vectors = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "vectors")
    shift, above = (scene.AddNewNodeByClass("vtkMRMLTransformNode", name) for name in ("shift", "above"))
    moving.SetAndObserveTransformNodeID(above.GetID())
    for targets, message in (
        ({"moved": moving}, "moving cannot receive the moved output too"),
        ({"jacobian": fixed}, "fixed cannot receive the jacobian output too"),
        ({"moved": output, "jacobian": output}, "output cannot receive the jacobian output too"),
        ({"warped": None}, "no output warped. Choose among moved, forward, inverse, jacobian"),
        ({"moved": vectors}, "vectors is a vtkMRMLVectorVolumeNode and cannot receive the moved output"),
        ({"forward": shift}, "shift is the initial transform and cannot receive the forward output"),
        ({"inverse": above}, "moving lies under above and would be moved by the inverse output"),
    ):
        assert_refused(OutputError, message, logic, fixed, moving, initialNode=shift, targets=targets)
    assert_refused(
        OutputError,
        "moving lies under above and would be moved by the forward output",
        logic,
        moving,
        fixed,
        targets={"forward": above},
    )


def test_a_torch_that_does_not_load_is_explained(logic, volumes, scene, monkeypatch):
    from VoxelMorphLib.bridge import logic as logic_module

    def fail():
        raise DependencyError("PyTorch is not installed.")

    monkeypatch.setattr(logic_module, "load_torch", fail)
    before = contents(scene)
    with pytest.raises(DependencyError, match="PyTorch is not installed"):
        logic.register(*volumes, model="optimise", options=QUICK)
    assert contents(scene) == before


def test_packages_are_ensured_for_the_chosen_model(logic, monkeypatch):
    from VoxelMorphLib.bridge import install as packages

    monkeypatch.setattr(packages.Installed, "version", lambda _self, _name: None)
    questions = []
    with pytest.raises(DependencyError, match="Without torch this cannot be done"):
        logic.ensurePackages("optimise", lambda text: questions.append(text))
    assert len(questions) == 1 and "torch 2.1 or newer" in questions[0]


def test_unknown_models_leave_the_scene_unchanged(logic, volumes, scene):
    before = contents(scene)
    with pytest.raises(ConfigError, match="no model 'nonsense'"):
        logic.register(*volumes, model="nonsense", options=QUICK)
    assert contents(scene) == before


@pytest.mark.parametrize("name", ["RAS", "left-handed oblique"])
def test_the_jacobian_is_that_of_the_library(logic, scene, name):
    geometry = a_geometry(name)
    field = DisplacementField(known_forward(3.0).transforms[0].to_displacement(geometry).array, geometry)
    node, reference = transform_to_node(field, name="forward"), add_volume(a_blob_image(geometry), "fixed")
    result = logic.jacobian(node, reference)
    expected = jacobian_determinant(field.voxel_tensor())[0].numpy()
    assert np.ptp(expected) > 0.3
    np.testing.assert_allclose(slicer.util.arrayFromVolume(result).transpose(2, 1, 0), expected, atol=1e-4)
    assert (result.GetName(), result.GetDisplayNode() is not None) == ("fixed Jacobian", True)


def test_the_jacobian_of_a_matrix_is_its_determinant(logic, scene, volumes):
    matrix = a_rigid_matrix(20, 3) @ np.diag([1.2, 1.0, 0.9, 1])
    node = transform_to_node(AffineTransform(matrix), name="affine")
    target = add_volume(a_blob_image(a_geometry("RAS", (3, 3, 3))), "map")
    assert logic.jacobian(node, volumes[0], target) is target
    np.testing.assert_allclose(slicer.util.arrayFromVolume(target), 1.2 * 0.9, atol=1e-4)
    flat = add_volume(a_blob_image(a_geometry("RAS", (6, 5, 1))), "one slice")
    assert np.isfinite(slicer.util.arrayFromVolume(logic.jacobian(node, flat))).all()
    with pytest.raises(OutputError, match="affine is a vtkMRMLLinearTransformNode and cannot hold"):
        logic.jacobian(node, volumes[0], node)


def test_the_jacobian_lies_on_the_fixed_grid_unless_told_otherwise(logic, scene, volumes, registered):
    fixed, moving = volumes
    assert volume_geometry(logic.jacobian(registered["forward"])).matches(volume_geometry(fixed))
    assert volume_geometry(logic.jacobian(registered["inverse"])).matches(volume_geometry(moving))
    before = contents(scene)
    with pytest.raises(OutputError, match="There is no transform to apply"):
        logic.jacobian(None, fixed)
    with pytest.raises(OutputError, match="fixed cannot receive the Jacobian map"):
        logic.jacobian(registered["forward"], fixed, fixed)
    assert contents(scene) == before


def test_nodes_and_folders_go_to_their_appliers(logic, volumes, registered, scene):
    result = logic.applyTransform(volumes[1], registered["forward"], interpolation="cubic")
    assert result.GetName() == "moving moved_1"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
    try:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "folder")
        hierarchy.CreateItem(folder, volumes[1])
        texts = []
        results = logic.applyTransform(folder, registered["forward"], progress=lambda _f, text: texts.append(text))
        assert [node.GetClassName() for node in results] == ["vtkMRMLScalarVolumeNode"]
        assert texts == ["Moving moving"]
    finally:
        hierarchy.RemoveAllItems(False)


def test_a_registration_in_this_process_keeps_its_network_for_the_next(logic, volumes, tmp_path, monkeypatch):
    from VoxelMorphLib.registration import memo

    loaded, load = [], memo.load_network
    monkeypatch.setattr(memo, "load_network", lambda *args: loaded.append(1) or load(*args))
    weights = write_tiny_network(tmp_path / "tiny.safetensors")
    for _time in range(2):
        logic.register(*volumes, model=str(weights), options=RegistrationOptions(affine="none", device="cpu"))
    assert len(loaded) == 1
    logic.close()
    logic.register(*volumes, model=str(weights), options=RegistrationOptions(affine="none", device="cpu"))
    assert len(loaded) == 2


def test_help_shows_the_arguments_of_an_action(logic):
    names = list(inspect.signature(logic.register).parameters)
    assert names[:3] == ["fixedNode", "movingNode", "model"] and "fixedMaskNode" in names and names[-1] == "worker"
    assert "Register two volume nodes" in logic.register.__doc__
