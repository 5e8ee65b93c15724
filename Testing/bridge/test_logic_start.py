"""Registrations that a worker does in the background: answers, cancelling, and nodes that vanish meanwhile."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

import slicer
from support.made_up_worker import MadeUpWorker
from support.mrml_nodes import add_volume, contents
from support.volumes import a_blob_image, a_geometry
from VoxelMorphLib.bridge.actions import register as scene_job
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.bridge.scene.volume_nodes import volume_geometry
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, DeviceError, GeometryError

QUICK = RegistrationOptions(budget_s=1, device="cpu")


@pytest.fixture
def worker():
    return MadeUpWorker()


class Answers:
    """What a started registration calls back."""

    def __init__(self):
        self.nodes, self.errors, self.progress = [], [], []

    def start(self, logic, worker, *args, **kwargs):
        steps = logic.register.steps(*args, progress=lambda *report: self.progress.append(report), **kwargs)
        self.task = logic.start(steps, worker, self.nodes.append, self.errors.append)

    def poll(self):
        self.task.poll()


@pytest.fixture
def answers():
    return Answers()


def test_started_registrations_answer_when_the_worker_is_polled(logic, worker, answers, volumes, scene):
    before = contents(scene)
    answers.start(logic, worker, *volumes, "optimise", QUICK)
    assert contents(scene) == before and not answers.nodes
    answers.poll()
    assert answers.progress == [(0.5, "half way")] and not answers.errors
    (nodes,) = answers.nodes
    assert {name: node.GetName() for name, node in nodes.items()} == {
        "moved": "moving moved",
        "forward": "moving to fixed",
        "inverse": "fixed to moving",
    }


def test_the_jacobian_is_one_of_the_outputs(logic, worker, answers, volumes):
    targets = {"forward": None, "jacobian": None}
    answers.start(logic, worker, *volumes, targets=targets)
    answers.poll()
    assert set(answers.nodes[0]) == {"forward", "jacobian"}
    jacobian = answers.nodes[0]["jacobian"]
    assert jacobian.GetName() == "fixed Jacobian"
    assert volume_geometry(jacobian).matches(volume_geometry(volumes[0]))
    assert targets == {"forward": None, "jacobian": None}


def test_cancelling_changes_nothing(logic, worker, answers, volumes, scene):
    before = contents(scene)
    answers.start(logic, worker, *volumes)
    answers.task.cancel()
    assert contents(scene) == before and not answers.nodes
    assert [type(error) for error in answers.errors] == [Cancelled]


def test_errors_of_the_worker_are_handed_on(logic, answers, volumes, scene):
    def fail(_job):
        raise DeviceError("The device ran out of memory.")

    before = contents(scene)
    worker = MadeUpWorker(fail)
    answers.start(logic, worker, *volumes)
    answers.poll()
    assert [str(error) for error in answers.errors] == ["The device ran out of memory."]
    with pytest.raises(DeviceError, match="out of memory"):
        logic.register(*volumes, worker=worker)
    assert contents(scene) == before


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_a_volume_removed_meanwhile_drops_the_result(logic, worker, answers, volumes, scene, role):
    answers.start(logic, worker, *volumes)
    scene.RemoveNode(dict(zip(("fixed", "moving"), volumes))[role])
    before = contents(scene)
    answers.poll()
    assert contents(scene) == before and not answers.nodes
    sentence = f"The result was dropped because {role} left the scene while the registration ran; nothing was changed."
    assert [str(error) for error in answers.errors] == [sentence]


def test_an_initial_transform_removed_meanwhile_drops_the_result(logic, worker, answers, volumes, scene):
    initial = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "rough")
    answers.start(logic, worker, *volumes, initialNode=initial)
    scene.RemoveNode(initial)
    before = contents(scene)
    answers.poll()
    assert contents(scene) == before
    assert "because rough left the scene" in str(answers.errors[0])


def test_an_output_removed_meanwhile_drops_the_result(logic, worker, answers, volumes, scene):
    target = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "output")
    answers.start(logic, worker, *volumes, targets={"moved": target, "forward": None})
    scene.RemoveNode(target)
    before = contents(scene)
    answers.poll()
    assert contents(scene) == before
    assert "because output left the scene" in str(answers.errors[0])


def test_closing_the_scene_meanwhile_drops_the_result(logic, worker, answers, volumes, scene):
    answers.start(logic, worker, *volumes)
    scene.Clear(0)
    before = contents(scene)
    answers.poll()
    assert contents(scene) == before and not answers.nodes
    assert "because fixed and moving left the scene" in str(answers.errors[0])


def test_a_volume_that_changed_its_shape_meanwhile_drops_the_result(logic, worker, answers, volumes, scene):
    answers.start(logic, worker, *volumes)
    slicer.util.updateVolumeFromArray(volumes[1], np.zeros((3, 3, 3)))
    before = contents(scene)
    answers.poll()
    assert contents(scene) == before
    assert isinstance(answers.errors[0], GeometryError) and "Register it again" in str(answers.errors[0])


@pytest.mark.parametrize("step", ["write_registration", "write_jacobian"])
def test_an_unexpected_fault_while_writing_is_told_and_undone(
    logic, worker, answers, volumes, scene, monkeypatch, caplog, step
):
    def fail(*_args):
        raise MemoryError("injected")

    monkeypatch.setattr(scene_job, step, fail)
    target = add_volume(a_blob_image(a_geometry("RAS", (3, 4, 5))), "output")
    kept, before = slicer.util.arrayFromVolume(target).copy(), contents(scene)
    answers.start(logic, worker, *volumes, targets={"moved": target, "forward": None, "jacobian": None})
    answers.poll()
    assert contents(scene) == before and [str(error) for error in answers.errors] == ["injected"]
    assert "MemoryError" in caplog.text
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(target), kept)


@pytest.mark.slow
def test_the_real_worker_registers_nodes(logic, answers, volumes):
    worker = WorkerClient(environment={"OMP_NUM_THREADS": "1"})
    try:
        answers.start(logic, worker, *volumes, "optimise", QUICK)
        deadline = time.monotonic() + 60
        while not (answers.nodes or answers.errors) and time.monotonic() < deadline:
            answers.poll()
            time.sleep(0.02)
    finally:
        worker.close()
    assert not answers.errors and set(answers.nodes[0]) == {"moved", "forward", "inverse"}
    assert answers.progress
