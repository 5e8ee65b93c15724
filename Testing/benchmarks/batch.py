"""What a batch costs beside its registrations: thousands of rows that do next to nothing, in two processes."""

from __future__ import annotations

from .child import run_child
from .row import Row
from .settings import Settings

WORKERS = 2
_BATCH = """
import sys, tempfile, time
from functools import partial
from pathlib import Path
from VoxelMorphLib.batch.options import BatchOptions
from VoxelMorphLib.batch.pairs import Common
from VoxelMorphLib.batch.pool import Pool
from VoxelMorphLib.batch.processor import Settings
from VoxelMorphLib.batch.run import run_batch
from VoxelMorphLib.batch.table_pairs import TablePairs
from support.peak_memory import peak_bytes

count, workers = map(int, sys.argv[1:])
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "a.nii").write_bytes(b"x")
    with (folder / "pairs.csv").open("w") as table:
        table.write("fixed,moving,id\\n")
        table.writelines(f"a.nii,a.nii,row{number}\\n" for number in range(count))
    began = time.perf_counter()
    out, peaks = folder / "out", []  # memory after each row
    executor = partial(Pool, workers, Settings(out, BatchOptions(workers=workers)), "support.batch_work:process")
    pairs = TablePairs(folder / "pairs.csv", Common())
    summary = run_batch(pairs, out, executor, tell=lambda _outcome: peaks.append(peak_bytes()))
    seconds = time.perf_counter() - began
    more = {"tenth_bytes": peaks[count // 10 - 1], "peak_bytes": peak_bytes()}  # before the folder is emptied
    assert dict(summary.counts) == {"done": count}, summary.counts
"""


def measure_batch(settings: Settings) -> list[Row]:
    """Time of a row, start and end of the processes included, and how the memory grows with the number of rows."""
    run = run_child(_BATCH, [str(settings.rows), str(WORKERS)])
    note = f"{settings.rows} rows that write one small file each, {WORKERS} processes"
    grown = (run["peak_bytes"] - run["tenth_bytes"]) / 1e6
    return [
        Row("batch", "a row beside its registration", 1000 * run["seconds"] / settings.rows, "ms", note=note),
        Row("batch", "memory of the command", run["peak_bytes"] / 1e6, "MB peak", note=note),
        Row("batch", "of that, after a tenth of the rows", grown, "MB", note=note),
    ]
