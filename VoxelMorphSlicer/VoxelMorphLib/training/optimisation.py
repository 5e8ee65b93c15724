"""Optimisation: batches to better weights, and never a step along a gradient that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from .averaging import LossMeans, weight_average
from .config import TrainingConfig
from .data.batch import Batch
from .processes import gather
from .schedule import make_schedule
from .task import Task

#: Steps between two looks at whether all was finite, where a look makes the processor wait for the device.
LOOK_EVERY = 20

_Losses = Callable[[nn.Module], "dict[str, Tensor]"]


class Optimisation:
    """Adam with everything around it: accumulation, clipping, schedule, running mean of the weights, several processes.

    A loss or a gradient that is NaN or infinite must not reach the weights. On the processor that is looked at in
    every step. A GPU would have to be waited for, so there the fused Adam reads a flag on the device and leaves the
    weights alone from the first such step on; `blamed` waits for the flag.

    Args:
        task: its network moves to the device.
        config: of the task.
        fabric: launched.
        deferred: leave looking to `blamed`; None does so on a GPU.
    """

    def __init__(self, task: Task, config: TrainingConfig, fabric: Any, deferred: bool | None = None):
        self.task, self.config, self.fabric = task, config, fabric
        self.losses = LossMeans()
        self.deferred = fabric.device.type == "cuda" if deferred is None else deferred
        task.network.to(fabric.device)  # torch before 2.4 makes no fused Adam for weights on the processor
        adam = Adam(task.network.parameters(), lr=config.lr, fused=self.deferred)
        # One forward pass for several processes, whatever the task calls and however often.
        self._module, self._optimiser = fabric.setup(_Forward(task.network), adam)
        self._adam = adam
        self.schedule = make_schedule(adam, config.schedule, config.steps)
        self.average = weight_average(task.network, config.ema)
        self._bad = torch.zeros((), device=fabric.device)
        self._suspects: list[tuple[int, tuple[str, ...], Tensor]] = []

    @property
    def network(self) -> nn.Module:
        """With the weights to validate and to export."""
        return self.task.network if self.average is None else self.average.module

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self._adam.param_groups[0]["lr"]

    def step(self, number: int, batches: Iterable[Batch]) -> None:
        """One step along the gradient of the mean loss of some batches.

        Everything random follows from seed and step, so that a resumed training goes on as if it had not stopped.

        Args:
            number: of the step, from 0.
            batches: `accumulate` of them, on the device.
        """
        batches = list(batches)
        self._optimiser.zero_grad()
        sums = [self._backward(number, part, batch, len(batches)) for part, batch in enumerate(batches)]
        self.losses.end_step()
        norm = clip_grad_norm_(self.task.network.parameters(), self.config.clip or math.inf)
        self._watch(number, [name for batch in batches for name in batch.names], torch.stack([norm, *sums]))
        if self.deferred:
            self._adam.found_inf = self._bad
        elif self._bad:
            return
        self._optimiser.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.task.network)

    def _backward(self, number: int, part: int, batch: Batch, parts: int) -> Tensor:
        seed = _seed(self.config.seed, number, part, self.fabric.global_rank)
        _seed_networks(seed, self.fabric.device)
        generator = torch.Generator().manual_seed(seed)
        with self.fabric.no_backward_sync(self._module, enabled=part < parts - 1):
            terms = self._module(lambda network: self.task.losses(network, batch, generator))
            total = torch.stack([term.float() for term in terms.values()]).sum() / parts
            self.fabric.backward(total)
        self.losses.add({"loss": total.detach() * parts, **terms}, 1 / parts)
        return total.detach()

    def _watch(self, number: int, names: Iterable[str], values: Tensor) -> None:
        bad = 1 - torch.isfinite(values).all().float()
        self._bad = torch.maximum(self._bad, bad)
        self._suspects.append((number, tuple(names), bad))

    def blamed(self, stop: bool = False) -> tuple[bool, int | None, tuple[str, ...]]:
        """Look at what happened since the last look, in all processes alike; waits for the device.

        Args:
            stop: this process has been asked to stop.

        Returns:
            Whether any process has been asked to stop; the step whose loss or gradient was not finite, or None; and
            the files of that step.
        """
        suspects, self._suspects = self._suspects, []
        flags = torch.stack([self._bad, torch.tensor(float(stop), device=self.fabric.device)])
        if self.fabric.world_size > 1:
            flags = self.fabric.all_reduce(flags, reduce_op="sum")
        bad, asked = (value > 0 for value in flags.tolist())
        if not bad:
            return asked, None, ()
        guilty = [(number, names) for number, names, flag in suspects if flag > 0]
        return (asked, *min(self._gathered(guilty)))

    def _gathered(self, guilty: list) -> list:
        first: dict[int, tuple[str, ...]] = {}
        for number, names in gather(self.fabric, guilty):
            first[number] = first.get(number, ()) + names
        return list(first.items())

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, by its keys."""
        return {
            "network": self.task.network.state_dict(),
            "optimiser": self._adam.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ema": None if self.average is None else self.average.module.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, whose tensors fit the network."""
        self.task.network.load_state_dict(state["network"])
        groups = [{**group, "fused": self.deferred} for group in state["optimiser"]["param_groups"]]
        self._adam.load_state_dict({**state["optimiser"], "param_groups": groups})
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None and state["ema"] is not None:
            self.average.module.load_state_dict(state["ema"])
            self.average.n_averaged.fill_(self.schedule.last_epoch)


class _Forward(nn.Module):
    """Calls a function with the network, so that a wrapper around this module sees one forward pass per batch."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, losses: _Losses) -> dict[str, Tensor]:
        return losses(self.network)


def _seed_networks(seed: int, device: torch.device) -> None:
    """Seed what networks draw from; torch.manual_seed would cost a millisecond on machines without a GPU."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def _seed(*numbers: int) -> int:
    """One seed of 32 bits; numbers that differ in anything give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
