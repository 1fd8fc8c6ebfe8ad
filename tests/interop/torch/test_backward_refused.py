"""What cannot be asked of a step in the backward pass, and what stands after an error or an interrupt in one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import StepInBackward, passes, step_in_backward
from tests.interop.torch.passes_beside import BUNCHES, alike, backward, both, classic, loss, network
from tests.interrupts import interrupted_at


@pytest.fixture(autouse=True, params=BUNCHES)
def bunch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(passes, "BUNCH", BUNCHES[request.param])
    return str(request.param)


def test_an_error_leaves_each_parameter_stepped_or_as_it_was(bunch: str) -> None:
    ours, theirs, stepper, optimizer = both()
    backward(ours, range(2))
    classic(theirs, optimizer, range(2))
    before = [p.detach().clone() for p in ours.parameters()]

    def fail(_: Any) -> None:
        raise KeyError("somebody's")

    handle = ours[2].weight.register_hook(fail)
    with pytest.raises(KeyError, match="somebody's"):
        backward(ours, [2])
    handle.remove()
    counts = [int(stepper.optimizer.state[p]["step"]) for p in ours.parameters()]
    assert counts[:3] == [2, 2, 2]
    assert counts[4:] == ([2, 2] if bunch == "together" else [3, 3])  # they wait, or were stepped
    kept = [None if p.grad is None else p.grad.clone() for p in ours.parameters()]
    assert [grad is not None for grad in kept] == [False, False, False, bunch != "one by one", *[bunch == "together"] * 2]
    for p, q, count in zip(ours.parameters(), before, counts, strict=True):
        assert torch.equal(p, q) == (count == 2)
        assert p.grad is None or count == 2
    backward(ours, [3])
    assert [int(stepper.optimizer.state[p]["step"]) for p in ours.parameters()] == [1 + count for count in counts]
    assert all(p.grad is None for p in ours.parameters())


def test_a_pass_that_failed_does_not_count() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    stepper = step_in_backward([p], dropins.SGD, lr=1.0, accumulate=2)
    failing = torch.ones(2, requires_grad=True)
    failing.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (p.sum() + failing.sum()).backward()
    stepper.zero_grad()
    p.sum().backward()
    assert (p == 1).all()
    p.sum().backward()
    assert (p == -1).all()


@pytest.mark.parametrize(("name", "given"), [("Adam", {}), ("NAdam", {"max_norm_of_last_step": 0.01, "clip_value": 0.1})])
def test_an_interrupt_finds_each_parameter_stepped_or_not(name: str, given: dict[str, Any]) -> None:
    def made() -> Any:
        params = [torch.nn.Parameter(torch.ones(3 + k)) for k in range(2)]
        stepper = step_in_backward(params, getattr(dropins, name), lr=0.1, **given)
        sum(p.sum() for p in params[:1]).backward()
        return stepper, params

    seen, place = set(), 0
    while True:
        stepper, params = made()
        before = [p.detach().clone() for p in params]
        if not interrupted_at(place, sum(p.sum() for p in params).backward):
            break
        for p, q, count in zip(params, before, (1, 0), strict=True):
            entry = stepper.optimizer.state.get(p)
            stepped = bool(entry) and int(entry["step"]) == count + 1
            assert stepped or not entry or int(entry["step"]) == count
            assert torch.equal(p, q) != stepped, place
            assert not (stepped and p.grad is not None), place
            seen.add(stepped)
        sum(p.sum() for p in params).backward()  # and goes on
        assert all(p.grad is None for p in params)
        place += 7
    assert seen == {False, True}


@pytest.mark.filterwarnings("ignore:.*create_graph")  # torch warns of it once a process
def test_create_graph_is_refused_and_a_gradient_of_gradients_is_not() -> None:
    ours, theirs, stepper, optimizer = both()
    with pytest.raises(RuntimeError, match="without create_graph"):
        loss(ours, 0).backward(create_graph=True)
    stepper.zero_grad()
    assert not stepper.optimizer.state

    def penalized(model: Any) -> Any:
        first = loss(model, 1)
        return first + sum(g.square().sum() for g in torch.autograd.grad(first, list(model.parameters()), create_graph=True))

    for _ in range(2):
        penalized(ours).backward()
        optimizer.zero_grad()
        penalized(theirs).backward()
        optimizer.step()
    alike(ours, theirs, stepper.optimizer, optimizer)


def test_a_second_pass_through_a_graph() -> None:
    ours, theirs, stepper, optimizer = both()
    kept = loss(ours, 0)
    kept.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.backward()
    stepper.remove()
    ours, theirs, stepper, optimizer = both(given={"accumulate": 2})
    for model in (ours, theirs):
        kept = loss(model, 0)
        kept.backward(retain_graph=True)
        kept.backward()
    optimizer.step()
    alike(ours, theirs, stepper.optimizer, optimizer)


def test_checkpointed_segments() -> None:
    from torch.utils.checkpoint import checkpoint

    ours, theirs, stepper, optimizer = both()

    def one(model: Any, reentrant: bool) -> None:
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
        model[3:](checkpoint(model[:3], x, use_reentrant=reentrant)).square().mean().backward()

    one(ours, False)
    one(theirs, False)
    optimizer.step()
    alike(ours, theirs, stepper.optimizer, optimizer)
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        one(ours, True)
    assert int(stepper.optimizer.state[ours[2].weight]["step"]) == 1
    stepper.zero_grad()
    one(ours, False)


def test_a_scaler_is_refused() -> None:
    ours, _, stepper, _ = both()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(loss(ours, 0)).backward()
    with pytest.raises(RuntimeError, match="expected no GradScaler"):
        scaler.step(stepper.optimizer)
    assert not {"grad_scale", "found_inf"} & set(vars(stepper.optimizer))
    stepper.optimizer.step()  # and nothing of it is left
    stepper.remove()
    assert "_step_supports_amp_scaling" not in vars(stepper.optimizer)


def test_a_closure_is_refused() -> None:
    _, _, stepper, _ = both()
    for call in (lambda: stepper.optimizer.step(lambda: 1.0), lambda: stepper.optimizer.step(closure=lambda: 1.0)):
        with pytest.raises(ValueError, match="closure"):
            call()


def test_what_cannot_be_stepped_stays() -> None:
    table = torch.nn.Embedding(4, 2, sparse=True)
    step_in_backward(table, dropins.SGD)
    before = table.weight.detach().clone()
    with pytest.raises(RuntimeError, match="sparse"):
        table(torch.tensor([1])).sum().backward()
    assert torch.equal(table.weight, before)
    assert table.weight.grad is not None


def test_copies_have_no_hooks() -> None:
    ours, theirs, stepper, optimizer = both()
    backward(ours, range(2))
    classic(theirs, optimizer, range(2))
    averaged = copy.deepcopy(ours)
    backward(averaged, [2])
    assert all(p.grad is not None for p in averaged.parameters())
    alone = copy.deepcopy(stepper.optimizer)
    params = [p for group in alone.param_groups for p in group["params"]]
    loss(theirs, 2).backward()
    for p, q in zip(params, theirs.parameters(), strict=True):
        p.grad = q.grad.clone()
    optimizer.zero_grad()
    alone.step()
    classic(theirs, optimizer, [2])
    assert pickle.loads(pickle.dumps(stepper.optimizer)).param_groups[0]["lr"] == 0.01
    assert int(stepper.optimizer.state[ours[0].bias]["step"]) == 2


def test_other_hooks_may_take_the_gradient() -> None:
    model = network()
    model[0].bias.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    stepper = step_in_backward(model, dropins.Adam)
    backward(model, [0])
    assert model[0].bias not in stepper.optimizer.state
    assert int(stepper.optimizer.state[model[0].weight]["step"]) == 1


def test_one_stepper_a_parameter() -> None:
    model = network()
    stepper = step_in_backward(model, dropins.Adam)
    with pytest.raises(ValueError, match=r"params\[0\]: expected a parameter that is not stepped"):
        step_in_backward(model[2:], dropins.SGD)
    stepper.remove()
    assert isinstance(step_in_backward(model[2:], dropins.SGD), StepInBackward)


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"accumulate": 0}, ValueError, "accumulate: expected an integer >= 1, received 0"),
        ({"accumulate": 1.0}, TypeError, "accumulate"),
        ({"accumulate": True}, TypeError, "accumulate"),
        ({"clip_value": 0.0}, ValueError, "^clip_value: .*received 0.0"),
        ({"clip_value": "1"}, TypeError, "^clip_value"),
        ({"max_norm_of_last_step": -1.0}, ValueError, "^max_norm_of_last_step: .*received -1.0"),
        ({"max_norm": 1.0}, ValueError, "max_norm: expected None"),
        ({"lr": -1.0}, ValueError, "learning rate"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
def test_bad_arguments(given: dict[str, Any], error: type[Exception], match: str) -> None:
    model = network()
    with pytest.raises(error, match=match):
        step_in_backward(model, dropins.Adam, **given)
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_bad_classes_and_models() -> None:
    model = network()
    for cls in (torch.optim.Adam, "Adam", dropins.Adam(model.parameters())):
        with pytest.raises(TypeError, match="expected a class of fastopt"):
            step_in_backward(model, cls)  # type: ignore[arg-type]
    wrapped = object.__new__(torch.nn.parallel.DistributedDataParallel)
    with pytest.raises(TypeError, match="DistributedDataParallel"):
        step_in_backward(wrapped, dropins.Adam)
    stepper = step_in_backward(model, dropins.Adam)
    stepper.optimizer.max_norm = 1.0
    with pytest.raises(ValueError, match="max_norm: expected None"):
        backward(model, [0])
    assert not stepper.optimizer.state
    for name in ("clip_value", "max_norm_of_last_step"):
        with pytest.raises(ValueError, match=name):
            setattr(stepper, name, 0.0)
