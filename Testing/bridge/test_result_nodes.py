"""Writing a whole registration into the scene: where it lies, what it tells, and nothing at all when it fails."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
import vtk
from support.mrml_nodes import add_linear_parent, add_volume, map_from_world, reslice
from support.volumes import CENTRE, a_blob_image, a_geometry, a_smooth_field, rotation
from VoxelMorphLib.bridge.scene import result_nodes
from VoxelMorphLib.bridge.scene.result_nodes import pair_of, set_provenance, write_registration
from VoxelMorphLib.bridge.scene.transform_nodes import transform_from_node, transform_to_node
from VoxelMorphLib.bridge.scene.volume_nodes import image_from_node, volume_geometry
from VoxelMorphLib.core.errors import GeometryError, OutputError
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField

REPORT = {"model": "optimise", "model_sha256": "", "device": "cpu", "options": {"seed": 3}, "elapsed_s": 1.5}


def a_rigid_matrix(angle_deg, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((3, 1, -1), angle_deg)
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + shift
    return matrix


def a_registration(fixed, moving):
    """A known warp between two nodes as the scene shows them, in the form of the pipeline's result."""
    grid, image = image_from_node(fixed).geometry, image_from_node(moving)
    affine = AffineTransform(a_rigid_matrix(4, (0.5, 0.2, -0.4)))
    forward = CompositeTransform((DisplacementField(a_smooth_field(grid, 1.5), grid), affine))
    return SimpleNamespace(
        moved=forward.resample(image, grid, background=0),
        forward=forward,
        inverse=CompositeTransform((affine.inverse(), DisplacementField(-a_smooth_field(grid, 1.5), grid))),
        report=SimpleNamespace(to_dict=lambda: REPORT),
    )


@pytest.fixture
def pair(scene):
    """Fixed and moving volume node on different grids, under no parent."""
    fixed = add_volume(a_blob_image(a_geometry("oblique")), "fixed")
    moving = add_volume(a_blob_image(a_geometry("LAS", (20, 18, 16)), seed=1, dtype="float64"), "moving")
    return fixed, moving


@pytest.fixture(params=["neither", "fixed", "moving", "both"])
def pair_under_parents(request, pair):
    """The pair with the named volumes under two linear parents each."""
    for node, angle_deg, shift in zip(pair, (20, -15), ((3, -4, 2), (1, 5, 0))):
        if request.param in (node.GetName(), "both"):
            outer = np.diag([1.05, 1.05, 1.05, 1])
            add_linear_parent(add_linear_parent(node, a_rigid_matrix(angle_deg, shift)), outer)
    return pair


def own_to_world(node):
    """(4, 4), of a volume node through its parents, by Slicer's own sum of the chain."""
    matrix = slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes
    result = slicer.util.vtkMatrixFromArray(np.eye(4))
    assert matrix(node.GetParentTransformNode(), None, result)
    return slicer.util.arrayFromVTKMatrix(result)


def test_transform_nodes_lead_from_the_world_into_the_volumes(pair_under_parents):
    fixed, moving = pair_under_parents
    registration = a_registration(fixed, moving)
    nodes = write_registration(registration, fixed, moving)
    points = registration.moved.geometry.points()
    for output, node in (("forward", moving), ("inverse", fixed)):
        transform = getattr(registration, output)
        own = map_from_world(nodes[output], points)
        matrix = own_to_world(node)
        in_world = own @ matrix[:3, :3].T + matrix[:3, 3]
        exact = slice(None) if output == "forward" else slice(4, -4)
        tolerance = 1e-3 if output == "forward" else 0.05  # cubic and linear differ between voxels
        difference = np.abs(in_world - transform.apply_to_points(points))[exact, exact, exact]
        assert difference.max() < tolerance


def test_the_moving_volume_under_its_node_lies_on_the_fixed_one(pair_under_parents, application):
    fixed, moving = pair_under_parents
    registration = a_registration(fixed, moving)
    nodes = write_registration(registration, fixed, moving)
    moved = nodes["moved"]
    assert moved.GetParentTransformNode() is None
    assert volume_geometry(moved).matches(volume_geometry(fixed))
    moving.SetAndObserveTransformNodeID(nodes["forward"].GetID())
    inside = (slice(2, -2),) * 3
    expected = image_from_node(moved).array
    np.testing.assert_array_equal(expected, registration.moved.array)
    assert np.abs(reslice(moving, fixed) - expected)[inside].max() < 0.01
    by_logic = application.logics["Volumes"].ResampleVolumeToReferenceVolume(moving, moved)
    assert np.abs(slicer.util.arrayFromVolume(by_logic).transpose(2, 1, 0) - expected)[inside].max() < 0.01


def test_parents_that_change_while_the_registration_runs_do_not_matter(pair):
    fixed, moving = pair
    matrix = a_rigid_matrix(15, (2, 0, 1))
    parent = add_linear_parent(moving, matrix)
    registration, seen = a_registration(fixed, moving), volume_geometry(moving)
    before = map_from_world(write_registration(registration, fixed, moving)["forward"], seen.points())
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.eye(4)))
    nodes = write_registration(registration, fixed, moving, moving_geometry=seen)
    np.testing.assert_allclose(map_from_world(nodes["forward"], seen.points()), before, atol=1e-9)


def test_a_volume_that_changes_its_shape_is_refused(pair):
    fixed, moving = pair
    registration = a_registration(fixed, moving)
    slicer.util.updateVolumeFromArray(fixed, np.zeros((3, 4, 5)))
    with pytest.raises(
        GeometryError, match=r"fixed had \(14, 12, 10\) voxels when it was read and has \(5, 4, 3\) now"
    ):
        write_registration(registration, fixed, moving)
    fixed.SetAndObserveImageData(None)
    with pytest.raises(GeometryError, match=r"has \(0, 0, 0\) now\. Register it again"):
        write_registration(registration, fixed, moving)


def test_nodes_tell_what_they_are(pair):
    fixed, moving = pair
    nodes = write_registration(a_registration(fixed, moving), fixed, moving)
    names = {output: node.GetName() for output, node in nodes.items()}
    assert names == {"moved": "moving moved", "forward": "moving to fixed", "inverse": "fixed to moving"}
    for node in nodes.values():
        assert node.GetAttribute("VoxelMorph.Model") == "optimise"
        assert node.GetAttribute("VoxelMorph.Options") == '{"seed": 3}'
        assert node.GetAttribute("VoxelMorph.ElapsedS") == "1.5"
        assert node.GetAttribute("VoxelMorph.ModelSha256") is None
    for output, (source, target) in {"forward": (moving, fixed), "inverse": (fixed, moving)}.items():
        node = nodes[output]
        assert node.GetNodeReference(node.GetMovingNodeReferenceRole()) is source
        assert node.GetNodeReference(node.GetFixedNodeReferenceRole()) is target


def test_only_wanted_outputs_are_written(scene, pair):
    count = scene.GetNumberOfNodes()
    nodes = write_registration(a_registration(*pair), *pair, targets={"forward": None})
    assert list(nodes) == ["forward"] and scene.GetNumberOfNodes() == count + 1


def test_a_second_run_replaces_the_first(pair):
    registration = a_registration(*pair)
    nodes = write_registration(registration, *pair)
    nodes["moved"].SetAttribute("VoxelMorph.Old", "1")
    nodes["moved"].SetAttribute("Other.Module", "2")
    linear = SimpleNamespace(**{**vars(registration), "forward": AffineTransform(a_rigid_matrix(9, 0))})
    assert write_registration(linear, *pair, targets=nodes) == nodes
    forward = nodes["forward"]
    assert forward.IsLinear()
    assert forward.GetNumberOfNodeReferences(forward.GetMovingNodeReferenceRole()) == 1
    assert nodes["moved"].GetAttribute("VoxelMorph.Old") is None
    assert nodes["moved"].GetAttribute("Other.Module") == "2"


def test_provenance_of_text_numbers_and_nothing(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    set_provenance(node, {"model_id": "a b", "count": 3, "warnings": ["x"], "none": None})
    attributes = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}
    assert attributes == {"VoxelMorph.ModelId": "a b", "VoxelMorph.Count": "3", "VoxelMorph.Warnings": '["x"]'}


def assert_refused(pair, targets, message):
    with pytest.raises(OutputError, match=message):
        write_registration(a_registration(*pair), *pair, targets=targets)


def test_impossible_targets_are_refused(scene, pair):
    fixed, moving = pair
    gone = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "gone")
    scene.RemoveNode(gone)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "output")
    assert_refused(pair, {"warped": None}, "has no output warped. Choose among moved, forward, inverse")
    assert_refused(pair, {"moved": moving}, "moving cannot receive the moved output too")
    assert_refused(pair, {"moved": fixed}, "fixed cannot receive the moved output too")
    assert_refused(pair, {"forward": node, "inverse": node}, "output cannot receive the inverse output too")
    assert_refused(pair, {"moved": gone}, "gone is no longer in the scene")
    registration = a_registration(fixed, moving)
    scene.RemoveNode(moving)
    with pytest.raises(OutputError, match="moving is no longer in the scene"):
        write_registration(registration, fixed, moving)


def references_of(node):
    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    counts = {role: node.GetNumberOfNodeReferences(role) for role in roles}
    return {role: [node.GetNthNodeReferenceID(role, i) for i in range(n)] for role, n in counts.items() if n}


def state_of(scene):
    """What a person would call the content of the scene: nodes, voxels, places, attributes, references."""
    states = {}
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        attributes = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}
        states[node.GetID()] = state = [node.GetName(), attributes, references_of(node)]
        if node.IsA("vtkMRMLVolumeNode"):
            state += [slicer.util.arrayFromVolume(node).tolist(), volume_geometry(node).affine.tolist()]
        if node.IsA("vtkMRMLTransformNode"):
            state.append(map_from_world(node, a_geometry().corners()).tolist())
    return states


@pytest.fixture
def existing_targets(scene, pair):
    """Output nodes that hold something of the user's: voxels, matrices, references, attributes, parents."""
    moved = add_volume(a_blob_image(a_geometry("LPS", (4, 5, 6))), "moved")
    add_linear_parent(moved, a_rigid_matrix(30, (1, 1, 1)))
    moved.SetAttribute("VoxelMorph.Model", "old")
    forward = transform_to_node(AffineTransform(a_rigid_matrix(30, 5)), scene.AddNewNodeByClass("vtkMRMLTransformNode"))
    forward.SetNodeReferenceID(forward.GetMovingNodeReferenceRole(), moved.GetID())
    inverse = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "inverse")
    add_linear_parent(inverse, a_rigid_matrix(3, (1, 0, 1)))
    return {"moved": moved, "forward": forward, "inverse": inverse}


STEPS = [(step, call) for step in ("transform_to_node", "set_roles", "set_provenance") for call in (1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("step", "call"), [("show_like", 1), *STEPS])
@pytest.mark.parametrize("kind", ["existing", "new", "mixed"])
def test_a_failure_in_the_middle_leaves_the_scene_unchanged(
    scene, pair, existing_targets, monkeypatch, kind, step, call
):
    new = {"existing": (), "new": ("moved", "forward", "inverse"), "mixed": ("forward",)}[kind]
    targets = {output: None if output in new else node for output, node in existing_targets.items()}
    real, calls = getattr(result_nodes, step), []

    def fail_at_the_call(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise MemoryError("injected")
        return real(*args, **kwargs)

    monkeypatch.setattr(result_nodes, step, fail_at_the_call)
    before = state_of(scene)
    with pytest.raises(MemoryError, match="injected"):
        write_registration(a_registration(*pair), *pair, targets=targets)
    assert state_of(scene) == before


def test_a_target_of_the_wrong_class_leaves_the_others_unchanged(scene, pair, existing_targets):
    surface = scene.AddNewNodeByClass("vtkMRMLModelNode", "surface")
    before = state_of(scene)
    with pytest.raises(OutputError, match="surface is a vtkMRMLModelNode and cannot receive the moved output"):
        write_registration(a_registration(*pair), *pair, targets={**existing_targets, "moved": surface})
    with pytest.raises(OutputError, match=r"surface is a .* Choose a vtkMRMLTransformNode or a new node"):
        write_registration(a_registration(*pair), *pair, targets={**existing_targets, "inverse": surface})
    assert state_of(scene) == before


def test_a_label_map_cannot_receive_intensities(scene, pair, existing_targets):
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    with pytest.raises(OutputError, match="labels is a vtkMRMLLabelMapVolumeNode and cannot receive the moved output"):
        write_registration(a_registration(*pair), *pair, targets={**existing_targets, "moved": labels})


def test_a_linear_target_of_a_field_gives_way_to_a_new_node(scene, pair):
    linear = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "linear")
    nodes = write_registration(a_registration(*pair), *pair, targets={"forward": linear, "inverse": None})
    assert nodes["forward"] is not linear and not nodes["forward"].IsLinear()
    identity = vtk.vtkMatrix4x4()
    linear.GetMatrixTransformFromParent(identity)
    assert identity.IsIdentity()


def test_outputs_know_their_pair(pair):
    fixed, moving = pair
    nodes = write_registration(a_registration(*pair), *pair)
    assert [pair_of(node) for node in nodes.values()] == [(fixed, moving)] * 3
    moving.GetScene().RemoveNode(moving)
    assert pair_of(nodes["moved"]) == (fixed, None)
    assert nodes["moved"].GetAttribute("VoxelMorph.MovingName") == "moving"


def test_the_written_nodes_can_be_read_again(pair):
    registration = a_registration(*pair)
    nodes = write_registration(registration, *pair)
    points = registration.moved.geometry.points()
    for output in ("forward", "inverse"):
        read = transform_from_node(nodes[output])
        expected = getattr(registration, output).apply_to_points(points)
        assert np.abs(read.apply_to_points(points) - expected).max() < 1e-6
