"""What a click on Register costs the first time and when the worker is warm, stage by stage."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from VoxelMorphLib.bridge.background.worker import WorkerClient
from VoxelMorphLib.core.config import NetworkSpace, RegistrationOptions
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.image import Image
from VoxelMorphLib.registration.request import RegistrationRequest
from VoxelMorphLib.weights.catalogue import find_entry
from VoxelMorphLib.weights.safetensors_file import write_model

from .clock import median
from .row import Row
from .settings import Settings
from .subjects import PUBLISHED, image_pair, published_file, published_network

#: A small volume, where waiting for anything but the images is felt most.
SMALL = (64, 64, 64)
#: Seconds between two polls, as the widget's timer has them.
TIMER_S = 0.05
#: What the report's times are called in the table.
STAGES = {
    "start": "start of the process",
    "import": "import of torch",
    "load": "load of the model",
    "read": "reading the images",
    "affine": "affine start",
    "network": "network",
    "resample": "resampling",
    "measure": "figures of the report",
    "write": "writing the result",
    "rest": "transfer",
}


@dataclass(frozen=True)
class Click:
    """One click: seconds until the result, seconds of its stages, and the longest single poll."""

    total: float
    stages: dict[str, float]
    longest_poll: float


@dataclass(frozen=True)
class Clicks:
    """Three clicks in a row: the second registers the same pair again, the third another one."""

    first: Click
    again: Click
    other: Click


def measure_warm_click(settings: Settings) -> list[Row]:
    """Three clicks in a row, for a small volume on its own grid and for the published network at full size."""
    small = replace(settings, shape=SMALL)
    full_size = f"{'x'.join(map(str, settings.shape))}, {PUBLISHED}"
    return [
        *_rows(
            "64x64x64 on its own grid, no affine start",
            [_clicks(small, _job_on_own_grid) for _round in range(settings.repeats)],
        ),
        *_rows(full_size, [_clicks(settings, _published_job)]),
    ]


def _clicks(settings: Settings, make_job: Callable[[Settings, Path], RegistrationRequest]) -> Clicks:
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(settings, Path(folder))
        swapped = replace(job, fixed=job.moving, moving=job.fixed)
        client = WorkerClient(environment={"OMP_NUM_THREADS": str(settings.threads)}, temporary_folder=Path(folder))
        try:
            return Clicks(*(_click(client, click) for click in (job, job, swapped)))
        finally:
            client.close()


def _job_on_own_grid(settings: Settings, folder: Path) -> RegistrationRequest:
    """A network like the published one that takes images of any grid."""
    entry = replace(find_entry(PUBLISHED), format="safetensors", space=NetworkSpace(multiple=16))
    file = folder / "random.safetensors"
    write_model(published_network(settings)[0], entry, file)
    return RegistrationRequest(*_images(settings), file, RegistrationOptions(affine="none"))


def _published_job(settings: Settings, folder: Path) -> RegistrationRequest:
    """The published network as users run it, or one of its size where its weights are missing."""
    file = published_file(settings)
    if file is None:
        file = folder / "random.safetensors"
        write_model(published_network(settings)[0], replace(find_entry(PUBLISHED), format="safetensors"), file)
    return RegistrationRequest(*_images(settings), file)


def _images(settings: Settings) -> tuple[Image, Image]:
    """Fixed and moving, stored in FreeSurfer's orientation."""
    axes = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    moving, fixed = (
        Image(image[0, 0].numpy(), Geometry(image.shape[2:], axes), name)
        for image, name in zip(image_pair(settings), ("moving", "fixed"))
    )
    return fixed, moving


def _click(client: WorkerClient, job: RegistrationRequest) -> Click:
    """Submit and poll as a timer would."""
    results: list = []
    longest, began = 0.0, time.perf_counter()
    client.submit(job, on_done=results.append, on_error=results.append)
    while not results:
        time.sleep(TIMER_S)
        polled = time.perf_counter()
        client.poll()
        longest = max(longest, time.perf_counter() - polled)
    total = time.perf_counter() - began
    if isinstance(results[0], Exception):
        raise results[0]
    stages = results[0].report.seconds
    return Click(total, {**stages, "all": total, "rest": total - stages["total"]}, longest)


def _rows(subject: str, rounds: list[Clicks]) -> list[Row]:
    first, again, other = ([getattr(clicks, name) for clicks in rounds] for name in ("first", "again", "other"))
    rows = [
        Row("warm", f"first click, {subject}", _middle(first, "all"), "s", note="until it is delivered"),
        _warm_row("second click, the same pair", first, again, "all was kept: torch, model, start and alignment"),
        _warm_row("third click, another pair", first, other, "the process kept torch and model"),
    ]
    for key, name in STAGES.items():
        note = f"second {_middle(again, key):.3f} s, third {_middle(other, key):.3f} s"
        rows.append(Row("warm", f"... {name}", _middle(first, key), "s", note=note))
    hold_up = 1000 * max(click.longest_poll for click in (*first, *again, *other))
    return [*rows, Row("warm", "longest poll", hold_up, "ms", note="the only time that is taken from the interface")]


def _warm_row(name: str, first: list[Click], warm: list[Click], note: str) -> Row:
    ratio = median([one.total / other.total for one, other in zip(first, warm)])
    return Row("warm", name, _middle(warm, "all"), "s", note=f"the first takes {ratio:.2f} times as long; {note}")


def _middle(clicks: list[Click], stage: str) -> float:
    return median([click.stages[stage] for click in clicks])
