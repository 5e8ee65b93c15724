"""Where a training runs: a configuration to a started Lightning Fabric, and how its processes part in order."""

from __future__ import annotations

import gc
import os
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import torch

from ..core.devices import resolve_device
from ..core.errors import ConfigError, DependencyError, TrainingError, TrainingStopped
from .config import TrainingConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
#: Seconds that the others may take to end after the process that started them has failed.
GRACE_S = 10.0
_ELSEWHERE = "Another process of this training has failed, and this one cannot go on alone. Read the other message."


@contextmanager
def launched(config: TrainingConfig) -> Iterator[Fabric]:
    """A started Fabric, whose processes part in order at the end; see `start_fabric` and `orderly_shutdown`."""
    fabric = start_fabric(config)
    with orderly_shutdown(fabric) if fabric.world_size > 1 else nullcontext():
        yield fabric


def start_fabric(config: TrainingConfig) -> Fabric:
    """Join the other processes of this training, where it has any, and choose device and precision.

    Several processes are those of `torchrun` or SLURM where one of them started this one; else Fabric starts them by
    running this command again. They average gradients with torch's DistributedDataParallel, over NCCL between GPUs
    and over gloo between processors.

    Raises:
        ConfigError: the processes that exist are not those that the configuration asks for.
        DependencyError: lightning_fabric is not installed.
        DeviceError: this machine has no such device.
    """
    fabric_class = _fabric_class()
    kind, _, index = resolve_device(config.device).partition(":")
    devices, nodes = requested_processes(config)
    several = devices * nodes > 1
    torch.backends.cudnn.benchmark = True  # all batches have one shape; the processor's results do not depend on it
    try:
        fabric = fabric_class(
            accelerator=kind,
            devices=[int(index or 0)] if kind == "cuda" and not several else devices,
            num_nodes=nodes,
            strategy=_averaging(kind) if several else "auto",
            precision=_PRECISIONS[config.precision],
        )
        fabric.launch()
    except (ValueError, RuntimeError, TypeError) as error:
        raise ConfigError(
            f"A training on {devices} {kind} device(s) of {nodes} machine(s) could not start: {error}. "
            "Set devices and nodes to what this machine or the job scheduler gives."
        ) from error
    return fabric


def requested_processes(config: TrainingConfig) -> tuple[int, int]:
    """Processes per machine and machines; those that were started count when the configuration names none.

    Raises:
        ConfigError: others were started than the configuration names.
    """
    launcher, started, nodes = _started()
    asked = config.devices * config.nodes
    if started == asked or started == 1:
        return config.devices, config.nodes
    if asked > 1:
        raise ConfigError(
            f"{launcher} started {started} processes, but devices is {config.devices} and nodes is {config.nodes}. "
            "Make them agree, or leave devices and nodes at 1."
        )
    return started // nodes, nodes


def gather(fabric: Any, values: list) -> list:
    """The lists of all processes, one after the other, in every process."""
    if fabric.world_size == 1:
        return values
    parts: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(parts, values)
    return [value for part in parts for value in part]


def on_rank_zero(fabric: Any, action: Callable[[], None]) -> None:
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
def orderly_shutdown(fabric: Any) -> Iterator[None]:
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
        children = _take_over_children(fabric)
        if isinstance(error, TrainingStopped):
            _wait_for_others(fabric)
        _clear_frames(error)
        if _is_group_failure(error):
            raise TrainingError(_ELSEWHERE) from error
        raise
    finally:
        gc.collect()  # the averaging network, so that the group goes last and without Python's lock
        torch.distributed.destroy_process_group()
        _end(children)


def _fabric_class() -> type:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise DependencyError(
            "Training needs the package lightning_fabric, which is not installed. Install it "
            "(pip install lightning-fabric)."
        ) from error
    return Fabric


def _averaging(kind: str) -> Any:
    from lightning_fabric.strategies import DDPStrategy

    # Recipes may leave parameters out of a step, so they are looked for.
    return DDPStrategy(find_unused_parameters=True, process_group_backend="gloo" if kind == "cpu" else None)


def _started() -> tuple[str, int, int]:
    """What started this process and others like it, how many these are, and on how many machines.

    Raises:
        ConfigError: the processes of srun cannot be joined to one training.
    """
    known = os.environ.get
    if "TORCHELASTIC_RUN_ID" in os.environ:
        tasks, local = int(known("WORLD_SIZE", 1)), int(known("LOCAL_WORLD_SIZE", 1))
        return "torchrun", tasks, max(tasks // local, 1)
    # Only srun sets these two, for each of the processes that it starts.
    tasks, nodes = int(known("SLURM_STEP_NUM_TASKS", 1)), int(known("SLURM_STEP_NUM_NODES", 1))
    if tasks > 1:
        _check_joined(tasks, nodes)
    return "srun", tasks, nodes


def _check_joined(tasks: int, nodes: int) -> None:
    """Refuse processes that Fabric takes for those of a person at a terminal: each would train for itself."""
    from lightning_fabric.plugins.environments import SLURMEnvironment

    if tasks % nodes:
        raise ConfigError(
            f"srun started {tasks} processes on {nodes} machines. Start the same number on each (--ntasks-per-node)."
        )
    if not SLURMEnvironment.detect():
        raise ConfigError(
            f"srun started {tasks} processes in a job named {SLURMEnvironment.job_name()!r}, which are not joined to "
            "one training. Set the environment variable SLURM_JOB_NAME to another name, or start one process."
        )


def _take_over_children(fabric: Any) -> list[subprocess.Popen]:
    """The processes that Fabric started, no longer watched: its observer kills this one when one of them fails."""
    watched = getattr(fabric.strategy.launcher, "procs", [])
    children = list(watched)
    watched.clear()
    return children


def _wait_for_others(fabric: Any) -> None:
    """All have been cancelled, and the first one still writes; one that ends sooner may take it along."""
    with suppress(RuntimeError):  # one has failed after all, and nobody is left to wait for
        fabric.barrier()


def _clear_frames(error: BaseException | None) -> None:
    """Forget what the functions that an error has left were working with."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _is_group_failure(error: BaseException) -> bool:
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
