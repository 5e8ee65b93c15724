"""Optimisation: steps along the gradient of batches, moving averages, and the learning rate of every step.

A gradient that is not finite never changes the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .data.case import Batch
from .launch import gather
from .muon import Muon
from .options import TrainingConfig
from .task import Task

#: Steps between two checks that all was finite, where a check makes the CPU wait for the device.
CHECK_EVERY = 20
_Losses = Callable[[nn.Module], "dict[str, Tensor]"]
#: Of "onecycle": share of the steps that warm up, and what `lr` is divided by at the first and the last step; the two
#: divisors are the defaults of torch's OneCycleLR.
WARM_UP, FIRST, LAST = 0.05, 25.0, 25.0e4


class Optimisation:
    """Adam or Muon with accumulation, clipping, schedule, moving average of the weights, and several processes.

    A loss or a gradient that is NaN or infinite must not reach the weights. On the CPU every step is checked. On a GPU
    that would wait for the device, so the fused Adam reads a flag there and leaves the weights alone from the first
    such step on; `check_finite` waits for the flag.

    Args:
        task: its network moves to the device.
        config: of the task.
        fabric: launched.
        deferred: check in `check_finite` only; None does so on a GPU. Muon is checked at every step.
    """

    def __init__(self, task: Task, config: TrainingConfig, fabric: Any, deferred: bool | None = None):
        self.task, self.config, self.fabric = task, config, fabric
        self.losses = LossMeans()
        self.deferred = fabric.device.type == "cuda" if deferred is None else deferred
        self.deferred &= config.optimiser == "adam"
        task.network.to(fabric.device)  # torch before 2.4 makes no fused Adam for weights on the processor
        adam = (
            Muon(task.network, config.lr)
            if config.optimiser == "muon"
            else Adam(task.network.parameters(), lr=config.lr, fused=self.deferred)
        )
        # One forward pass per batch for several processes, whatever the task calls and however often.
        self._module, self._optimiser = fabric.setup(_Forward(task.network), adam)
        self._adam = adam
        self.schedule = make_schedule(adam, config.schedule, config.steps)
        self.average = weight_average(task.network, config.ema)
        self._bad = torch.zeros((), device=fabric.device)
        self._recent: list[tuple[int, tuple[str, ...], Tensor]] = []

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

        All randomness follows from seed and step, so that a resumed training continues as if it had never stopped.

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
        self._recent.append((number, tuple(names), bad))

    def check_finite(self, stop: bool = False) -> tuple[bool, int | None, tuple[str, ...]]:
        """Check the steps since the last call, in all processes alike; waits for the device.

        Args:
            stop: this process has been asked to stop.

        Returns:
            Whether any process has been asked to stop; the first step whose loss or gradient was not finite, or None;
            and the files of that step.
        """
        recent, self._recent = self._recent, []
        flags = torch.stack([self._bad, torch.tensor(float(stop), device=self.fabric.device)])
        if self.fabric.world_size > 1:
            flags = self.fabric.all_reduce(flags, reduce_op="sum")
        bad, asked = (value > 0 for value in flags.tolist())
        if not bad:
            return asked, None, ()
        failed = [(number, names) for number, names, flag in recent if flag > 0]
        return (asked, *min(self._gathered(failed)))

    def _gathered(self, failed: list) -> list:
        first: dict[int, tuple[str, ...]] = {}
        for number, names in gather(self.fabric, failed):
            first[number] = first.get(number, ()) + names
        return list(first.items())

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores, by its keys."""
        return {
            "network": self.task.network.state_dict(),
            "optimiser": self._adam.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ema": None if self.average is None else self.average.module.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore `state`, whose tensors fit the network."""
        self.task.network.load_state_dict(state["network"])
        groups = [{**group, "fused": self.deferred} for group in state["optimiser"]["param_groups"]]
        self._adam.load_state_dict({**state["optimiser"], "param_groups": groups})
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None and state["ema"] is not None:
            self.average.module.load_state_dict(state["ema"])
            self.average.n_averaged.fill_(self.schedule.last_epoch)


def weight_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """The exponential moving average of a network's weights; its `module` is used like the network. None for decay 0.

    It begins with the weights after the first step; buffers are copied.

    Args:
        network: on its device.
        decay: share of the old average that each step keeps.
    """
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


class LossMeans:
    """Means of named losses; the sums stay on the device, so that adding does not wait for the device."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Add the losses of a batch.

        Args:
            terms: scalars.
            share: of the step's samples that are in this batch; a step counts when its shares come to 1.
        """
        for name, value in terms.items():
            value = value.detach().double() if value.device.type != "mps" else value.detach().float()
            self._sums[name] = self._sums.get(name, 0) + value * share

    def end_step(self) -> None:
        """Count one more step, all of whose losses have been added."""
        self.count += 1

    def means(self) -> dict[str, float]:
        """By name, in the order of the first step; waits for the device."""
        return {name: float(value) / self.count for name, value in self._sums.items()}

    def clear(self) -> None:
        """Begin a new epoch."""
        self.__init__()

    def reduce(self, fabric: Any) -> None:
        """Replace the sums by their means over all processes."""
        if fabric.world_size > 1 and self._sums:
            together = fabric.all_reduce(torch.stack(list(self._sums.values())), reduce_op="mean")
            self._sums = dict(zip(self._sums, together))

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"count": self.count, "sums": {name: float(value) for name, value in self._sums.items()}}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore `state`."""
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.count = state["count"]
        self._sums = {name: torch.tensor(value, dtype=dtype, device=device) for name, value in state["sums"].items()}


def rate_factor(schedule: str, step: int, steps: int) -> float:
    """The factor by which a step multiplies `lr`.

    Args:
        schedule: "constant"; "cosine", from 1 to 0; "onecycle", half a cosine up to 1 and half a cosine down.
        step: from 0.
        steps: of the whole training.

    Source: Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983; Smith and Topin, 2018, arXiv:1708.07120.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _half_cosine(1.0, 0.0, step / max(steps, 1))
    top = max(WARM_UP * steps - 1, 0)
    if step < top:
        return _half_cosine(1 / FIRST, 1.0, step / top)
    return _half_cosine(1.0, 1 / LAST, (step - top) / max(steps - 1 - top, 1))


def make_schedule(optimiser: Optimizer, schedule: str, steps: int) -> LambdaLR:
    """The torch scheduler of `rate_factor`; it depends on the step alone, so a resumed training may be longer."""
    return LambdaLR(optimiser, lambda step: rate_factor(schedule, step, steps))


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


def _half_cosine(start: float, stop: float, share: float) -> float:
    return stop + (start - stop) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
