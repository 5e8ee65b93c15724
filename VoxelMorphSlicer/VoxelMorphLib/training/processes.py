"""The processes of one training: what one tells the others, and how they part."""

from __future__ import annotations

import gc
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from ..core.errors import Cancelled, TrainingError

#: Seconds that the others may take to end after the process that started them has failed.
GRACE_S = 10.0
_ELSEWHERE = "Another process of this training has failed, and this one cannot go on alone. Read the other message."


def gather(fabric: Any, values: list) -> list:
    """The lists of all processes, one after the other, in every process."""
    if fabric.world_size == 1:
        return values
    parts: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(parts, values)
    return [value for part in parts for value in part]


def in_first(fabric: Any, action: Callable[[], None]) -> None:
    """Do something in the first process alone; where it fails, all fail, or else the others would wait for the first.

    Raises:
        Exception: in the first process, what the action raised.
        TrainingError: in the others.
    """
    failure = None
    if fabric.is_global_zero:
        try:
            action()
        except Exception as error:
            failure = error
    if any(gather(fabric, [failure is not None])):
        raise failure or TrainingError(_ELSEWHERE)


@contextmanager
def parting(fabric: Any) -> Iterator[None]:
    """At the end of the block the processes that train together part in order.

    The caller must not keep what trained with them: gloo's threads give back tensors of Python, so a process group that
    is taken down with the interpreter aborts it now and then, and one that is taken down by the averaging network,
    which holds Python's lock, can wait for itself for ever.

    Raises:
        TrainingError: the block failed because another process did.
    """
    children: list[subprocess.Popen] = []
    try:
        yield
    except BaseException as error:
        children = _taken_over(fabric)
        if isinstance(error, Cancelled):
            _wait_for_others(fabric)
        _let_go(error)
        if _is_of_the_group(error):
            raise TrainingError(_ELSEWHERE) from error
        raise
    finally:
        gc.collect()  # the averaging network, so that the group goes last and without Python's lock
        torch.distributed.destroy_process_group()
        _end(children)


def _taken_over(fabric: Any) -> list[subprocess.Popen]:
    """The processes that Fabric started, no longer watched: its observer kills this one when one of them fails."""
    watched = getattr(fabric.strategy.launcher, "procs", [])
    children = list(watched)
    watched.clear()
    return children


def _wait_for_others(fabric: Any) -> None:
    """All have been cancelled, and the first one still writes; one that ends sooner may take it along."""
    with suppress(RuntimeError):  # one has failed after all, and nobody is left to wait for
        fabric.barrier()


def _let_go(error: BaseException | None) -> None:
    """Forget what the functions that an error has left were working with."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _is_of_the_group(error: BaseException) -> bool:
    """Whether the others could not be reached; gloo raises the same class as everything else in torch."""
    return isinstance(error, torch.distributed.DistBackendError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _end(children: list[subprocess.Popen]) -> None:
    """Wait for processes that end by themselves, and kill those that wait for this one instead."""
    end = time.monotonic() + GRACE_S
    for child in children:
        try:
            child.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            child.kill()
