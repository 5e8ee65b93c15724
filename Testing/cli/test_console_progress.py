"""Progress on standard output; long work hears when nobody reads it any more."""

from __future__ import annotations

import pytest
from VoxelMorphLib.cli.common import ConsoleProgress
from VoxelMorphLib.core.errors import Cancelled


def test_work_is_cancelled_when_nobody_reads_its_progress(monkeypatch):
    def refuse(*_arguments, **_options):
        raise BrokenPipeError

    progress = ConsoleProgress("Command")
    progress(0.5, "Training, step 1")
    monkeypatch.setattr("builtins.print", refuse)
    progress(0.501, "Training, step 2")
    with pytest.raises(Cancelled, match="the program that started this command has ended"):
        progress(0.6, "Training, step 3")
