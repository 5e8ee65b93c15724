"""Rows of a batch without images: what a process does with each is said by the options' place, the row's model."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from VoxelMorphLib.batch.places import record_name
from VoxelMorphLib.batch.record import Record, fingerprint, read_record
from VoxelMorphLib.batch.row import Outcome, Row


def process(row: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Write a small file as the result, or do what the model says: "crash", "crash once", "crash after" or "slow"."""
    folder, row = Path(settings["folder"]), Row(**row)
    if row.problem:
        return Outcome(row.number, row.id, "failed", row.problem).to_dict()
    if row.model == "crash" or (row.model == "crash once" and not (folder / "crashed").exists()):
        (folder / "crashed").touch()
        os._exit(7)
    time.sleep(0.3 * (row.model == "slow"))
    state = fingerprint(row, {}, None, False)
    path = folder / record_name(row.place)
    earlier = read_record(path)
    if earlier is not None and earlier.holds(state, set(), folder):
        return Outcome(row.number, row.id, "unchanged", measures=earlier.measures).to_dict()
    path.parent.mkdir(exist_ok=True)
    record = Record(state, measures={"similarity_after": 1 / row.number})
    record.write(path)
    if row.model == "crash after":
        os._exit(7)
    return Outcome(row.number, row.id, "done", measures=record.measures, seconds=0.0).to_dict()
