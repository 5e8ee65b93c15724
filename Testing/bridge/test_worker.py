"""The warm worker with real child processes: results, progress, errors, queue and reuse."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from support.few_steps import IN_WORKER, few_steps
from support.volumes import a_blob_image, a_geometry, a_label_map, a_smooth_field
from support.workers import ONE_THREAD, Outcome, a_job, is_alive, patched_command, wait_until, write_tiny_network
from VoxelMorphLib.bridge.background.child_process import LIBRARY_FOLDER
from VoxelMorphLib.bridge.background.worker import WorkerClient, worker_command
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.errors import Cancelled, ConfigError, DeviceError, GeometryError, ImageError, WeightsError
from VoxelMorphLib.core.image import Image, LabelMap
from VoxelMorphLib.core.transform import AffineTransform, CompositeTransform, DisplacementField
from VoxelMorphLib.registration.register import register


@pytest.fixture(scope="module")
def a_client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")
    client = WorkerClient(patched_command(IN_WORKER), environment=ONE_THREAD, temporary_folder=folder)
    yield client
    client.close()
    assert list(client.temporary_folder.iterdir()) == []


@pytest.fixture(scope="module")
def a_network(tmp_path_factory):
    return write_tiny_network(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.mark.slow
def test_the_result_is_that_of_the_same_job_in_this_process(a_client, a_network):
    shift = np.eye(4)
    shift[:3, 3] = 1.0, -0.5, 2.0
    job = a_job(model=a_network, affine="rigid", initial=AffineTransform(shift))
    with few_steps():
        there, here = a_client.run(job), register(job)
    np.testing.assert_array_equal(there.moved.array, here.moved.array)
    assert there.moved.array.dtype == job.moving.array.dtype
    assert there.moved.geometry.matches(job.fixed.geometry, 0)
    points = job.fixed.geometry.points()
    for direction in ("forward", "inverse"):
        one, other = getattr(there, direction), getattr(here, direction)
        assert isinstance(one, CompositeTransform)
        np.testing.assert_array_equal(one.apply_to_points(points), other.apply_to_points(points))
    assert replace(there.report, seconds={}) == replace(here.report, seconds={})


@pytest.mark.slow
def test_masks_reach_the_worker(a_client):
    job = a_job(affine="rigid")
    masks = (a_label_map(job.fixed.geometry), a_label_map(a_geometry("oblique", (26, 24, 22))))
    masked = replace(job, fixed_mask=masks[0], moving_mask=masks[1], options=replace(job.options, budget_s=50))
    with few_steps():
        there, here = a_client.run(masked), register(masked)
    np.testing.assert_allclose(there.moved.array, here.moved.array, atol=0.5)
    empty = replace(masked, moving_mask=masks[1].with_array(np.zeros_like(masks[1].array), "nothing"))
    with pytest.raises(ImageError, match="The moving mask nothing is empty"):
        a_client.run(empty)


@pytest.mark.slow
def test_the_exact_inverse_travels_with_the_field(a_client, a_network):
    result = a_client.run(a_job(model=a_network))
    assert isinstance(result.forward, DisplacementField)
    assert result.forward.inverse_field is not None
    np.testing.assert_array_equal(result.forward.inverse().array, result.inverse.array)


@pytest.mark.slow
def test_the_second_job_loads_nothing(tmp_path, a_network):
    client = WorkerClient(environment=ONE_THREAD, temporary_folder=tmp_path)
    first, second = (client.run(a_job(model=a_network)).report.seconds for _ in range(2))
    client.close()
    assert first["start"] > 0 and first["import"] > 0.1
    assert second["start"] == 0 and second["import"] < 0.05
    assert second["load"] < first["load"]
    for seconds in (first, second):
        assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"])
        assert {"read", "load", "affine", "network", "write"} <= set(seconds)


@pytest.mark.slow
def test_one_process_serves_all_jobs_and_leaves_no_files(a_client):
    a_client.run(a_job())
    pid = a_client.pid
    a_client.run(a_job())
    assert a_client.pid == pid and is_alive(pid)
    [folder] = a_client.temporary_folder.iterdir()
    assert list(folder.iterdir()) == []


def test_progress_rises_and_names_the_stages(a_client):
    outcome = Outcome(a_client, a_job(affine="affine"))
    outcome.wait()
    fractions = [fraction for fraction, _text in outcome.progress]
    assert fractions == sorted(fractions)
    assert outcome.progress[-1] == (1.0, "Done")
    assert outcome.reached("Aligning") and outcome.reached("Optimising")


@pytest.mark.slow
def test_callbacks_come_from_poll_in_the_callers_thread_only(a_client):
    threads = []
    a_client.submit(a_job(), lambda *_report: threads.append(threading.current_thread()), threads.append)
    time.sleep(1.0)
    assert threads == []
    wait_until(lambda: not a_client.busy, client=a_client)
    assert set(threads[:-1]) == {threading.current_thread()}


@pytest.mark.slow
def test_polling_never_waits_for_the_worker(tmp_path):
    client = WorkerClient(environment=ONE_THREAD, temporary_folder=tmp_path)
    longest = 0.0
    client.submit(a_job(affine="affine"))
    while client.busy:
        began = time.thread_time()  # a busy machine may take any time; what poll itself does must be little
        client.poll()
        longest = max(longest, time.thread_time() - began)
        time.sleep(0.01)
    client.close()
    assert longest < 0.1


def test_images_and_inputs_keep_their_types_and_values(a_client):
    fixed = a_label_map(a_geometry("LAS", (20, 18, 16)))
    moving = a_blob_image(a_geometry("anisotropic", (20, 18, 16)), dtype="int16")
    copies = fixed.array.copy(), moving.array.copy()
    result = a_client.run(a_job(fixed=fixed, moving=moving))
    assert isinstance(fixed, LabelMap) and result.moved.array.dtype == np.int16
    assert result.moved.name == moving.name
    np.testing.assert_array_equal(fixed.array, copies[0])
    np.testing.assert_array_equal(moving.array, copies[1])


def test_a_bent_start_is_sent_too(a_client, a_network):
    grid = a_geometry("oblique", (20, 18, 16))
    bent = DisplacementField(a_smooth_field(grid).astype(np.float32), grid)
    job = a_job(model=a_network, initial=bent)
    there, here = a_client.run(job), register(job)
    np.testing.assert_array_equal(there.moved.array, here.moved.array)


def a_bad_job(case: str):
    job = a_job()
    grid = job.fixed.geometry
    changes = {
        "constant": {"moving": Image(np.zeros(grid.shape), grid, "nothing")},
        "apart": {
            "moving": Image(job.fixed.array, grid.shifted((900, 0, 0), grid.shape), "far away"),
            "options": RegistrationOptions(affine="none"),
        },
        "model": {"model": "no-such-model"},
        "file": {"model": "no-such-file.h5"},
        "device": {"options": RegistrationOptions(device="cuda:77")},
    }
    return replace(job, **changes[case])


@pytest.mark.parametrize(
    ("case", "kind", "message"),
    [
        ("constant", ImageError, "nothing is empty or constant"),
        ("apart", GeometryError, "do not overlap in the patient"),
        ("model", ConfigError, "There is no model 'no-such-model'"),
        ("file", WeightsError, "There is no weights file no-such-file.h5"),
        ("device", DeviceError, r"no device 'cuda:77'\. Choose auto or one of .*cpu"),
    ],
)
def test_errors_come_back_as_they_are_and_the_process_stays(a_client, case, kind, message):
    with pytest.raises(kind, match=message) as caught:
        a_client.run(a_bad_job(case))
    assert type(caught.value) is kind
    pid = a_client.pid
    assert a_client.run(a_job()).report.model == "optimise"
    assert a_client.pid == pid


def test_jobs_are_done_one_at_a_time_in_their_order(a_client):
    done = []
    handles = [
        a_client.submit(a_job(), on_done=lambda _r, n=number: done.append(n), on_error=done.append)
        for number in range(4)
    ]
    a_client.cancel(handles[2])
    assert a_client.busy
    wait_until(lambda: not a_client.busy, client=a_client)
    assert isinstance(done.pop(0), Cancelled)
    assert done == [0, 1, 3]


def test_a_finished_job_cannot_be_cancelled(a_client):
    outcome = Outcome(a_client, a_job())
    outcome.wait()
    pid = a_client.pid
    a_client.cancel(outcome.handle)
    a_client.poll()
    assert len(outcome.calls) == 1 and a_client.pid == pid


def test_a_callback_that_raises_leaves_the_client_usable(a_client):
    def refuse(_result):
        raise ZeroDivisionError("the caller's own fault")

    a_client.submit(a_job(), on_done=refuse)
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: not a_client.busy, client=a_client)
    assert not a_client.busy
    a_client.run(a_job())


@pytest.mark.slow
def test_the_client_needs_no_torch():
    unwanted = "{'torch', 'qt', 'slicer'}"
    code = f"import sys, VoxelMorphLib.bridge.background.worker; sys.exit(bool({unwanted} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=LIBRARY_FOLDER).returncode == 0


def test_the_real_interpreter_of_slicer_is_preferred_to_its_launcher(tmp_path, monkeypatch):
    assert worker_command()[0] == sys.executable
    real = tmp_path / "python-real"
    real.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert worker_command() == [str(real), "-m", "VoxelMorphLib.worker.child"]
