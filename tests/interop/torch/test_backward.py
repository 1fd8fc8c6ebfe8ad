"""Steps in the backward pass beside the classic step: the same bits, whatever is asked of either."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import optimizers, passes, step_in_backward
from tests.interop.torch.beside import OPTIONS, close
from tests.interop.torch.passes_beside import BUNCHES, alike, backward, both, classic, loss, network, trained


@pytest.fixture(autouse=True, params=BUNCHES)
def bunch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(passes, "BUNCH", BUNCHES[request.param])
    return str(request.param)


@pytest.mark.parametrize("bunch", ["bunches"], indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", optimizers.__all__)
def test_the_same_bits_as_the_classic_step(name: str, dtype: Any) -> None:
    ours, theirs = network(dtype=dtype), network(dtype=dtype)
    cls, options = getattr(dropins, name), {"lr": 0.01, "maximize": True, **OPTIONS.get(name, {})}
    if name != "Rprop":
        options["weight_decay"] = 0.1
    stepper, optimizer = step_in_backward(ours, cls, **options), cls(theirs.parameters(), **options)
    backward(ours, range(4))
    classic(theirs, optimizer, range(4))
    assert all(p.grad is None for p in ours.parameters())
    alike(ours, theirs, stepper.optimizer, optimizer)


@pytest.mark.parametrize("backend", ["numpy", "cython", "numba"])
def test_backends(backend: str) -> None:
    from tests.conftest import needed

    needed(backend)
    ours, theirs, stepper, optimizer = both("NAdam", {"max_norm_of_last_step": 1e9}, backend=backend)
    backward(ours, range(3))
    classic(theirs, optimizer, range(3))
    alike(ours, theirs, stepper.optimizer, optimizer)


def test_groups_and_what_is_written_into_them() -> None:
    ends = []
    for ours in (True, False):
        model = network()
        groups = [{"params": list(model[0].parameters()), "lr": 0.1}, {"params": list(model[2].parameters()), "betas": (0.5, 0.6)}]
        last: dict[str, Any] = {"params": list(model[4].parameters()), "amsgrad": True}
        made: Any = step_in_backward(groups, dropins.Adam) if ours else dropins.Adam(groups)
        optimizer = made.optimizer if ours else made
        trained(model, None if ours else optimizer, range(2))
        for p in model[4].parameters():
            p.grad = None
        made.add_param_group(last)
        trained(model, None if ours else optimizer, range(2, 4))
        optimizer.param_groups[1]["betas"] = (0.7, 0.8)  # the same kernel with other numbers
        trained(model, None if ours else optimizer, range(4, 6))
        optimizer.param_groups[0]["weight_decay"] = 0.2  # another kernel
        optimizer.param_groups[0]["lr"] = torch.tensor(0.05)
        trained(model, None if ours else optimizer, range(6, 8))
        optimizer.param_groups[0]["lr"].fill_(0.02)
        optimizer.state[model[0].weight]["exp_avg"] = torch.zeros(6, 4)
        if ours:
            optimizer.step()  # finds nothing to do, but the numbers of the next step
        trained(model, None if ours else optimizer, range(8, 10))
        ends.append((model, optimizer))
    alike(ends[0][0], ends[1][0], ends[0][1], ends[1][1])
    assert ends[0][1].state[ends[0][0][4].bias]["step"] == 8


@pytest.mark.parametrize("name", ["StepLR", "OneCycleLR"])
def test_schedules(name: str) -> None:
    ours, theirs, stepper, optimizer = both("AdamW")
    options = {"StepLR": {"step_size": 2}, "OneCycleLR": {"max_lr": 0.1, "total_steps": 20}}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as torch's, of schedules that go before the optimizer
        schedules = [getattr(torch.optim.lr_scheduler, name)(opt, **options) for opt in (stepper.optimizer, optimizer)]
        for k in range(5):
            backward(ours, [k])
            classic(theirs, optimizer, [k])
            for schedule in schedules:
                schedule.step()
    alike(ours, theirs, stepper.optimizer, optimizer)


@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_checkpoints_of_the_classic_step_and_of_torchs_own(name: str) -> None:
    ours, theirs, stepper, optimizer = both(name, **({"momentum": 0.9} if name == "SGD" else {}))
    classic(theirs, optimizer, range(3))
    backward(ours, [7])  # it goes on from elsewhere
    ours.load_state_dict(theirs.state_dict())
    stepper.optimizer.load_state_dict(optimizer.state_dict())
    backward(ours, range(3, 5))
    classic(theirs, optimizer, range(3, 5))
    alike(ours, theirs, stepper.optimizer, optimizer)
    torchs = getattr(torch.optim, name)(theirs.parameters())
    torchs.load_state_dict(copy.deepcopy(stepper.optimizer.state_dict()))  # torch takes states as they are
    classic(theirs, torchs, range(5, 7))
    backward(ours, range(5, 7))
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    stepper.optimizer.load_state_dict(torchs.state_dict())
    backward(ours, [8])


def test_gradients_add_up_over_some_passes() -> None:
    ours, theirs, stepper, optimizer = both(given={"accumulate": 3})
    for k in range(3):
        before = [p.detach().clone() for p in ours.parameters()]
        for j in range(3):
            backward(ours, [3 * k + j])
            assert all((p.grad is None) == (j == 2) for p in ours.parameters())
            assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), before, strict=True)) == (j < 2)
        optimizer.zero_grad()
        for j in range(3):
            loss(theirs, 3 * k + j).backward()
        optimizer.step()
        alike(ours, theirs, stepper.optimizer, optimizer)


def test_a_parameter_that_had_its_gradient_in_an_earlier_pass_is_stepped_with_the_last() -> None:
    p, q = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    stepper = step_in_backward([p, q], dropins.SGD, lr=0.5, accumulate=2)
    p.sum().backward()
    q.sum().backward()
    assert (p == 0.5).all()
    assert (q == 0.5).all()
    assert p.grad is None
    p.sum().backward()
    stepper.optimizer.step()  # an accumulation that is not complete, as at the end of an epoch
    assert (p == 0.0).all()
    p.sum().backward()
    assert p.grad is not None  # counted anew
    stepper.zero_grad()
    assert p.grad is None
    q.sum().backward()
    assert q.grad is not None
    q.sum().backward()
    assert (q == -0.5).all()


def test_clipping_by_value() -> None:
    ours, theirs, stepper, optimizer = both("SGD", {"clip_value": 1e-3})
    for k in range(3):
        backward(ours, [k])
        classic(theirs, optimizer, [k], lambda: torch.nn.utils.clip_grad_value_(theirs.parameters(), 1e-3))
    alike(ours, theirs, stepper.optimizer, optimizer)
    assert stepper.grad_norm is None
    stepper.clip_value = None
    backward(ours, [3])
    classic(theirs, optimizer, [3])
    alike(ours, theirs, stepper.optimizer, optimizer)


def test_clipping_by_the_norm_of_the_step_before() -> None:
    ours, theirs, stepper, measuring = both("SGD", {"max_norm_of_last_step": 0.05}, momentum=0.9)
    measuring.max_norm = math.inf
    norm = None
    for k in range(4):
        backward(ours, [k])
        measuring.zero_grad()
        (loss(theirs, k)).backward()
        factor = 1.0 if norm is None else min(1.0, 0.05 / norm)
        kept = [p.grad.clone() for p in theirs.parameters()]
        with torch.no_grad():
            for p in theirs.parameters():
                p.grad.mul_(factor)
        measuring.step()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in kept))
        assert stepper.grad_norm == pytest.approx(norm, rel=1e-6)
        assert factor == 1.0 if k == 0 else factor < 1.0
    stepper.grad_norm, stepper.max_norm_of_last_step = None, math.inf
    theirs.load_state_dict(ours.state_dict())
    classic(theirs, measuring, [9])
    backward(ours, [9])
    assert stepper.grad_norm == measuring.grad_norm  # to the last bit: one order of summation
    stepper.max_norm_of_last_step = None
    backward(ours, [9])
    assert stepper.grad_norm is None


def test_a_tied_weight_is_stepped_once() -> None:
    ends = []
    for ours in (True, False):
        model = network()
        model.append(torch.nn.Linear(2, 4))
        model.append(model[0])
        optimizer = step_in_backward(model, dropins.Adam).optimizer if ours else dropins.Adam(model.parameters())
        trained(model, None if ours else optimizer, range(3))
        assert optimizer.state[model[0].weight]["step"] == 3
        ends.append((model, optimizer))
    alike(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def test_a_parameter_without_a_gradient_keeps_its_own_count() -> None:
    ends = []
    for ours in (True, False):
        model = network()
        optimizer = (
            step_in_backward(model, dropins.Adam, weight_decay=0.1).optimizer
            if ours
            else dropins.Adam(model.parameters(), weight_decay=0.1)
        )
        for k in range(4):
            if not ours:
                optimizer.zero_grad()
            (loss(model, k) if k % 2 else loss(model[:3], k)).backward()
            if not ours:
                optimizer.step()
        assert [float(optimizer.state[layer.weight]["step"]) for layer in (model[0], model[2], model[4])] == [4, 4, 2]
        ends.append((model, optimizer))
    alike(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


@pytest.mark.parametrize("name", ["Adam", "SGD", "NAdam"])
def test_the_classic_step_goes_on_when_the_hooks_are_off(name: str) -> None:
    ours, theirs, stepper, optimizer = both(name, **({"momentum": 0.9} if name == "SGD" else {}))
    with stepper:
        backward(ours, range(3))
        stepper.optimizer.step()
    stepper.remove()
    places = [value.data_ptr() for entry in stepper.optimizer.state.values() for value in entry.values() if value.ndim]
    loss(ours, 3).backward()
    assert all(p.grad is not None for p in ours.parameters())
    stepper.optimizer.step()
    classic(theirs, optimizer, range(4))
    alike(ours, theirs, stepper.optimizer, optimizer)
    again = step_in_backward(ours, getattr(dropins, name), lr=0.01, **({"momentum": 0.9} if name == "SGD" else {}))
    again.optimizer.load_state_dict(stepper.optimizer.state_dict())
    stepper.optimizer.zero_grad()
    backward(ours, [4])
    classic(theirs, optimizer, [4])
    alike(ours, theirs, again.optimizer, optimizer)
    assert [value.data_ptr() for entry in stepper.optimizer.state.values() for value in entry.values() if value.ndim] == places  # no copies


def test_how_many_gradients_there_are_at_a_time(bunch: str) -> None:
    model, most = network(), []

    def look(_: Any) -> None:
        most.append(sum(p.grad is not None for p in model.parameters()))

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(look)
    step_in_backward(model, dropins.Adam)
    backward(model, range(3))
    assert most[12:] == most[6:12]
    first, then = most[:6], most[6:12]
    if bunch == "bunches":  # the first bunch is known to be full when there is one more
        assert (first, then) == ([1, 2, 3, 2, 2, 3], [1, 2, 1, 2, 2, 3])
    else:
        assert first == then == ([1] * 6 if bunch == "one by one" else [1, 2, 3, 4, 5, 6])


def test_parameters_that_move_freeze_and_thaw() -> None:
    ends = []
    for ours in (True, False):
        model = network()
        model[0].weight.requires_grad_(False)
        optimizer = step_in_backward(model, dropins.Adam, lr=0.1).optimizer if ours else dropins.Adam(model.parameters(), lr=0.1)
        for k in range(4):
            if k == 1:
                model[2].weight.data = model[2].weight.data.clone()
            if k == 2:
                model[0].weight.requires_grad_(True)
                model[4].requires_grad_(False)
            trained(model, None if ours else optimizer, [k])
            assert not ours or all(p.grad is None for p in model.parameters())
        ends.append((model, optimizer))
    alike(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def test_parameters_of_no_and_of_one_element_and_in_any_order() -> None:
    ends = []
    for ours in (True, False):
        made = [torch.full(shape, 0.5) for shape in ((), (0,), (1,), (4, 3))]
        params = [torch.nn.Parameter(p) for p in (*made, made[3].clone().t(), torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last))]
        optimizer = step_in_backward(params, dropins.Adam).optimizer if ours else dropins.Adam(params)
        for _ in range(3):
            optimizer.zero_grad()
            sum((p * p).sum() for p in params).backward()
            optimizer.step()
        assert [float(optimizer.state[p]["step"]) for p in params] == [3] * 6
        ends.append(params)
    assert all(torch.equal(p, q) for p, q in zip(*ends, strict=True))


def test_named_parameters() -> None:
    model, theirs = network(), network()
    stepper, optimizer = step_in_backward(model.named_parameters(), dropins.Adam), dropins.Adam(theirs.named_parameters())
    backward(model, [0])
    classic(theirs, optimizer, [0])
    assert stepper.optimizer.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    close(list(model.parameters()), list(theirs.parameters()))
