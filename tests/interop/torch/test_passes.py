"""What a backward pass costs: nothing is laid out or bound anew that need not be; and what is stepped together, when."""

from __future__ import annotations

import random
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import hooks, passes, step_in_backward
from fastopt.interop.torch.bunch import Bunch


def parameters(count: int = 3) -> list[Any]:
    return [torch.nn.Parameter(torch.ones(2 + k)) for k in range(count)]


def backward(params: list[Any], count: int = 1) -> None:
    for _ in range(count):
        sum(p.square().sum() for p in params).backward()


@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_nothing_is_laid_out_anew(name: str) -> None:
    params = parameters()
    stepper = step_in_backward(params, getattr(dropins, name), lr=0.1)
    backward(params)
    laid, bunches = stepper.optimizer._laid, list(stepper._passes._bunches.of)
    assert bunches[0] is bunches[1] is bunches[2]
    schedule = torch.optim.lr_scheduler.StepLR(stepper.optimizer, 1)
    for _ in range(3):
        stepper.optimizer.step()  # which has nothing to do
        backward(params)
        schedule.step()
    stepper.optimizer.param_groups[0]["weight_decay"] = 0.0
    backward(params)
    assert stepper.optimizer._laid is laid
    assert stepper._passes._bunches.of == bunches


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Of each step that is made in Python, which parameters it is over."""
    found: list[list[int]] = []
    step = Bunch.step

    def noted(self: Bunch, gradients: list[Any], *rest: Any) -> None:
        found.append([i for i, gradient in zip(self.indices, gradients, strict=True) if gradient is not None])
        step(self, gradients, *rest)

    monkeypatch.setattr(Bunch, "step", noted)
    return found


@pytest.mark.skipif(hooks.Hook.__module__ != "fastopt.interop.torch._hook", reason="it was not compiled")
def test_steps_after_the_first_are_compiled(stepped: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters()
    stepper = step_in_backward(params, dropins.Adam)
    backward(params, 4)
    assert stepped == [[0, 1, 2]]
    stepper.clip_value = 0.5  # which is made in Python
    backward(params)
    assert sorted(stepped[1]) == [0, 1, 2]
    assert stepper.optimizer.state[params[0]]["step"] == 5
    stepped.clear()
    monkeypatch.setattr(passes, "BUNCH", 0)
    params = parameters()
    step_in_backward(params, dropins.Adam)
    backward(params, 4)
    assert sorted(stepped[:3]) == [[0], [1], [2]]
    assert len(stepped) == 3 + 3  # and the first of each pass


def test_other_numbers_are_bound_anew() -> None:
    params, theirs = parameters(), parameters()
    stepper, optimizer = step_in_backward(params, dropins.Adam, lr=0.1), dropins.Adam(theirs, lr=0.1)
    for betas in ((0.9, 0.99), (0.5, 0.6), (0.9, 0.99), (0.5, 0.7)):
        for opt in (stepper.optimizer, optimizer):
            opt.param_groups[0]["betas"] = betas
            if betas[1] == 0.7:
                opt.step()  # it reads the groups, and may not hide from the next pass what changed
                optimizer.zero_grad()
        backward(params, 2)
        for _ in range(2):
            optimizer.zero_grad()
            backward(theirs)
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params, theirs, strict=True))


def test_parameters_that_are_added() -> None:
    params = parameters(4)
    stepper = step_in_backward(params[:2], dropins.Adam)
    stepper.add_param_group({"params": params[2:3]})
    backward(params[2:3])  # and none of those that were there
    assert params[2].grad is None
    stepper.optimizer.add_param_group({"params": params[3:]})  # seen at the next gradient of another one
    backward(params)
    backward(params[3:])
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [1, 1, 2, 2]
    assert all(p.grad is None for p in params)


def of_sizes(*counts: int) -> list[Any]:
    return [torch.nn.Parameter(torch.ones(count)) for count in counts]


def in_order(params: list[Any], order: list[int]) -> Any:
    """A sum whose gradients come in this order."""
    found: Any = 0.0
    for i in reversed(order):
        found = torch.cat([(found * params[i][:1]).reshape(1), params[i] * (2.0 + i)]).sum()
    return found


def test_those_that_follow_on_each_other_are_stepped_together(stepped: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "BUNCH", 40)
    params = of_sizes(4, 3, 10, 4, 2, 1)  # the third is large
    step_in_backward(params, dropins.NAdam)  # whose steps are made in Python
    order = [5, 3, 2, 1, 0, 4]
    in_order(params, order).backward()
    assert stepped == [[2], [5, 3, 1], [0, 4]]
    stepped.clear()
    there = []
    for k, p in enumerate(params):
        p.register_post_accumulate_grad_hook(lambda _, k=k: there.append((k, [i for i, q in enumerate(params) if q.grad is not None])))
    in_order(params, order).backward()
    assert stepped == [[2], [5, 3, 1], [0, 4]]
    assert there == [(5, [5]), (3, [3, 5]), (2, [3, 5]), (1, []), (0, [0]), (4, [])]


def test_another_order_and_other_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more waits than two bunches have, and each parameter is stepped once a pass, where it has a gradient."""
    monkeypatch.setattr(passes, "BUNCH", 40)
    sizes = [1 + k % 7 for k in range(16)]
    most, generator = 0, random.Random(0)
    for cls, given in ((dropins.Adam, {}), (dropins.NAdam, {"max_norm_of_last_step": 1e9}), (dropins.Adam, {"accumulate": 2})):
        params, theirs = of_sizes(*sizes), of_sizes(*sizes)
        stepper, optimizer = step_in_backward(params, cls, lr=0.1, **given), cls(theirs, lr=0.1, max_norm=1e9)
        whole = "accumulate" not in given

        def look(_: Any, params: list[Any] = params, whole: bool = whole) -> None:
            nonlocal most
            if whole:
                most = max(most, sum(p.nbytes for p in params if p.grad is not None))

        for p in params:
            p.register_post_accumulate_grad_hook(look)
        for _ in range(12):
            for _ in range(1 if whole else 2):
                order = generator.sample(range(16), generator.randrange(4, 17))
                in_order(params, order).backward()
                in_order(theirs, order).backward()
            optimizer.step()
            optimizer.zero_grad()
            if "max_norm_of_last_step" in given:
                assert stepper.grad_norm == optimizer.grad_norm
            assert all(p.grad is None for p in params)
        for p, q in zip(params, theirs, strict=True):
            assert torch.equal(p, q)
            assert all(torch.equal(value, optimizer.state[q][name]) for name, value in stepper.optimizer.state[p].items())
    assert 40 < most <= 80


def failing(params: list[Any], order: list[int], at: int) -> None:
    """A backward pass that fails at the gradient of one of them."""
    handle = params[at].register_hook(lambda gradient: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_order(params, order).backward()
    handle.remove()


@pytest.mark.parametrize("then", ["it does not come", "it comes", "zero_grad", "step", "remove", "moved"])
def test_what_waited_when_a_pass_failed(then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "BUNCH", 40)
    params = of_sizes(4, 4, 4, 4)  # two bunches
    stepper = step_in_backward(params, dropins.SGD, lr=1.0)
    in_order(params, [0, 1, 2, 3]).backward()
    before = params[2].detach().clone()
    failing(params, [0, 1, 2, 3], 3)
    assert [p.grad is not None for p in params] == [False, False, True, False]
    assert torch.equal(params[2], before)
    kept = params[2].grad.clone()
    if then == "it does not come":
        in_order(params, [1]).backward()
    elif then == "moved":
        params[2].data = params[2].data.clone()
        in_order(params, [3]).backward()
    elif then == "it comes":
        (more,) = torch.autograd.grad(in_order(params, [3, 1, 0, 2]), params[2])
        in_order(params, [3, 1, 0, 2]).backward()
        kept += more
    elif then == "zero_grad":
        stepper.zero_grad()
        in_order(params, [3]).backward()
        kept.zero_()
    else:
        if then == "remove":
            stepper.remove()
        stepper.optimizer.step()
        params[2].grad = None
    assert torch.equal(params[2], before - kept)
    assert all(p.grad is None for p in params)


def test_a_first_pass_that_fails_begins_no_bunch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "BUNCH", 40)
    params = parameters(4)  # of 8 to 20 bytes
    stepper = step_in_backward(params, dropins.Adam)
    failing(params, [0, 1, 2, 3], 2)
    assert not stepper.optimizer.state
    in_order(params, [1, 0, 2, 3]).backward()
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [1] * 4
    assert [bunch.indices for bunch in stepper._passes._bunches.of] == [[1, 0, 2], [1, 0, 2], [1, 0, 2], [3]]


def test_one_that_moves_while_it_waits(stepped: list[list[int]]) -> None:
    params, theirs = parameters(4), parameters(4)
    stepper, optimizer = step_in_backward(params, dropins.Adam), dropins.Adam(theirs)
    in_order(params, [0, 1, 2, 3]).backward()
    handle = params[2].register_hook(lambda _: setattr(params[0], "data", params[0].data.clone()))
    in_order(params, [0, 1, 2, 3]).backward()
    handle.remove()
    in_order(params, [0, 1, 2, 3]).backward()
    for _ in range(3):
        in_order(theirs, [0, 1, 2, 3]).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(p, q) for p, q in zip(params, theirs, strict=True))
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [3] * 4


def test_a_frozen_one_that_has_a_gradient_is_in_no_bunch_with_others(stepped: list[list[int]]) -> None:
    params = parameters(4)
    params[1].requires_grad_(False)
    stepper = step_in_backward(params, dropins.NAdam)
    for _ in range(2):
        params[1].grad = torch.ones_like(params[1])
        in_order(params, [0, 2, 3]).backward()
        assert [sorted(found) for found in stepped] in ([[1], [0, 2, 3]], [[0, 2, 3], [1]])
        stepped.clear()
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [2] * 4


def test_a_step_in_the_middle_of_a_pass_takes_what_waits() -> None:
    params = parameters(4)
    stepper = step_in_backward(params, dropins.Adam)
    in_order(params, [0, 1, 2, 3]).backward()
    handle = params[2].register_hook(lambda _: stepper.optimizer.step() and None)
    in_order(params, [0, 1, 2, 3]).backward()
    assert all(p.grad is None for p in params)
    handle.remove()
    in_order(params, [0, 1, 2, 3]).backward()
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [3] * 4


def test_another_hook_takes_one_that_waits() -> None:
    params = parameters(3)
    stepper = step_in_backward(params, dropins.Adam)
    in_order(params, [0, 1, 2]).backward()
    handle = params[1].register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    for _ in range(2):
        in_order(params, [0, 1, 2]).backward()
    handle.remove()
    in_order(params, [0, 1, 2]).backward()
    assert [float(stepper.optimizer.state[p]["step"]) for p in params] == [4, 2, 4]
