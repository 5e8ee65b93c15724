"""Cluster: rows done by the workers of Dask, on this computer or on many; a lost worker's rows run again elsewhere."""

from __future__ import annotations

import logging
import queue
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, DependencyError, WorkerError
from ..core.python_process import LIBRARY_FOLDER
from .child import AT_ONCE
from .pool import LISTENING_S, thread_variables
from .processor import Settings, sentence_of
from .row import Outcome, Row

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds in which a scheduler has to answer.
ANSWER_S = 5.0
LOCAL, SLURM = "local:", "slurm"
#: Seconds between two looks at how many workers there are.
COUNTING_S = 2.0
REGISTERING = "VoxelMorphLib.batch.processor:process"


def check_cluster(where: str) -> None:
    """Refuse before the work what cannot be meant.

    Args:
        where: address of a scheduler, "local:" and a number of processes, or "slurm".

    Raises:
        ConfigError: no such place.
        DependencyError: a package is not installed.
    """
    _needs("distributed", "--dask")
    if where.startswith(LOCAL):
        _local_workers(where)
    elif where == SLURM:
        _needs("dask_jobqueue", "--dask slurm")
        if shutil.which("sbatch") is None:
            raise ConfigError("--dask slurm needs the program sbatch, which is not here. Start it where jobs are sent.")
    elif ":" not in where:
        raise ConfigError(
            f"--dask {where!r} is no address. Give one such as tcp://host:8786, local:4 for processes of this "
            "computer, or slurm."
        )


class Cluster:
    """Workers of Dask. Use as a context manager; what it started ends with it.

    Args:
        where: as of `check_cluster`.
        settings: of the batch; `settings.options.workers` is the number of jobs of SLURM.
        work: "module:function" that does a row.
    """

    def __init__(self, where: str, settings: Settings, work: str = REGISTERING):
        self._where, self._settings, self._work = where, settings, work
        self._stack = ExitStack()
        self._ended: queue.Queue[Future] = queue.Queue()
        self._counted, self._threads = -COUNTING_S, 1

    def __enter__(self) -> Cluster:
        check_cluster(self._where)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it means for a row is told with the row
        with self._stack:
            self._client = self._connect()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(Exception):  # a scheduler that is gone cannot be told
            self._stack.close()

    def outcomes(self, rows: Iterable[Row]) -> Iterator[Outcome | None]:
        """What became of the rows, in the order in which they end; None now and then while nothing ends.

        Raises:
            WorkerError: the scheduler is gone.
            DependencyError: the workers do not find the library.
        """
        waiting, running = iter(rows), {}
        settings, following = self._settings.to_dict(), next(waiting, None)
        while following is not None or running:
            while following is not None and len(running) < self._room():
                running[self._submit(following, settings)] = following
                following = next(waiting, None)
            try:
                future = self._ended.get(timeout=LISTENING_S)
            except queue.Empty:
                self._check_alive()
                yield None
                continue
            row = running.pop(future, None)
            if row is not None and future.status in ("cancelled", "lost"):
                self._check_alive()
                running[self._submit(row, settings)] = row
            elif row is not None:
                yield self._outcome(row, future)

    def _submit(self, row: Row, settings: dict[str, Any]) -> Future:
        work = (str(LIBRARY_FOLDER), self._work, row.to_dict(), settings)
        future = self._client.submit(_remotely, *work, pure=False)
        future.add_done_callback(self._ended.put)
        return future

    def _outcome(self, row: Row, future: Future) -> Outcome:
        if future.status == "finished":
            return Outcome.from_dict(future.result())
        error = future.exception()
        if isinstance(error, ImportError):
            raise DependencyError(
                f"The workers of Dask cannot load VoxelMorphLib ({error}). Install the extension there too, at "
                f"{LIBRARY_FOLDER}, and PyTorch."
            )
        if type(error).__name__ == "KilledWorker":
            sentence = (
                "The workers that registered it were lost several times, most often because the memory was full. Use "
                "fewer of them, or crop or downsample the volumes."
            )
        else:
            sentence = sentence_of(error)
        return Outcome(row.number, row.id, "failed", sentence)

    def _room(self) -> int:
        """How many rows may be under way: some for each thread, so that no worker waits for the next one."""
        now = time.monotonic()
        if now - self._counted > COUNTING_S:
            self._counted = now
            self._check_alive()
            with suppress(Exception):  # of a scheduler that is just going
                self._threads = sum(self._client.nthreads().values())
        return max(4, 2 * self._threads)

    def _check_alive(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise WorkerError(
                f"The Dask scheduler {self._where} is gone. What was done is kept; the same command goes on."
            )

    def _connect(self) -> Client:
        from distributed import Client

        if self._where.startswith(LOCAL):
            return self._stack.enter_context(Client(self._local_cluster()))
        if self._where == SLURM:
            return self._stack.enter_context(Client(self._slurm_cluster()))
        return self._stack.enter_context(_called(self._where))

    def _local_cluster(self) -> Any:
        from distributed import LocalCluster

        workers = _local_workers(self._where)
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=AT_ONCE,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            memory_limit=0,
            env=thread_variables(workers),
        )
        return self._stack.enter_context(cluster)

    def _slurm_cluster(self) -> Any:
        from dask_jobqueue import SLURMCluster

        path = f'export PYTHONPATH="{LIBRARY_FOLDER}:$PYTHONPATH"'
        try:
            cluster = self._stack.enter_context(SLURMCluster(job_script_prologue=[path]))
        except ValueError as cause:
            raise ConfigError(
                f"dask-jobqueue cannot send jobs to SLURM ({_short(cause)}). Write cores, memory and queue into "
                "~/.config/dask/jobqueue.yaml, as its manual says."
            ) from cause
        cluster.scale(jobs=self._settings.options.workers)
        return cluster


def _called(where: str) -> Client:
    """A client of the scheduler at an address; Dask itself waits for ever for one that takes the call and says nothing.

    Raises:
        ConfigError: nobody answers in time.
    """
    from distributed import Client

    answers: queue.Queue[Client | Exception] = queue.Queue()

    def call() -> None:
        try:
            answers.put(Client(where, timeout=ANSWER_S, set_as_default=False))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=call, daemon=True).start()
    try:
        answer = answers.get(timeout=2 * ANSWER_S)
    except queue.Empty:
        answer = TimeoutError(f"no answer for {2 * ANSWER_S:.0f} s")
    if isinstance(answer, Exception):
        raise ConfigError(
            f"No Dask scheduler answers at {where} ({_short(answer)}). Check the address, and that it runs."
        ) from answer
    return answer


def _remotely(folder: str, work: str, row: dict[str, Any], settings: dict[str, Any]) -> Any:
    """What a worker does; the whole of it travels, as neither scheduler nor worker need know the library yet."""
    import sys
    from importlib import import_module

    if folder not in sys.path:
        sys.path.insert(0, folder)
    module, _colon, function = work.partition(":")
    return getattr(import_module(module), function)(row, settings)


if find_spec("cloudpickle") is not None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def _local_workers(where: str) -> int:
    text = where[len(LOCAL) :]
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise ConfigError(f"--dask {where!r} names no number of processes. Give 1 to 1024, such as local:4.")
    return int(text)


def _needs(package: str, option: str) -> None:
    if find_spec(package) is None:
        name = package.replace("_", "-")
        raise DependencyError(
            f"{option} needs the package {name}, which is not installed. Install it (pip install {name}), or use "
            "--workers."
        )


def _short(cause: Exception) -> str:
    return (str(cause).strip() or type(cause).__name__).splitlines()[0][:200].rstrip(".")
