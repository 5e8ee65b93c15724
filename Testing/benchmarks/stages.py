"""Time and memory of every stage of a registration, for children whose whole life is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from support.peak_memory import peak_bytes
from VoxelMorphLib.registration import pipeline


@contextmanager
def stages_of() -> Iterator[dict[str, tuple[float, int]]]:
    """CPU seconds and the peak in bytes of each stage of the registrations inside, by name.

    Only Linux can forget an earlier peak; elsewhere a stage has that of all before it too.
    """
    measured: dict[str, tuple[float, int]] = {}

    class Measured(pipeline._Stage):
        def __enter__(self) -> None:
            super().__enter__()
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            self.cpu_began = time.process_time()

        def __exit__(self, *error: object) -> None:
            measured[self.name] = time.process_time() - self.cpu_began, peak_bytes()
            super().__exit__(*error)

    with patch.object(pipeline, "_Stage", Measured):
        yield measured
