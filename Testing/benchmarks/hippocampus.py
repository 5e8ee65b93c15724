"""The hippocampus data of the README's tables: lists to train on, and how well a model registers 20 pairs, both ways.

python -m benchmarks.hippocampus lists FOLDER
python -m benchmarks.hippocampus evaluate MODEL [--hyper H]
python -m benchmarks.hippocampus sweep MODEL
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from VoxelMorphLib.core.config import RegistrationOptions
from VoxelMorphLib.core.displacement import jacobian_determinant
from VoxelMorphLib.core.geometry import Geometry
from VoxelMorphLib.core.io.images import read_image, read_label_map
from VoxelMorphLib.core.losses.regularisers import gradient_penalty
from VoxelMorphLib.core.metrics import folding, overlap
from VoxelMorphLib.core.spatial import warp
from VoxelMorphLib.networks.registrar import FeatureDetector
from VoxelMorphLib.registration.cache import RegistrationCache
from VoxelMorphLib.registration.features import FeatureRegistrar
from VoxelMorphLib.registration.register import register_pair
from VoxelMorphLib.training.data.case import Case
from VoxelMorphLib.training.data.space import TrainingSpace
from VoxelMorphLib.weights.load import load_network

DATA = Path(os.environ.get("VXM_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "hippocampus"
LABELS = (1, 2)


@dataclass(frozen=True)
class _Result:
    """Of one pair.

    Args:
        dice: of each label, moving to fixed.
        back: of each label, fixed to moving by the inverse.
        determinant: Jacobian determinant on the fixed grid.
        seconds: of CPU.
    """

    dice: list[float]
    back: list[float]
    determinant: np.ndarray
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Write lists or evaluate a model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hippocampus", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lists", help="write the lists to train on").add_argument("folder", type=Path)
    evaluate = commands.add_parser("evaluate", help="register the 20 validation pairs")
    evaluate.add_argument("model", help="id of the model list, or a weights file")
    evaluate.add_argument("--hyper", type=float, default=None, help="regularity, of models that take one")
    commands.add_parser("sweep", help="the same for every regularity").add_argument("model")
    arguments = parser.parse_args(argv)
    if arguments.command == "lists":
        write_lists(arguments.folder)
    elif arguments.command == "sweep":
        print_sweep(arguments.model)
    else:
        print_evaluation(arguments.model, arguments.hyper)
    return 0


def pairs() -> list[tuple[str, str]]:
    """The 20 validation pairs, (fixed, moving) numbers of cases."""
    return [tuple(pair) for pair in json.loads((DATA / "val_pairs.json").read_text())["pairs"]]


def write_lists(folder: Path) -> None:
    """images.txt, labels.txt, pairs.txt, pair_labels.txt, and volumes.csv: label volumes."""
    folder.mkdir(parents=True, exist_ok=True)
    training = json.loads((DATA / "train_cases.json").read_text())
    for name, kind in (("images", "images"), ("labels", "labels")):
        (folder / f"{name}.txt").write_text("".join(f"{case_file(kind, case)}\n" for case in training))
    for name, kind in (("pairs", "images"), ("pair_labels", "labels")):
        lines = [f"{case_file(kind, moving)} {case_file(kind, fixed)}\n" for fixed, moving in pairs()]
        (folder / f"{name}.txt").write_text("".join(lines))
    cases = json.loads((DATA / "all_cases.json").read_text())
    volumes = {case: int((read_label_map(case_file("labels", case)).array > 0).sum()) for case in cases}
    known = np.array([volumes[case] for case in training])
    with (folder / "volumes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "volume [mm3]"])
        for case in cases:
            writer.writerow([case_file("images", case).name, volumes[case]])
    print(f"{len(training)} training cases; label volume {known.mean():.0f} +- {known.std():.0f} voxels; {folder}")


def print_evaluation(model: str, hyper: float | None) -> None:
    """Register all pairs by the network alone, with the middles of the images on each other, and by `register`."""
    network, entry = load_network(model, regularisation=hyper)
    network = FeatureRegistrar(network) if isinstance(network, FeatureDetector) else network
    space = TrainingSpace(entry.space, LABELS)
    options = RegistrationOptions(device="cpu", **({} if hyper is None else {"hyper": hyper}))
    cache = RegistrationCache()
    print(f"{model}, {torch.get_num_threads()} thread(s)")
    _print("network", _results(lambda fixed, moving: _by_network(network, space, fixed, moving)))
    _print("register", _results(lambda fixed, moving: _by_register(model, options, cache, fixed, moving)))


def print_sweep(model: str) -> None:
    """Dice, roughness and folds of a model of chosen regularity, by the network alone, for 11 values of it."""
    for step in range(11):
        network, entry = load_network(model, regularisation=step / 10)
        space, measured = TrainingSpace(entry.space, LABELS), []
        for fixed, moving in pairs():
            displacement, result = _moved(network, space, fixed, moving)
            rough, folded = float(gradient_penalty(displacement)), folding(result.determinant).percent
            measured.append((np.mean(result.dice), np.mean(result.back), rough, folded))
        dice, back, rough, folded = np.mean(measured, axis=0)
        print(
            f"lambda {step / 10:.1f}: mean Dice {dice:.4f}, fixed to moving {back:.4f}, mean squared gradient of the "
            f"displacement {rough:.5f}, folded {folded:.4f} %"
        )


def _moved(network: torch.nn.Module, space: TrainingSpace, fixed: str, moving: str) -> tuple[torch.Tensor, _Result]:
    """Displacement, and what it does."""
    still, mover = (
        space.prepare(Case(case, case_file("images", case), case_file("labels", case))) for case in (fixed, moving)
    )
    started = time.process_time()
    with torch.no_grad():
        fields = network.fields(mover.image[None], still.image[None])
        seconds = time.process_time() - started
        there, back = (
            _dice(target.labels[0].numpy(), warp(source.labels[None].float(), field, "nearest")[0, 0].numpy())
            for target, source, field in ((still, mover, fields.displacement), (mover, still, fields.inverse))
        )
        determinant = jacobian_determinant(fields.displacement)[0].numpy()
    return fields.displacement, _Result(there, back, determinant, seconds)


def _results(registered: Callable[[str, str], _Result]) -> Iterator[_Result]:
    registered(*pairs()[0])  # the first call loads what the others find in memory
    return (registered(fixed, moving) for fixed, moving in pairs())


def _by_network(network: torch.nn.Module, space: TrainingSpace, fixed: str, moving: str) -> _Result:
    return _moved(network, space, fixed, moving)[1]


def _by_register(
    model: str, options: RegistrationOptions, cache: RegistrationCache, fixed: str, moving: str
) -> _Result:
    images = [read_image(case_file("images", case)) for case in (fixed, moving)]
    labels = [read_label_map(case_file("labels", case)) for case in (fixed, moving)]
    started = time.process_time()
    result = register_pair(*images, model, options, cache=cache)
    seconds = time.process_time() - started
    moved = result.forward.resample(labels[1], labels[0].geometry)
    back = result.inverse.resample(labels[0], labels[1].geometry)
    grid = labels[0].geometry
    determinant = jacobian_determinant(_in_voxels(result.forward.to_displacement(grid).array, grid))[0].numpy()
    return _Result(_dice(labels[0].array, moved.array), _dice(labels[1].array, back.array), determinant, seconds)


def _in_voxels(displacement: np.ndarray, grid: Geometry) -> torch.Tensor:
    """(1, 3, I, J, K) voxels of a field (I, J, K, 3) in RAS mm."""
    voxels = displacement @ np.linalg.inv(grid.affine[:3, :3]).T.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(voxels, -1, 0)))[None]


def _dice(fixed: np.ndarray, moved: np.ndarray) -> list[float]:
    found = overlap(fixed, moved, LABELS).by_label
    return [found[label] for label in LABELS]


def _print(name: str, results: Iterator[_Result]) -> None:
    results = list(results)
    dice, back = (np.array(values) for values in zip(*((result.dice, result.back) for result in results)))
    determinants = [result.determinant for result in results]
    folded = np.mean([folding(determinant).percent for determinant in determinants])
    uneven = np.mean([np.log(np.maximum(determinant, 1e-9)).std() for determinant in determinants])
    apart = np.abs(dice.mean(axis=1) - back.mean(axis=1))
    print(
        f"{name:8} mean Dice {_text(dice)}; fixed to moving by the inverse {_text(back)}; "
        f"a pair's directions differ by {apart.mean():.3f}, at most {apart.max():.3f}; "
        f"determinant {min(map(np.min, determinants)):.3f} to {max(map(np.max, determinants)):.2f}, "
        f"std of its logarithm {uneven:.3f}, folded {folded:.4f} %, "
        f"{np.mean([result.seconds for result in results]):.3f} s of CPU a pair"
    )


def _text(dice: np.ndarray) -> str:
    """Of (pairs, labels)."""
    labels = ", ".join(f"label {label} {value:.4f}" for label, value in zip(LABELS, dice.mean(axis=0)))
    return f"{dice.mean():.4f} ({labels}; pairs {dice.mean(axis=1).min():.3f} to {dice.mean(axis=1).max():.3f})"


def case_file(kind: str, case: str) -> Path:
    """Of the "images" or the "labels"."""
    return DATA / kind / f"hippocampus_{case}.nii.gz"


if __name__ == "__main__":
    raise SystemExit(main())
