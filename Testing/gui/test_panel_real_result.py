"""A registration by the real worker: its nodes are checked by SimpleITK and VTK, not by the library's own code."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtUiTools", reason="PySide6 is not installed")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import SimpleITK as sitk  # noqa: N813
import slicer
import vtk
from support.few_steps import IN_WORKER
from support.mrml_nodes import add_volume, map_points
from support.panel_runs import a_process, give, is_idle, registers, the_sentence
from support.scene_content import content
from support.sequences import a_series
from support.volumes import a_geometry
from support.workers import ONE_THREAD, is_alive, patched_command
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.core.image import Image

pytestmark = pytest.mark.slow

#: mm off the middle of the fixed volume, in the fixed and in the moving volume.
LANDMARKS = {"a": ((3.0, 0.0, 0.0), (5.0, 1.0, 1.0)), "b": ((0.0, 4.0, -2.0), (1.0, 6.0, 0.0))}


@pytest.fixture
def volumes(scene):
    """Two balls on grids of different direction, the second shifted by some mm."""
    balls = []
    for name, shift, grid in (("fixed", 0.0, "RAS"), ("moving", 1.5, "oblique")):
        geometry = a_geometry(grid, (18, 17, 16), 2.0)
        distance = np.linalg.norm(geometry.points() - geometry.centre - shift, axis=-1)
        balls.append(add_volume(Image((100 * np.clip(1.5 - distance / 8, 0, 1)).astype(np.float32), geometry), name))
    return balls


@pytest.fixture
def aligning(ready):
    """A worker process that takes the time which it is given."""
    give(ready, WorkerClient(environment=ONE_THREAD, silence_s=60))


@pytest.fixture
def landmarks(scene, volumes):
    """A list of points on each volume; the second one in reverse order."""
    centre = np.array(_world_bounds(volumes[0])).reshape(3, 2).mean(1)
    lists = []
    for role, names in ((0, "ab"), (1, "ba")):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"points {role}")
        for name in names:
            node.AddControlPoint(*(centre + LANDMARKS[name][role]), name)
        lists.append(node)
    return lists


def _world_bounds(volume) -> list[float]:
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return bounds


def itk_image(node) -> sitk.Image:
    """The voxels of a volume node on its grid, LPS as ITK has it."""
    image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(node).astype(np.float32))
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ slicer.util.arrayFromVTKMatrix(_ijk_to_ras(node))
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    return image


def _ijk_to_ras(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def itk_displacements(fixed, forward) -> sitk.Transform:
    """What the transform node does at every fixed voxel, as ITK's displacement field."""
    size = fixed.GetImageData().GetDimensions()
    matrix = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(fixed))
    voxels = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    points = voxels @ matrix[:3, :3].T + matrix[:3, 3]
    shifts = (map_points(forward.GetTransformFromParent(), points) - points) * (-1, -1, 1)
    field = sitk.GetImageFromArray(shifts.transpose(2, 1, 0, 3), isVector=True)
    field.CopyInformation(itk_image(fixed))
    return sitk.DisplacementFieldTransform(field)


def test_the_moved_volume_is_what_simpleitk_makes_of_the_transform(ready, volumes, aligning):
    fixed, moving = volumes
    assert registers(ready)
    chosen = ready.widget.panel.parameters
    moved = slicer.util.arrayFromVolume(chosen.movedVolume)
    transform = itk_displacements(fixed, chosen.forwardTransform)
    expected = sitk.GetArrayFromImage(sitk.Resample(itk_image(moving), itk_image(fixed), transform, sitk.sitkLinear))
    inside = (slice(3, -3),) * 3
    assert np.abs(moved - expected)[inside].max() < 0.5
    identity = sitk.GetArrayFromImage(sitk.Resample(itk_image(moving), itk_image(fixed), sitk.Transform(3, 1)))
    target = slicer.util.arrayFromVolume(fixed)
    assert np.abs(moved - target).mean() < 0.5 * np.abs(identity - target).mean()


def test_landmark_errors_are_in_the_table_that_is_shown(ready, volumes, landmarks, aligning):
    ready.ui.advancedSection.collapsed = False
    ready.choose(fixedLandmarksSelector=landmarks[0], movingLandmarksSelector=landmarks[1])
    ready.widget.panel.parameters.affine = "centre"  # a ball can be turned by any angle
    assert registers(ready)
    chosen = ready.widget.panel.parameters
    table = ready.ui.resultsTableView.mrmlTableNode()
    assert table is chosen.resultsTable
    rows = [[table.GetCellText(row, column) for column in range(4)] for row in range(table.GetNumberOfRows())]
    rows = [row for row in rows if "Landmark" in row[0]]
    found = {name: tuple(float(text.split()[0]) for text in values) for _kind, name, *values in rows}
    expected = {name: errors(landmarks, name, chosen.forwardTransform) for name in LANDMARKS}
    expected["mean"] = tuple(np.mean(list(expected.values()), axis=0))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=6e-3)
    assert all(text.endswith(" mm") for row in rows for text in row[2:])
    assert "landmarks" in ready.ui.resultSummaryLabel.text.lower()
    assert found["mean"][1] < found["mean"][0]


def errors(landmarks, name: str, forward) -> tuple[float, float]:
    """Distance of one pair before and after, by VTK alone."""
    fixed, moving = (
        np.array(node.GetNthControlPointPosition(node.GetControlPointIndexByLabel(name))) for node in landmarks
    )
    through = map_points(forward.GetTransformFromParent(), fixed)
    return float(np.linalg.norm(fixed - moving)), float(np.linalg.norm(through - moving))


@pytest.fixture
def series_ready(sequences, ready, scene):
    """The panel with a sequence chosen."""
    ready.ui.sequenceSection.collapsed = False
    ready.choose(sequenceSelector=a_series(scene))
    return ready


def test_a_worker_that_is_killed_during_a_sequence(series_ready, scene, real):
    before = content(scene)
    series_ready.click("registerSequenceButton")
    series_ready.wait(lambda: "Frame 2" in series_ready.ui.statusLabel.text, 90)
    os.kill(real.pid, signal.SIGKILL)
    series_ready.wait(lambda: is_idle(series_ready))
    assert "worker process ended unexpectedly (signal 9" in the_sentence(series_ready)
    assert content(scene) == before
    series_ready.click("registerSequenceButton")
    series_ready.wait(lambda: is_idle(series_ready), 90)
    assert series_ready.ui.statusLabel.text.startswith("Done: heart registered")


def test_a_worker_that_never_answers_during_a_sequence(series_ready, scene):
    before = content(scene)
    a_process(series_ready, "import time; time.sleep(600)", silence_s=0.5)
    series_ready.click("registerSequenceButton")
    series_ready.wait(lambda: is_idle(series_ready))
    assert "has not answered for 0.5 s" in the_sentence(series_ready)
    assert content(scene) == before


#: The second job is never answered, and nothing is heard of the process.
_MUTE = """
from VoxelMorphLib.worker import files
read = files.read_request
count = []
def mute(folder):
    count.append(folder)
    if len(count) > 1:
        import time
        worker.Worker.send = lambda *_arguments: None
        time.sleep(600)
    return read(folder)
files.read_request = mute
"""


def test_a_worker_that_falls_silent_between_two_frames(series_ready, scene):
    before = content(scene)
    silent = WorkerClient(patched_command(IN_WORKER + _MUTE), environment=ONE_THREAD, silence_s=2.5)
    give(series_ready, silent)
    series_ready.click("registerSequenceButton")
    series_ready.wait(lambda: "Frame 2" in series_ready.ui.statusLabel.text, 90)
    series_ready.wait(lambda: is_idle(series_ready), 60)
    assert "has not answered for 2.5 s" in the_sentence(series_ready)
    assert content(scene) == before
    assert silent.pid is None


def test_a_worker_that_is_killed_during_apply(ready, scene, volumes, real):
    assert registers(ready)
    ready.ui.applySection.collapsed = False
    chosen = ready.widget.panel.parameters
    ready.choose(appliedTransformSelector=chosen.forwardTransform, appliedNodeSelector=volumes[1])
    pid = real.pid
    ready.click("applyButton")
    os.kill(pid, signal.SIGKILL)
    ready.wait(lambda: is_idle(ready))
    assert ready.ui.statusLabel.text.startswith("Done: moving moved")
    ready.wait(lambda: not is_alive(pid))
    assert registers(ready)
