"""Stands for the train command: prints what a real one prints, when the test says so.

Started as `python fake_trainer.py BEHAVIOUR ...`; the test's arguments of the command follow.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HEADER = "epoch,step,loss,loss_image,loss_smoothness,val_dice,val_dice_3,val_dice_7"

#: In the form of a real check; the figures are made up.
PLAN = """\
Recipe:      semisupervised (Pairs with label maps)
Images:      240, 57360 pairs; 10 validation pairs; labels: 1, 2
Space:       48 x 64 x 48 voxels, 1 channel(s)
Network:     VxmDenseSemiSupervisedSeg, 320723 parameters
Steps:       150000 (1500 epochs of 100), 1 samples each
First loss:  image 0.9131, smoothness 0.0002, dice 0.0042
Memory:      about 1.2 GB for a step on cuda:0, 138.2 GB are free
Time:        0.021 s for a step, 0.002 s for its data; 1.0 h in all"""


def command(behaviour: str) -> list[str]:
    """What to start instead of the train command."""
    return [sys.executable, __file__, behaviour]


def write_curves(folder: Path, epochs: int) -> None:
    """A table of that many epochs, every second one validated."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [HEADER]
    for epoch in range(1, epochs + 1):
        dice = f"{0.8 - 0.3 / epoch},{0.7 - 0.3 / epoch},{0.9 - 0.3 / epoch}" if epoch % 2 == 0 else ",,"
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
    elif behaviour in ("run", "deaf"):
        folder = _folder(arguments)
        write_curves(folder, 2)
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
