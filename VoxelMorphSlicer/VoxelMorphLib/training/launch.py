"""Where a training runs: a configuration to a started Lightning Fabric, on one process or on many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from ..core.devices import resolve_device
from ..core.errors import ConfigError, DependencyError
from .config import TrainingConfig
from .processes import parting

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


@contextmanager
def launched(config: TrainingConfig) -> Iterator[Fabric]:
    """A started Fabric, whose processes part in order at the end; see `start_fabric` and `parting`."""
    fabric = start_fabric(config)
    with parting(fabric) if fabric.world_size > 1 else nullcontext():
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
    devices, nodes = asked_processes(config)
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


def asked_processes(config: TrainingConfig) -> tuple[int, int]:
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
