"""Stands for the train command: prints what a real one prints, when the test says so.

Started as `python fake_trainer.py BEHAVIOUR ...`; the test's arguments of the command follow.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HEADER = "epoch,step,loss,loss_image,loss_smoothness,val_dice,val_back_dice,val_dice_3,val_dice_7"

#: What `--dryRun` printed for the hippocampus model of the README.
PLAN = """\
Recipe:      semisupervised (Pairs with label maps)
Images:      160, 25440 pairs; 20 validation pairs; labels: 1, 2
Space:       48 x 64 x 48 voxels, 1 channel(s)
Network:     VxmDense, 321715 parameters
Steps:       6000 (60 epochs of 100), 1 samples each
First loss:  loss -1.08, image -0.4034, penalty 3.613e-10, labels -0.6771
Memory:      about 56 MiB for a step on cpu, 21.9 GiB are free
Time:        0.215 s for a step, 0.038 s for its data; 0.4 h in all"""

#: Rows of that training's table, to a quarter of it.
QUARTER = """\
5,500,-1.0787,-0.4866,0.0263,0.7183,,0.7148,0.7218
10,1000,-1.2287,-0.5460,0.0334,0.7821,,0.8058,0.7584
15,1500,-1.2959,-0.5803,0.0361,0.7905,,0.8131,0.7678"""


def command(behaviour: str) -> list[str]:
    """What to start instead of the train command."""
    return [sys.executable, __file__, behaviour]


def write_curves(folder: Path, epochs: int) -> None:
    """A table of that many epochs, every second one validated."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [HEADER]
    for epoch in range(1, epochs + 1):
        values = (0.8, 0.75, 0.7, 0.9)
        dice = ",".join(f"{value - 0.3 / epoch}" for value in values) if epoch % 2 == 0 else ",,,"
        rows.append(f"{epoch},{10 * epoch},{1.1 / epoch},{1 / epoch},{0.1 / epoch},{dice}")
    (folder / "curves.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_checkpoints(folder: Path) -> None:
    """Files with the names of checkpoints."""
    for name in ("best.pt", "last.pt"):
        path = folder / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"made up")


def _progress(fraction: float, stage: str = "Training") -> None:
    print(f"VoxelMorphTrain: {stage}\n<filter-progress>{fraction:.3f}</filter-progress>", flush=True)


def _folder(arguments: Sequence[str]) -> Path:
    return Path(next(word for word in arguments if word.startswith("--outputDir=")).partition("=")[2])


def main(behaviour: str, arguments: Sequence[str]) -> int:
    """Do as the test says; returns the exit code."""
    if "--dryRun" in arguments:
        print(PLAN, flush=True)
    elif behaviour == "words":
        print(json.dumps(arguments), flush=True)
    elif behaviour == "refuse":
        print("Error: The list is empty. Give two images.", file=sys.stderr, flush=True)
        return 2
    elif behaviour == "crash":
        raise RuntimeError("something is broken")
    elif behaviour in ("run", "deaf", "quarter"):
        folder = _folder(arguments)
        write_curves(folder, 2)
        if behaviour == "quarter":
            (folder / "curves.csv").write_text(f"{HEADER}\n{QUARTER}\n", encoding="utf-8")
        _progress(0.25)
        while sys.stdin.read(1) or behaviour == "deaf":
            time.sleep(0.01)
        write_checkpoints(folder)
        print("Stopped after step 25 of 100. Resume the training to go on.", file=sys.stderr, flush=True)
        return 130
    elif behaviour == "finish":
        write_curves(_folder(arguments), 4)
        write_checkpoints(_folder(arguments))
        _progress(1.0)
        print("100 steps done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
