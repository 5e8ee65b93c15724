"""Where a training runs: start Lightning Fabric in one process or several, and shut the processes down in order."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

from ..core.devices import resolve_device
from ..core.errors import ConfigError, DependencyError, TrainingError, TrainingStopped
from .options import TrainingConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
#: By these a machine finds the first one where neither torchrun nor SLURM started the training.
_JOINING = ("MASTER_ADDR", "NODE_RANK")
#: Time in which the other machines must come, or answer later; then torch says which did not.
JOINING_MINUTES = 30
#: Seconds that the other processes get to end after the one that started them has failed.
GRACE_S = 10.0
_ELSEWHERE = "Another process of this training has failed, and this one cannot go on alone. Read the other message."


@contextmanager
def launched(config: TrainingConfig) -> Iterator[Fabric]:
    """A started Fabric, whose processes shut down in order at the end; see `start_fabric` and `orderly_shutdown`."""
    fabric = start_fabric(config)
    with orderly_shutdown(fabric) if fabric.world_size > 1 else nullcontext():
        yield fabric


def start_fabric(config: TrainingConfig) -> Fabric:
    """Join the other processes of this training, if there are any, and choose device and precision.

    Where `torchrun` or SLURM started this process, they also started the others; else Fabric starts them by running
    this command again. They average gradients with torch's DistributedDataParallel, over NCCL between GPUs and over
    gloo between CPUs.

    Raises:
        ConfigError: other processes exist than the configuration asks for.
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
            strategy=_averaging(kind, config) if several else "auto",
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
    """Processes per machine, and machines; those that were started count where the configuration names none.

    Raises:
        ConfigError: a different number was started than the configuration asks for.
    """
    launcher, started, nodes = _started()
    asked = config.devices * config.nodes
    if config.nodes > 1 and started == 1 and not all(name in os.environ for name in _JOINING):
        raise ConfigError(
            f"nodes is {config.nodes}, but nothing joins this machine with the others: the training would wait for "
            "ever. Start it on each machine with torchrun or srun, or set nodes to 1."
        )
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
    """Run an action in the first process alone; if it fails, all fail, since the others would wait for the first.

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
    """Shut down the processes that train together in order at the end of the block.

    The caller must not keep anything that trained with them. Gloo's threads release Python tensors, so a process group
    that is destroyed together with the interpreter sometimes aborts it, and one that is destroyed by the averaging
    network, which holds the interpreter lock, can deadlock.

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
        gc.collect()  # the averaging network, so that the group is destroyed last and without the interpreter lock
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
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its notes tell users nothing that they asked for
    return Fabric


def _averaging(kind: str, config: TrainingConfig) -> Any:
    from lightning_fabric.strategies import DDPStrategy

    return DDPStrategy(
        # Every step reaches all weights, except where a term of weight 0 is never computed. Looking for weights that
        # are left out costs time, and torch complains in each process where there are none.
        find_unused_parameters=not (config.image_weight and config.smoothness),
        process_group_backend="gloo" if kind == "cpu" else None,
        timeout=timedelta(minutes=JOINING_MINUTES),
    )


def _started() -> tuple[str, int, int]:
    """What launched this process and the others, how many there are, and on how many machines.

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
    """Refuse processes that Fabric takes for interactive ones: each would train on its own."""
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
    """The processes that Fabric started, no longer watched; its observer would kill this one when one of them fails."""
    watched = getattr(fabric.strategy.launcher, "procs", [])
    children = list(watched)
    watched.clear()
    return children


def _wait_for_others(fabric: Any) -> None:
    """All were stopped and the first is still writing; a process that ends sooner may take it down."""
    with suppress(RuntimeError):  # one has failed after all, so there is nothing to wait for
        fabric.barrier()


def _clear_frames(error: BaseException | None) -> None:
    """Release the local variables of the functions that an error has passed through."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _is_group_failure(error: BaseException) -> bool:
    """Whether other processes could not be reached; gloo raises RuntimeError, so only the text tells."""
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
