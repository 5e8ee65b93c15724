"""A method on a pair: the program's own process, the transforms that it leaves, and what they are worth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from VoxelMorphLib.core.errors import VoxelMorphError
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import read_image, read_image_geometry, read_label_map
from VoxelMorphLib.core.io.transforms import read_transform
from VoxelMorphLib.core.transform import IDENTITY, Transform
from VoxelMorphLib.report.measures import displacement_error, foreground

from ..settings import REPOSITORY
from .measure import agreement, regularity, round_trip
from .methods import PROGRAMS, START, Method
from .pairs import Pair

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class ProgramError(Exception):
    """A program ended without a result; the text is the end of what it said."""


@dataclass(frozen=True)
class Runner:
    """How programs are run.

    Args:
        peers_python: interpreter that has the other programs.
        threads: of each.
        timeout_s: after which a program is ended.
        weights: folder of weight files for our models.
        swap: programs that give no inverse register the swapped pair too.
        keep: folder that keeps the transforms, in a folder of each method and pair.
    """

    peers_python: str
    threads: int = 1
    timeout_s: float = 4 * 3600
    weights: Path | None = None
    swap: bool = True
    keep: Path | None = None


@dataclass(frozen=True)
class Registered:
    """What a program left.

    Args:
        forward, inverse: fixed -> moving and back, the latter None where there is none.
        cpu_s: processor seconds without imports.
        imports_s: those of the imports.
        peak_bytes: largest resident memory.
        versions: of packages.
        raw: the program's result, with the names of its files.
    """

    forward: Transform
    inverse: Transform | None
    cpu_s: float = 0.0
    imports_s: float = 0.0
    peak_bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A row of the results; None where there is nothing to measure.

    Args:
        method, group, pair: names.
        failure: why there is no result; the rest is empty then.
        dice, hd95_mm: means over the labels of the moving image on the fixed grid.
        back_dice, back_hd95_mm: of the fixed labels on the moving grid.
        back_by: "inverse", or "swap" where the program gives no inverse and registered the swapped pair.
        lost: labels that vanished on the fixed grid.
        error_mm, error_p95_mm: distance from the known truth.
        folded_percent, log_jacobian_std: of the map fixed -> moving, in the contents of the fixed image.
        round_trip_mm, round_trip_p99_mm: of points of the contents by both maps.
        cpu_s, imports_s, peak_bytes, versions: of the program, not of the swapped registration.
    """

    method: str
    group: str
    pair: str
    failure: str = ""
    dice: float | None = None
    hd95_mm: float | None = None
    back_dice: float | None = None
    back_hd95_mm: float | None = None
    back_by: str = ""
    lost: tuple[int, ...] = ()
    error_mm: float | None = None
    error_p95_mm: float | None = None
    folded_percent: float | None = None
    log_jacobian_std: float | None = None
    round_trip_mm: float | None = None
    round_trip_p99_mm: float | None = None
    cpu_s: float | None = None
    imports_s: float | None = None
    peak_bytes: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


def measure_method(name: str, method: Method, pair: Pair, runner: Runner) -> Result:
    """Run a method on a pair and measure it; whatever goes wrong in the program is told in `failure`."""
    result = Result(name, pair.group, pair.name)
    if pair.prepare is not None:
        pair.prepare()
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        try:
            folder = Path(scratch) / "there"
            found = register(method, pair.fixed, pair.moving, folder, runner, pair.multimodal)
            back, back_by = found.inverse, "inverse"
            if back is None and runner.swap:
                swapped = register(method, pair.moving, pair.fixed, folder.with_name("swap"), runner, pair.multimodal)
                back, back_by = swapped.forward, "swap"
            return measure_maps(result, pair, found, back, back_by)
        except (ProgramError, VoxelMorphError) as reason:
            return replace(result, failure=str(reason))
        finally:
            if runner.keep is not None:
                shutil.copytree(scratch, runner.keep / name / pair.group / pair.name, dirs_exist_ok=True)


def measure_maps(result: Result, pair: Pair, found: Registered, back: Transform | None, back_by: str) -> Result:
    """Fill a row.

    Args:
        result: with the names.
        pair: images, labels and truth.
        found: what the program left.
        back: the map moving -> fixed, if there is one.
        back_by: where it comes from.
    """
    fixed, moving = read_image(pair.fixed), read_image(pair.moving)
    truth = pair.truth() if pair.truth is not None else None
    inside = foreground(fixed) if truth is None else truth.inside
    values: dict[str, Any] = asdict(regularity(found.forward, fixed.geometry, inside))
    if truth is not None:
        error = displacement_error(found.forward, truth.forward, fixed.geometry, inside)
        values.update(error_mm=error.mean, error_p95_mm=error.percentile_95)
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        labels = read_label_map(pair.fixed_labels), read_label_map(pair.moving_labels)
        values.update(_overlaps(found.forward, back, *labels, pair.labels))
    if back is not None:
        trip = round_trip(found.forward, back, fixed.geometry, moving.geometry, inside)
        values.update(round_trip_mm=trip.mean_mm, round_trip_p99_mm=trip.p99_mm, back_by=back_by)
    costs = {name: getattr(found, name) for name in ("cpu_s", "imports_s", "peak_bytes", "versions")}
    return replace(result, **values, **costs)


def _overlaps(
    forward: Transform, back: Transform | None, fixed: LabelMap, moving: LabelMap, labels: tuple[int, ...] | None
) -> dict[str, Any]:
    there = agreement(forward, fixed, moving, labels)
    values: dict[str, Any] = {"dice": there.dice, "hd95_mm": there.hd95_mm, "lost": there.lost}
    if back is not None:
        home = agreement(back, moving, fixed, labels)
        values.update(back_dice=home.dice, back_hd95_mm=home.hd95_mm)
    return values


def register(
    method: Method, fixed: Path, moving: Path, folder: Path, runner: Runner, multimodal: bool = False
) -> Registered:
    """Run the program of a method in a process of its own and read the transforms that it writes.

    Raises:
        ProgramError: it fails, or takes too long.
    """
    folder.mkdir(parents=True)
    if not method.script:
        return Registered(IDENTITY, IDENTITY)
    files = {"fixed": fixed.absolute(), "moving": moving.absolute()}
    job: dict[str, Any] = {**files, "multimodal": multimodal, "options": method.options}
    if method.start == "centres":
        job["start"] = {"matrix": _centres(fixed, moving).tolist()}
    if method.start != "affine":
        return _run(method, job, folder, runner)
    start = register(START, fixed, moving, folder / "start", runner, multimodal)
    matrix = start.forward.as_matrix()
    assert matrix is not None
    found = _run(method, {**job, "start": {**start.raw, "matrix": matrix.tolist()}}, folder, runner)
    return replace(
        found,
        cpu_s=found.cpu_s + start.cpu_s,
        imports_s=found.imports_s + start.imports_s,
        peak_bytes=max(found.peak_bytes, start.peak_bytes),
    )


def _centres(fixed: Path, moving: Path) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = read_image_geometry(moving).centre - read_image_geometry(fixed).centre
    return matrix


def _run(method: Method, job: dict[str, Any], folder: Path, runner: Runner) -> Registered:
    options = dict(job["options"])
    if not method.package and runner.weights is not None:
        options["weights_dir"] = str(runner.weights)
    job = {**job, "options": options, "folder": folder, "threads": runner.threads}
    (folder / "job.json").write_text(json.dumps(job, default=str), encoding="utf-8")
    command = [method.interpreter(runner.peers_python), str(PROGRAMS / method.script), str(folder / "job.json")]
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        try:  # in its own folder, as some programs leave files where they run
            ended = subprocess.run(
                command, env=_environment(method, runner), cwd=folder, stdout=log, stderr=log, timeout=runner.timeout_s
            )
        except subprocess.TimeoutExpired:
            raise ProgramError(f"ended after {runner.timeout_s:.0f} s without a result") from None
    written = folder / "result.json"
    if ended.returncode or not written.is_file():
        said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ProgramError(f"exit status {ended.returncode}: {said[-1] if said else 'it said nothing'}")
    return read_result(json.loads(written.read_text(encoding="utf-8")))


def _environment(method: Method, runner: Runner) -> dict[str, str]:
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(runner.threads))}
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = (
        [str(Path(entry).absolute()) for entry in given] if method.package else [str(REPOSITORY / "VoxelMorphSlicer")]
    )
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def read_result(raw: dict[str, Any]) -> Registered:
    """The transforms that a program's `result.json` names, read as files in physical space."""
    forward, inverse = (None if raw[name] is None else _composed(raw[name]) for name in ("forward", "inverse"))
    assert forward is not None
    costs = {name: raw[name] for name in ("cpu_s", "imports_s", "peak_bytes", "versions")}
    return Registered(forward, inverse, **costs, raw=raw)


def _composed(parts: list[dict[str, Any]]) -> Transform:
    """The map that applies the files first to last."""
    read = (read_transform(part["file"]) for part in parts)
    maps = [each.inverse() if part["inverted"] else each for each, part in zip(read, parts)]
    return reduce(lambda first, then: first.compose(then), maps)
