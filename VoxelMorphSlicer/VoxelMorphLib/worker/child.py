"""The warm worker: a child process that registers pair after pair and keeps torch and the models loaded between them.

It makes the templates of models too.

It reads one request per line on its standard input and answers by lines on its standard output; see `protocol`
for their form and `files` for the folders in which requests and results lie. It ends when its input closes.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from .. import __version__
from ..core.errors import DependencyError, DeviceError, OutputError, TorchLoadError, VoxelMorphError, WorkerError
from ..core.io.scratch import remove_folder
from ..core.process_limits import check_process_limits
from .protocol import PROTOCOL, Message, decode, encode, error_message

#: Seconds between two reports of progress within one stage.
PROGRESS_S = 0.05


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Serve until the input closes or nothing was asked for a while."""
    parser = argparse.ArgumentParser(prog="python -m VoxelMorphLib.worker.child", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="private folder of the jobs, removed at the end")
    parser.add_argument("--idle", type=float, default=600.0, help="seconds without a request after which it ends")
    parser.add_argument("--heartbeat", type=float, default=1.0, help="seconds between two signs of life")
    arguments = parser.parse_args(argv)
    requests, answers = private_streams()
    Worker(requests, answers, arguments.folder, arguments.idle, arguments.heartbeat).serve()


def private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for the protocol alone.

    From here on whatever else prints, C libraries included, writes to the standard error, and reads nothing.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, answers


class Worker:
    """Answers requests one after the other.

    Args:
        requests: lines of the client.
        answers: lines to the client.
        folder: private to this process and its client; removed at the end.
        idle_s: seconds without a request after which it ends.
        heartbeat_s: seconds between two signs of life.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO, folder: Path, idle_s: float, heartbeat_s: float = 1.0):
        self.requests, self.answers, self.folder, self.idle_s = requests, answers, folder, idle_s
        self.heartbeat_s = heartbeat_s
        self._inbox: queue.Queue[Message] = queue.Queue()
        self._writing = threading.Lock()
        self._cache: Any = None

    def serve(self) -> NoReturn:
        """Say hello, then work until there is nothing more to do."""
        self.send({"type": "hello", "protocol": PROTOCOL, "version": __version__, "pid": os.getpid()})
        try:
            check_process_limits()
        except DeviceError as error:
            self._decline(error)
        for work in (self._listen, self._beat):
            threading.Thread(target=work, daemon=True).start()
        fit = True
        while fit:
            try:
                request = self._inbox.get(timeout=self.idle_s)
            except queue.Empty:
                break
            fit = self._answer(request["job"], Path(request["folder"]))
            self._release_memory()
        self._leave()

    def send(self, message: Message) -> None:
        """Write one line; without a reader there is nobody left to work for."""
        try:
            with self._writing:
                self.answers.write(encode(message))
                self.answers.flush()
        except OSError:
            self._leave()

    def _decline(self, error: DeviceError) -> NoReturn:
        """Answer the first request, without any thread or library, that nothing can be done here."""
        line = self.requests.readline()
        if line:
            self.send(error_message(decode(line)["job"], error))
        self._leave()

    def _listen(self) -> None:
        try:
            for line in self.requests:
                self._inbox.put(decode(line))
        finally:
            self._leave()

    def _beat(self) -> None:
        while True:
            time.sleep(self.heartbeat_s)
            self.send({"type": "alive"})

    def _answer(self, job: int, folder: Path) -> bool:
        """Do one job; False when this process should not do another one."""
        try:
            self.send({"type": "result", "job": job, "seconds": self._compute(folder, _Reporter(self, job))})
        except VoxelMorphError as error:
            self.send(error_message(job, error))
            return not isinstance(error, DependencyError)  # half-loaded packages stay broken
        except Exception as error:
            traceback.print_exc()
            self.send(error_message(job, _fault(error)))
            return False
        return True

    def _compute(self, folder: Path, progress: _Reporter) -> dict[str, float]:
        """Do the job of a folder; the seconds of what `register` does not time itself."""
        clock = _Clock()
        progress(0.0, "Loading PyTorch")
        compute = self._library()
        from . import files

        clock.lap("import")
        request = _on_disk(folder, files.read_request, folder)
        clock.lap("read")
        result = compute(request, progress, self._cache)
        clock.lap("register")
        _on_disk(folder, files.write_result, result, folder)
        clock.lap("write")
        del clock.seconds["register"]
        return clock.seconds

    def _library(self) -> Callable[..., Any]:
        """What computes; loading it takes seconds the first time."""
        try:
            from ..registration.cache import RegistrationCache
            from ..registration.compute import compute
        except (ImportError, OSError) as error:
            raise TorchLoadError(
                f"PyTorch or a library that it needs cannot be loaded ({error}). Install PyTorch in the module PyTorch "
                "Utils, then try again."
            ) from error
        if self._cache is None:
            self._cache = RegistrationCache()
        return compute

    def _release_memory(self) -> None:
        """While nobody asks for anything, the device's memory belongs to other programs."""
        if self._cache is not None:
            from ..registration.register import release_memory

            release_memory()

    def _leave(self) -> NoReturn:
        """End at once, from any thread, and leave no file and no process of our own behind."""
        remove_folder(self.folder)
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


class _Reporter:
    """Progress as lines, at most some per second."""

    def __init__(self, worker: Worker, job: int):
        self.worker, self.job = worker, job
        self._last = ("", 0.0)

    def __call__(self, fraction: float, text: str) -> None:
        stage, now = text.split(",")[0], time.monotonic()
        last_stage, last_time = self._last
        if stage != last_stage or now - last_time >= PROGRESS_S:
            self._last = (stage, now)
            self.worker.send({"type": "progress", "job": self.job, "fraction": float(fraction), "text": text})


class _Clock:
    """Seconds of named stages that follow each other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._began = round(now - self._began, 3), now


def _on_disk(folder: Path, work: Any, *arguments: Any) -> Any:
    try:
        return work(*arguments)
    except OSError as error:
        if isinstance(error, VoxelMorphError):
            raise
        raise OutputError(
            f"The temporary folder {folder} cannot be used ({error.strerror or error}). Free some space on its disk."
        ) from error


def _fault(error: Exception) -> WorkerError:
    return WorkerError(
        f"The registration failed by a fault of VoxelMorph ({type(error).__name__}: {error}). Please report it.",
        traceback.format_exc(),
    )


if __name__ == "__main__":
    main()
