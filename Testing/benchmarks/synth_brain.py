"""A network for brains of any contrast, trained on label maps alone: what it is trained on, and how well it registers.

python -m benchmarks.synth_brain maps FOLDER
python -m benchmarks.synth_brain evaluate MODEL [--refine balanced] [--pairs PATTERN ...]

The pairs are those of `benchmarks.peers`; each is also registered with either image inverted, or as T2 shows it, which
a network for any contrast should not mind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from VoxelMorphLib.core.arrays import bounding_box
from VoxelMorphLib.core.image import LabelMap
from VoxelMorphLib.core.io.images import read_image, read_label_map, write_image
from VoxelMorphLib.registration.intensity_scale import percentiles
from VoxelMorphLib.synth.label_tables import ASEG_STRUCTURES

from .peers.execute import Result, Runner, measure_method
from .peers.methods import METHODS, Method
from .peers.pairs import Pair, find_pairs
from .settings import Settings

#: mm around the structures that a map keeps, so that the skull is in it.
AROUND_MM = 20.0
#: Groups of pairs that decide.
GROUPS = ("oasis", "oasis30", "multicontrast", "multimodal")
#: Intensities of a T1-weighted image, of 0 to its 99.5th percentile, and those of T2 there.
T2_OF_T1 = (
    (0.0, 0.05, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    (0.0, 1.0, 0.95, 0.79, 0.66, 0.57, 0.5, 0.41, 0.36, 0.31, 0.28, 0.27, 0.25),
)
#: Groups that are also registered with one image in another contrast.
CHANGED = ("oasis", "oasis30")


def main(argv: Sequence[str] | None = None) -> int:
    """Write label maps or evaluate a model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synth_brain", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("maps", help="write the label maps to train on").add_argument("folder", type=Path)
    evaluate = commands.add_parser("evaluate", help="register the pairs")
    evaluate.add_argument("model", help="id of the model list, a weights file, or linear for the affine start alone")
    evaluate.add_argument("--refine", default="none", help="none shows the network alone")
    evaluate.add_argument("--pairs", nargs="+", default=list(GROUPS), help="groups, or group/name, with * and ?")
    evaluate.add_argument("--upright", action="store_true", help="leave out the other contrasts")
    arguments = parser.parse_args(argv)
    settings = Settings()
    if arguments.command == "maps":
        return _write_maps(settings.data / "label_maps_head", arguments.folder)
    with tempfile.TemporaryDirectory(prefix="synth-brain-") as scratch:
        pairs = find_pairs(settings.data, Path(scratch), arguments.pairs)
        if not arguments.upright:
            changed = [pair for pair in pairs if pair.group in CHANGED]
            pairs += [made for pair in changed for made in in_other_contrasts(pair, Path(scratch))]
        if not pairs:
            return _absent(settings.data)
        method = Method(arguments.model, "run_voxelmorph.py", _options(arguments.model, arguments.refine))
        for pair in pairs:
            print(line(measure_method("", method, pair, Runner(sys.executable))), flush=True)
    return 0


def _options(model: str, refine: str) -> dict[str, str]:
    path = Path(model)
    if path.is_file():
        return {"model": str(path.absolute()), "refine": refine}
    return dict(METHODS["ours-affine"].options) if model == "linear" else {"model": model, "refine": refine}


def _write_maps(source: Path, folder: Path) -> int:
    files = sorted(source.glob("*.nii.gz"))
    if not files:
        return _absent(source)
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        write_image(around_the_brain(read_label_map(file)), folder / file.name)
    print(f"{len(files)} label maps of {source}; {folder}")
    return 0


def _absent(folder: Path) -> int:
    print(f"{folder} holds none of the data; set VXM_DATA to the folder of all data.", file=sys.stderr)
    return 1


def around_the_brain(labels: LabelMap) -> LabelMap:
    """The part of a map of a head that its brain takes, with `AROUND_MM` on every side as far as the map goes."""
    box = bounding_box(np.isin(labels.array, ASEG_STRUCTURES))
    margin = np.ceil(AROUND_MM / labels.geometry.spacing).astype(int)
    start = np.maximum([side.start for side in box] - margin, 0)
    stop = np.minimum([side.stop for side in box] + margin, labels.array.shape)
    part = labels.array[tuple(map(slice, start, stop))]
    return LabelMap(part, labels.geometry.shifted(start, stop - start), labels.name)


def inverted(values: np.ndarray) -> np.ndarray:
    """Intensities of 0 to 1 the other way round, nothing inside as dark as what is around it."""
    return 1.05 - values


def t2_like(values: np.ndarray) -> np.ndarray:
    """Intensities of 0 to 1 of a T1-weighted brain as T2 shows them: fluid brightest, white matter darkest.

    The curve is the median of the T2 of `multicontrast` at every intensity of its T1, in the middle of the head.
    """
    return np.interp(values, *T2_OF_T1)


#: Other contrasts of a T1-weighted image, made of its intensities alone.
LOOKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"inverted": inverted, "T2-like": t2_like}


def in_other_contrasts(pair: Pair, scratch: Path) -> Iterator[Pair]:
    """The pair with the contents of the fixed, then of the moving image as of `LOOKS`; made when needed."""
    for look, change in LOOKS.items():
        for side in ("fixed", "moving"):
            source = getattr(pair, side)
            target = scratch / look / pair.name / source.name
            made = replace(pair, name=f"{pair.name}, {side} {look}", **{side: target})
            yield replace(made, multimodal=True, prepare=partial(_write_changed, change, source, target))


def _write_changed(change: Callable[[np.ndarray], np.ndarray], source: Path, target: Path) -> None:
    """What lies above the lowest value, up to the 99.5th percentile, is changed; outside, the lowest value stays."""
    image = read_image(source)
    low, high = float(image.array.min()), float(percentiles(image.array, [99.5])[0])
    values = (image.array - low) / (high - low)
    array = low + (high - low) * np.where(values > 0, change(values.clip(0, 1)), 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(image.with_array(array.astype(np.float32)), target)


def line(result: Result) -> str:
    """What was measured of one pair."""
    if result.failure:
        return f"{result.group}/{result.pair}: {result.failure}"
    named = {"Dice": result.dice, "back": result.back_dice, "error mm": result.error_mm}
    found = ", ".join(f"{name} {value:.3f}" for name, value in named.items() if value is not None)
    return (
        f"{result.group}/{result.pair}: {found}; folded {result.folded_percent:.4f} %, "
        f"std log J {result.log_jacobian_std:.3f}, {result.cpu_s:.1f} s of CPU"
    )


if __name__ == "__main__":
    raise SystemExit(main())
