"""What stands in a drop-in's `param_groups`: schedulers, groups that come and differ, and settings that are written into."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.optim import lr_scheduler

import fastopt.interop.torch as dropins
from tests.interop.torch.beside import close, fresh, in_float64, stepped

__all__ = ["in_float64"]  # a fixture


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda opt: lr_scheduler.StepLR(opt, 2, 0.5),
    "CosineAnnealingLR": lambda opt: lr_scheduler.CosineAnnealingLR(opt, 4),
    "OneCycleLR": lambda opt: lr_scheduler.OneCycleLR(opt, 0.1, total_steps=20),  # of the betas too
    "LambdaLR": lambda opt: lr_scheduler.LambdaLR(opt, lambda step: 1 / (1 + step)),
    "CyclicLR": lambda opt: lr_scheduler.CyclicLR(opt, 0.01, 0.1, 3, cycle_momentum=True),
    "SequentialLR": lambda opt: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.ConstantLR(opt, 0.1, 2), lr_scheduler.ExponentialLR(opt, 0.5)], [2]
    ),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("tensor", [False, True], ids=["number", "tensor"])
def test_schedulers(scheduler: str, tensor: bool) -> None:
    ends = []
    for module in (dropins, torch.optim):
        optimizer = module.AdamW(fresh(), lr=torch.tensor(0.01) if tensor else 0.01)
        schedule = SCHEDULERS[scheduler](optimizer)
        for k in range(8):
            stepped(optimizer, 1, seed=k)
            schedule.step()
        ends.append(optimizer.param_groups[0]["params"])
    close(*ends)


def test_a_plateau() -> None:
    ends = []
    for module in (dropins, torch.optim):
        optimizer = module.SGD(fresh(), lr=0.1, momentum=0.9)
        schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        for k in range(6):
            stepped(optimizer, 1, seed=k)
            schedule.step(1.0)
        assert optimizer.param_groups[0]["lr"] < 0.1
        ends.append(optimizer.param_groups[0]["params"])
    close(*ends)


def test_groups_come_and_differ() -> None:
    ends = []
    for module in (dropins, torch.optim):
        a, b, c, d = fresh((3,), (4, 2), (5,), (2,))
        optimizer = module.Adam([{"params": [a], "lr": 0.1}, {"params": [b], "betas": (0.5, 0.6), "weight_decay": 0.1}], lr=0.01)
        stepped(optimizer, 2)
        optimizer.add_param_group({"params": [("name", c)][0][1], "amsgrad": True, "maximize": True})
        stepped(optimizer, 2, seed=3)
        optimizer.param_groups[1]["betas"] = (0.7, 0.8)
        optimizer.param_groups[0]["weight_decay"] = 0.2  # the decay goes into the gradient: another kernel
        stepped(optimizer, 2, seed=4)
        optimizer.param_groups[0]["params"].append(d)
        stepped(optimizer, 2, seed=5)
        assert [float(optimizer.state[p]["step"]) for p in (a, b, c, d)] == [8, 8, 6, 2]
        ends.append([a, b, c, d])
    close(*ends)


def test_a_group_that_is_added_begins_with_the_optimizers_own_sum() -> None:
    ends = []
    for module in (dropins, torch.optim):
        a, b = fresh()
        optimizer = module.Adagrad([a], lr=0.1, initial_accumulator_value=0.5)
        optimizer.add_param_group({"params": [b], "initial_accumulator_value": 7.0})  # which torch never looks at
        stepped(optimizer, 2)
        ends.append([a, b])
    close(*ends)


def test_a_group_that_cannot_be_stepped_is_not_added() -> None:
    optimizer = dropins.Adam(fresh())
    for bad, error in [
        ({"params": fresh((2,)), "betas": (0.9, 2.0)}, ValueError),
        ({"params": [torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))]}, TypeError),
        ({"params": fresh((2,)), "differentiable": True}, ValueError),
    ]:
        with pytest.raises(error):
            optimizer.add_param_group(bad)
        assert len(optimizer.param_groups) == 1
    stepped(optimizer, 1)


def test_a_setting_that_cannot_be_used_is_refused_before_anything_changes() -> None:
    optimizer = dropins.Adam(fresh())
    p = optimizer.param_groups[0]["params"][0]
    stepped(optimizer, 1)
    for name, bad in [("lr", -1.0), ("lr", math.nan), ("betas", (0.9, 1.5)), ("capturable", True), ("weight_decay", -0.1)]:
        kept, before, version = optimizer.param_groups[0][name], p.detach().clone(), p._version
        optimizer.param_groups[0][name] = bad
        with pytest.raises(ValueError, match=name):
            optimizer.step()
        assert torch.equal(p, before)
        assert p._version == version
        assert optimizer.state[p]["step"] == 1
        optimizer.param_groups[0][name] = kept
    optimizer.step()
    assert optimizer.state[p]["step"] == 2


@pytest.mark.parametrize("tensor", [False, True])
def test_tensors_and_lists_in_a_group_are_followed_when_they_are_written_into(tensor: bool) -> None:
    ends = []
    for module in (dropins, torch.optim):
        optimizer = module.Adam(fresh(), lr=torch.tensor(0.1) if tensor else 0.1)
        stepped(optimizer, 1)
        if tensor:
            optimizer.param_groups[0]["lr"].fill_(0.02)
        stepped(optimizer, 1, seed=2)
        optimizer.param_groups[0]["betas"] = [0.5, 0.9]
        stepped(optimizer, 1, seed=3)
        optimizer.param_groups[0]["betas"][0] = 0.25
        stepped(optimizer, 1, seed=4)
        ends.append(optimizer.param_groups[0]["params"])
    close(*ends)


def test_momentum_that_is_switched_on_begins_with_the_gradient() -> None:
    ends = []
    for module in (dropins, torch.optim):
        optimizer = module.SGD(fresh(), lr=0.1, dampening=0.5)
        stepped(optimizer, 3)
        optimizer.param_groups[0]["momentum"] = 0.9
        stepped(optimizer, 3, seed=2)
        ends.append(optimizer.param_groups[0]["params"])
    close(*ends)
