"""A process that registers rows for another one: lines of JSON in, lines of JSON out; it ends when its input closes."""

from __future__ import annotations

import argparse
import json
import os
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, BinaryIO, NoReturn

from ..worker.child import private_streams

#: Rows at a time: one is computed while the next is read, or the last one written.
AT_ONCE = 2
#: First line of the answers: everything is loaded, and rows may come.
READY = b"ready\n"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Serve until the input closes."""
    parser = argparse.ArgumentParser(prog="python -m VoxelMorphLib.batch.child", description=__doc__)
    parser.add_argument("--work", default="VoxelMorphLib.batch.processor:process", help="module:function of a row")
    arguments = parser.parse_args(argv)
    requests, answers = private_streams()
    module, _colon, function = arguments.work.partition(":")
    Child(requests, answers, getattr(import_module(module), function)).serve()


class Child:
    """Answers rows in any order.

    Args:
        requests: lines of the parent: the settings, then rows.
        answers: lines to the parent.
        work: (row, settings) -> outcome, plain values.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO, work: Any):
        self.requests, self.answers, self.work = requests, answers, work
        self._writing = threading.Lock()

    def serve(self) -> NoReturn:
        """Work until the parent has nothing more, or is gone."""
        self.answers.write(READY)
        self.answers.flush()
        settings = json.loads(self.requests.readline() or b"{}")
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for line in self.requests:
                threads.submit(self._answer, json.loads(line), settings)
            os._exit(0)  # the parent has all answers that it waits for, or has ended in whatever way

    def _answer(self, row: dict[str, Any], settings: dict[str, Any]) -> None:
        try:
            outcome = self.work(row, settings)
            with self._writing:
                self.answers.write(json.dumps(outcome).encode("ascii") + b"\n")
                self.answers.flush()
        except BaseException:  # nobody else would hear of it, and the parent would wait for ever
            traceback.print_exc()
            os._exit(1)


if __name__ == "__main__":
    main()
