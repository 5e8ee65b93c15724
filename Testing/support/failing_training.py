"""Two processes that train together and do not finish: `python failing_training.py checkpoint '{"devices": 2}'`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.strategies.launchers import subprocess_script
from VoxelMorphLib.cli.common import run
from VoxelMorphLib.core.errors import Cancelled, ImageError, OutputError
from VoxelMorphLib.training import trainer as trainer_module
from VoxelMorphLib.training.launch import launched
from VoxelMorphLib.training.monitors.curves import Monitor
from VoxelMorphLib.training.trainer import Trainer

from support.tiny_training import TinyConfig, tiny_trainer

#: Seconds between two looks of Fabric at the other processes, instead of its 5.
LOOK_S = 0.5
#: Seconds that the last page of a stopped training takes: Fabric looks at the others meanwhile.
PAGE_S = 1.5
#: Written with the last page.
PAGE = "page.txt"


class SlowPage(Monitor):
    """Takes long to draw its last page."""

    def __init__(self, folder: str):
        self.folder = folder

    def end(self) -> None:
        time.sleep(PAGE_S)
        (Path(self.folder) / PAGE).touch()


def _full_disk(*_values: object) -> None:
    raise OutputError("No space left for last.pt. Free some space.")


def _unreadable(*_place: int) -> Iterator:
    raise ImageError("b.nii.gz cannot be read. Copy it again.")
    yield


def _stop(_fraction: float, _text: str) -> None:
    raise Cancelled("enough")


def command(argv: Sequence[str]) -> None:
    """Train until one process fails to load ("loading 1"), the first to save ("checkpoint"), or all are "stopped"."""
    torch.set_num_threads(1)
    subprocess_script._ChildProcessObserver = partial(subprocess_script._ChildProcessObserver, sleep_period=LOOK_S)
    config = TinyConfig.from_dict(json.loads(argv[1]))
    with launched(config) as fabric:
        _trainer(argv[0], config, fabric).run()


def _trainer(fault: str, config: TinyConfig, fabric: Any) -> Trainer:
    monitors = [SlowPage(config.output_dir)] if fault == "stopped" else []
    if fault == "checkpoint":
        trainer_module.save_checkpoint = _full_disk
    trainer = tiny_trainer(config, fabric=fabric, monitors=monitors, progress=_stop if fault == "stopped" else None)
    if fault == f"loading {fabric.global_rank}":
        trainer.data.batches = _unreadable
    return trainer


if __name__ == "__main__":
    sys.exit(run(command, None))
