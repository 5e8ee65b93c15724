"""Steps, schedules, running means, and the guard against numbers that are not finite."""

from __future__ import annotations

import copy

import pytest
import torch
from support.tiny_training import TinyData, TinyTask, assert_same_weights
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from VoxelMorphLib.training.launch import start_fabric
from VoxelMorphLib.training.optimisation import LossMeans, Optimisation, make_schedule, rate_factor, weight_average


def an_optimiser(lr: float = 0.1) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(optimiser, schedule, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize("steps", [40, 100, 1000])
def test_schedules_are_those_of_torch(steps):
    for name, torch_schedule in {
        "cosine": lambda optimiser: CosineAnnealingLR(optimiser, steps),
        "onecycle": lambda optimiser: OneCycleLR(optimiser, 0.1, steps, pct_start=0.05, cycle_momentum=False),
        "constant": lambda optimiser: make_schedule(optimiser, "constant", 1),
    }.items():
        ours, theirs = an_optimiser(), an_optimiser()
        found = rates(ours, make_schedule(ours, name, steps), steps)
        assert found == pytest.approx(rates(theirs, torch_schedule(theirs), steps), rel=1e-6, abs=1e-12), name


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
@pytest.mark.parametrize("steps", [1, 2, 20, 21])
def test_short_trainings_have_a_rate_too(schedule, steps):
    assert all(0 <= rate_factor(schedule, step, steps) <= 1 for step in range(steps + 1))


def test_the_running_mean_follows_the_weights():
    network = torch.nn.Linear(1, 1)
    average = weight_average(network, 0.75)
    for value in (1.0, 2.0, 3.0):
        network.weight.data.fill_(value)
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 3)
    assert weight_average(network, 0) is None


def test_losses_are_averaged_over_the_steps():
    means = LossMeans()
    for first, second in ((1.0, 3.0), (5.0, 7.0)):
        means.add({"loss": torch.tensor(first, requires_grad=True)}, 0.5)
        means.add({"loss": torch.tensor(second)}, 0.5)
        means.end_step()
    assert means.means() == {"loss": 4.0}
    other = LossMeans()
    other.load(means.state(), torch.device("cpu"))
    assert other.means() == means.means()
    means.clear()
    assert means.count == 0
    assert means.means() == {}


def an_optimisation(config, deferred: bool) -> Optimisation:
    torch.manual_seed(0)
    source = TinyData(config, broken=(2,))
    return Optimisation(TinyTask(config, source.info), config, start_fabric(config), deferred)


def run(optimisation, steps: int) -> dict[str, torch.Tensor]:
    """The weights after so many steps."""
    source = TinyData(optimisation.config, broken=(2,))
    for step in range(steps):
        optimisation.step(step, source.batches(step, 1))
    return {name: tensor.clone() for name, tensor in optimisation.task.network.state_dict().items()}


@pytest.mark.parametrize("deferred", [False, True])
def test_nothing_moves_from_the_first_number_that_is_not_finite(a_config, deferred):
    before = run(an_optimisation(a_config(ema=0.9), deferred), 2)
    optimisation = an_optimisation(a_config(ema=0.9), deferred)
    assert_same_weights(run(optimisation, 5), before)
    assert optimisation.check_finite() == (False, 2, ("m2.nii f2.nii",))


@pytest.mark.parametrize("deferred", [False, True])
def test_a_gradient_that_is_not_finite_counts_though_the_loss_is(a_config, deferred):
    optimisation = an_optimisation(a_config(), deferred)
    before = {name: tensor.clone() for name, tensor in optimisation.task.network.state_dict().items()}

    def losses(network, batch, _generator):
        flow = network(batch.moving, batch.fixed).regularised
        return {"root": (flow * 0).abs().sum().sqrt()}

    optimisation.task.losses = losses
    assert_same_weights(run(optimisation, 1), before)
    assert optimisation.check_finite(stop=True) == (True, 0, ("m0.nii f0.nii",))


def test_deferred_steps_are_the_same_steps(a_config):
    at_once, later = (run(an_optimisation(a_config(), deferred), 2) for deferred in (False, True))
    for name, tensor in at_once.items():
        assert torch.allclose(tensor, later[name], atol=1e-6), name


def test_a_state_moves_between_devices(a_config):
    first = an_optimisation(a_config(), deferred=True)
    run(first, 1)
    second = an_optimisation(a_config(), deferred=False)
    second.load(copy.deepcopy(first.state()))
    source = TinyData(second.config)
    for optimisation in (first, second):
        optimisation.step(1, source.batches(1, 1))
    for name, tensor in first.task.network.state_dict().items():
        assert torch.allclose(tensor, second.task.network.state_dict()[name], atol=1e-6), name
