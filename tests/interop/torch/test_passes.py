"""What a backward pass costs: nothing is laid out or bound anew that need not be."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import hooks, step_in_backward


def parameters(count: int = 3) -> list[Any]:
    return [torch.nn.Parameter(torch.ones(2 + k)) for k in range(count)]


def passes(params: list[Any], count: int = 1) -> None:
    for _ in range(count):
        sum(p.square().sum() for p in params).backward()


@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_nothing_is_laid_out_anew(name: str) -> None:
    params = parameters()
    stepper = step_in_backward(params, getattr(dropins, name), lr=0.1)
    passes(params)
    laid, alone = stepper.optimizer._laid, dict(stepper._passes._singles)
    schedule = torch.optim.lr_scheduler.StepLR(stepper.optimizer, 1)
    for _ in range(3):
        stepper.optimizer.step()  # which has nothing to do
        passes(params)
        schedule.step()
    stepper.optimizer.param_groups[0]["weight_decay"] = 0.0
    passes(params)
    assert stepper.optimizer._laid is laid
    assert stepper._passes._singles == alone


@pytest.mark.skipif(hooks.Hook.__module__ != "fastopt.interop.torch._hook", reason="it was not compiled")
def test_steps_after_the_first_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    params, slow = parameters(), []
    stepper = step_in_backward(params, dropins.Adam)
    taken = stepper._passes._step

    def step(param: Any) -> None:
        slow.append(param)
        taken(param)

    monkeypatch.setattr(stepper._passes, "_step", step)
    passes(params, 4)
    assert len(slow) == 3 + 3  # all of them at first, and the first of each pass
    stepper.clip_value = 0.5  # which is made in Python
    passes(params)
    assert len(slow) == 3 + 3 + 3
    assert stepper.optimizer.state[params[0]]["step"] == 5


def test_other_numbers_are_bound_anew() -> None:
    params, theirs = parameters(), parameters()
    stepper, optimizer = step_in_backward(params, dropins.Adam, lr=0.1), dropins.Adam(theirs, lr=0.1)
    for betas in ((0.9, 0.99), (0.5, 0.6), (0.9, 0.99), (0.5, 0.7)):
        for opt in (stepper.optimizer, optimizer):
            opt.param_groups[0]["betas"] = betas
            if betas[1] == 0.7:
                opt.step()  # it reads the groups, and may not hide from the next pass what changed
                optimizer.zero_grad()
        passes(params, 2)
        for _ in range(2):
            optimizer.zero_grad()
            passes(theirs)
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, theirs, strict=True))


def test_parameters_that_are_added() -> None:
    params = parameters(4)
    stepper = step_in_backward(params[:2], dropins.Adam)
    stepper.add_param_group({"params": params[2:3]})
    passes(params[2:3])  # and none of those that were there
    assert params[2].grad is None
    stepper.optimizer.add_param_group({"params": params[3:]})  # seen at the next gradient of another one
    passes(params)
    passes(params[3:])
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [1, 1, 2, 2]
    assert all(p.grad is None for p in params)
