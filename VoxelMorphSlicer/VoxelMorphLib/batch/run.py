"""run_batch(): rows to their results, a table of all and a page of the worst; what was done before is skipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from .. import __version__
from ..core.errors import OutputError
from ..core.io.files import check_writable, make_folder, replacing
from ..core.io.locks import locked
from ..core.io.paths import exists
from ..core.progress import Progress, silent
from .pairs import Pairs
from .places import REPORT
from .results import RESULTS, Results
from .row import Outcome, Row
from .summary import Summary

LOCK = ".voxelmorph-batch.lock"


class Executor(Protocol):
    """What does the rows: processes of this computer, or a cluster."""

    def outcomes(self, rows: Iterable[Row]) -> Iterator[Outcome | None]:
        """What became of the rows, in any order; None now and then while nothing ends."""


def run_batch(
    pairs: Pairs,
    folder: Path,
    executor: Callable[[], AbstractContextManager[Executor]],
    progress: Progress = silent,
    tell: Callable[[Outcome], None] = lambda _outcome: None,
) -> Summary:
    """Do all rows. What ends it, a cancellation too, leaves a table of what is done, and whole files.

    Args:
        pairs: the rows.
        folder: for the results; made where it is missing.
        executor: begins what does them.
        progress: called when a row ends and now and then; may raise to stop.
        tell: called with every outcome.

    Raises:
        OutputError: the folder cannot be written to, or another batch is writing into it.
    """
    prepare_folder(folder, pairs)
    with locked(folder / LOCK, 0) as is_free:
        if not is_free:
            raise OutputError(
                f"Another batch is writing into {folder}. Wait until it has ended, or choose another folder."
            )
        if pairs.is_bids:
            _describe_derivatives(folder)
        summary = Summary()
        try:
            with Results(folder) as results, executor() as pool:
                progress(0.0, "Registering")
                for outcome in pool.outcomes(pairs.rows()):
                    if outcome is not None:
                        results.add(outcome)
                        summary.add(outcome)
                        tell(outcome)
                    count = f"{summary.finished} of {pairs.count} pairs"
                    progress(summary.finished / pairs.count, f"Registering, {count}")
        finally:
            if summary.finished:
                summary.write_page(folder, pairs.count)
    return summary


def prepare_folder(folder: Path, pairs: Pairs) -> None:
    """Make the output folder, and refuse before the work what would fail after it.

    Raises:
        OutputError: it cannot be made or written to, or a result would replace a file that is read.
    """
    make_folder(folder, "Choose another one.", "The folder")
    for name in (RESULTS, REPORT):
        check_writable(folder / name)
        for source in pairs.sources:
            if exists(source) and exists(folder / name) and source.samefile(folder / name):
                raise OutputError(f"The results would be written to {source}, which is read. Give it another name.")


def _describe_derivatives(folder: Path) -> None:
    """The file that makes a folder a data set of BIDS, unless there is one."""
    path = folder / "dataset_description.json"
    if exists(path):
        return
    content = {
        "Name": "Registered images",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "VoxelMorph for 3D Slicer", "Version": __version__}],
    }
    with replacing(path) as scratch:
        scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
