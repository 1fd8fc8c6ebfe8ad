"""What a torch user relies on around a step: closures, hooks, schedulers, scalers, groups, checkpoints, copies; and what is refused."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.optim import lr_scheduler

import fastopt.interop.torch as dropins
from tests.interrupts import interrupted_at

NAMES = [name for name in dropins.__all__ if name != "Lion"]
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "dampening": 0.5},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adagrad": {"initial_accumulator_value": 0.1, "lr_decay": 0.1},
    "Adam": {"amsgrad": True},
}


@pytest.fixture(autouse=True)
def _in_float64() -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def fresh(*shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    made = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=made)) for shape in shapes or ((3, 4), (5,))]


def stepped(optimizer: Any, steps: int, seed: int = 1) -> Any:
    made = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, generator=made).to(p.dtype)
        optimizer.step()
    return optimizer


def close(ours: list[Any], theirs: list[Any]) -> None:
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-13)


def both(name: str, **options: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    ours, theirs = fresh(), fresh()
    options = {"lr": 0.01, **OPTIONS.get(name, {}), **options}
    return getattr(dropins, name)(ours, **options), getattr(torch.optim, name)(theirs, **options), ours, theirs


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_goes_on_here_and_back(name: str) -> None:
    """Three steps there, three here, three there, beside nine there."""
    _, alone, _, end = both(name)
    ours, theirs, p, q = both(name)
    stepped(alone, 9)
    made = torch.Generator().manual_seed(1)

    def some(optimizer: Any, params: list[Any]) -> None:
        for _ in range(3):
            for x in params:
                x.grad = torch.randn(x.shape, generator=made)
            optimizer.step()

    def over(source: list[Any], target: list[Any]) -> None:
        with torch.no_grad():
            for x, y in zip(source, target, strict=True):
                y.copy_(x)

    some(theirs, q)
    over(q, p)
    ours.load_state_dict(through_a_file(theirs.state_dict()))
    some(ours, p)
    over(p, q)
    theirs.load_state_dict(through_a_file(ours.state_dict()))
    some(theirs, q)
    close(q, end)
    saved, others = ours.state_dict(), alone.state_dict()
    assert saved["param_groups"] == others["param_groups"]
    assert {k: set(v) for k, v in saved["state"].items()} == {k: set(v) for k, v in others["state"].items()}


def test_what_is_loaded_is_copied() -> None:
    ours, theirs, _, q = both("Adam")
    stepped(theirs, 2)
    before = theirs.state[q[0]]["exp_avg"].clone()
    ours.load_state_dict(theirs.state_dict())
    stepped(ours, 1)
    assert torch.equal(theirs.state[q[0]]["exp_avg"], before)
    assert theirs.state[q[0]]["step"] == 2


def test_a_checkpoint_that_does_not_fit_changes_nothing() -> None:
    ours, theirs, p, _ = both("Adam")
    stepped(ours, 2)
    stepped(theirs, 2)
    state, groups, end = ours.state, ours.param_groups, [x.detach().clone() for x in p]
    other = stepped(torch.optim.SGD(fresh(), lr=0.1, momentum=0.9), 1).state_dict()
    with pytest.raises((ValueError, KeyError)):
        ours.load_state_dict(other)
    bad = theirs.state_dict()
    for change, match in [
        (lambda entry: entry.pop("exp_avg"), "expected step, exp_avg, exp_avg_sq, max_exp_avg_sq, received"),
        (lambda entry: entry.update(exp_avg=torch.zeros(2)), "shape"),
        (lambda entry: entry.update(step=torch.tensor(1.5)), "whole number"),
    ]:
        wrong = copy.deepcopy(bad)
        change(wrong["state"][0])
        with pytest.raises(ValueError, match=match):
            ours.load_state_dict(wrong)
        assert ours.state is state
        assert ours.param_groups is groups
    close(p, end)
    stepped(ours, 1, seed=5)
    stepped(theirs, 1, seed=5)
    close(p, theirs.param_groups[0]["params"])


@pytest.mark.parametrize("again", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD", "Adagrad"])
def test_copies_go_on_by_themselves(name: str, again: Callable[[Any], Any]) -> None:
    ours, theirs, _, q = both(name)
    ours.max_norm = 100.0
    stepped(ours, 2)
    stepped(theirs, 2)
    copied = again(ours)
    assert copied.max_norm == 100.0
    stepped(ours, 3, seed=9)
    stepped(copied, 2, seed=2)
    stepped(theirs, 2, seed=2)
    close(copied.param_groups[0]["params"], q)


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


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned() -> None:
    optimizer = dropins.SGD(fresh(), lr=0.1)
    p = optimizer.param_groups[0]["params"][0]
    before = p.detach().clone()

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p**2).sum() / 2
        loss.backward()
        return loss

    with torch.no_grad():
        loss = optimizer.step(closure)
    assert float(loss.detach()) == pytest.approx(float((before**2).sum() / 2))
    close([p], [before - 0.1 * before])


def test_zero_grad() -> None:
    optimizer = dropins.Adam(fresh())
    stepped(optimizer, 1)
    optimizer.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in optimizer.param_groups[0]["params"])
    optimizer.zero_grad()
    assert all(p.grad is None for p in optimizer.param_groups[0]["params"])


def test_a_hook_after_loading_finds_the_states_that_will_be_stepped() -> None:
    optimizer, seen = stepped(dropins.Adam(fresh()), 1), []
    p = optimizer.param_groups[0]["params"][0]
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append(opt.state[p]["exp_avg"]))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen[0] is optimizer.state[p]["exp_avg"]


def test_named_parameters() -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = dropins.Adam(layer.named_parameters())
    stepped(optimizer, 1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert optimizer.state[layer.bias]["step"] == 1


def test_hooks() -> None:
    optimizer, seen = dropins.Adam(fresh()), []
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append("after"))
    optimizer.register_state_dict_post_hook(lambda opt, state: seen.append("saved"))
    optimizer.register_load_state_dict_pre_hook(lambda opt, state: seen.append("loading"))
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append(len(opt.state)))
    stepped(optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["before", "after", "saved", "loading", 2]


@pytest.mark.parametrize("fused", [None, True])
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_grad_scaler(name: str, fused: bool | None) -> None:
    """Scaled gradients, one of them infinite: the step is left out, and its count."""
    ends = []
    for module in (dropins, torch.optim):
        params = fresh()
        optimizer = getattr(module, name)(params, lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for k in range(4):
            optimizer.zero_grad()
            loss = sum((p * (math.inf if k == 2 else k + 1)).sum() for p in params)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        if name == "Adam":
            assert optimizer.state[params[0]]["step"] == 3
        ends.append(params)
    close(*ends)


def test_the_norm_is_that_of_gradients_before_a_scaler_scaled_them() -> None:
    params = fresh()
    optimizer = dropins.SGD(params, lr=0.1, fused=True, max_norm=0.5)
    before = [p.detach().clone() for p in params]
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(sum(p.sum() for p in params)).backward()
    scaler.step(optimizer)
    norm = math.sqrt(sum(p.numel() for p in params))
    assert optimizer.grad_norm == pytest.approx(norm, rel=1e-12)
    close(params, [p - 0.1 * 0.5 / norm for p in before])


def test_states_appear_with_the_first_gradient_and_steps_are_each_parameters_own() -> None:
    p, q = fresh()
    optimizer = dropins.Adam([p, q])
    assert len(optimizer.state) == 0
    assert optimizer.state_dict()["state"] == {}
    p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.step()
    assert list(optimizer.state) == [p]
    q.grad = torch.ones_like(q)
    optimizer.step()
    assert (optimizer.state[p]["step"], optimizer.state[q]["step"]) == (3, 1)
    p.grad, before = None, p.detach().clone()
    optimizer.step()
    assert torch.equal(p, before)
    assert (optimizer.state[p]["step"], optimizer.state[q]["step"]) == (3, 2)


def test_a_step_without_any_gradient_changes_nothing() -> None:
    optimizer = dropins.Adam(fresh())
    optimizer.step()
    assert len(optimizer.state) == 0


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "NAdam"])
def test_what_is_written_into_the_state_counts(name: str) -> None:
    """In place, as another tensor, as another count, and taken away."""
    ours, theirs, p, q = both(name)
    key = {"SGD": "momentum_buffer", "RMSprop": "square_avg"}.get(name, "exp_avg")
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda entry: entry[key].mul_(0.5),
        lambda entry: entry.update({key: torch.full_like(entry[key], 0.25)}),
        lambda entry: entry["step"].fill_(7) if "step" in entry else None,
        lambda entry: entry.update(mu_product=torch.tensor(0.5)) if "mu_product" in entry else None,
    ]
    for k, change in enumerate(changes):
        for optimizer, first in ((ours, p[0]), (theirs, q[0])):
            stepped(optimizer, 2, seed=k)
            change(optimizer.state[first])
    for optimizer in (ours, theirs):
        stepped(optimizer, 1)
        optimizer.state.clear()
        stepped(optimizer, 2)
    close(p, q)


def test_the_norm_is_clipped_within_the_step() -> None:
    p, q = fresh(), fresh()
    ours, theirs = (
        dropins.Adam([{"params": p[:1]}, {"params": p[1:], "lr": 0.1}], max_norm=0.5),
        torch.optim.Adam([{"params": q[:1]}, {"params": q[1:], "lr": 0.1}]),
    )
    assert ours.grad_norm is None
    for k in range(4):
        for x, y in zip(p, q, strict=True):
            x.grad = torch.randn_like(x) * (0.01 if k == 2 else 1.0)
            y.grad = x.grad.clone()
        kept = p[0].grad.clone()
        ours.step()
        norm = torch.linalg.vector_norm(torch.cat([y.grad.reshape(-1) for y in q]))
        for y in q:
            y.grad *= min(1.0, 0.5 / float(norm))
        theirs.step()
        assert ours.grad_norm == pytest.approx(float(norm), rel=1e-13)
        assert torch.equal(p[0].grad, kept)
    close(p, q)
    with pytest.raises(ValueError, match="max_norm"):
        ours.max_norm = -1.0
    ours.max_norm = None
    assert ours.max_norm is None


def test_autograd_notices_that_a_parameter_was_changed() -> None:
    optimizer = dropins.SGD(fresh(), lr=0.1)
    p, q = optimizer.param_groups[0]["params"]
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    before = p._version, q._version
    optimizer.step()
    assert (p._version, q._version) == (before[0] + 1, before[1])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inference_tensors_within_inference_mode_alone() -> None:
    with torch.inference_mode():
        p = torch.ones(3)
        p.grad = torch.ones(3)
    optimizer = dropins.SGD([p], lr=0.5)
    with pytest.raises(RuntimeError, match="inference_mode"):
        optimizer.step()
    assert (p == 1).all()
    with torch.inference_mode():
        optimizer.step()
    assert (p == 0.5).all()


def test_states_that_were_made_in_inference_mode_are_no_inference_tensors() -> None:
    optimizer = dropins.Adam(fresh())
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    with torch.inference_mode():
        optimizer.step()
    assert not any(value.is_inference() for entry in optimizer.state.values() for value in entry.values())


@pytest.mark.parametrize("options", [{"differentiable": True}, {"capturable": True}])
def test_another_kind_of_step_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        dropins.Adam(fresh(), **options)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"max_norm": 0.0}, ValueError, "max_norm"),
        ({"max_norm": "1"}, TypeError, "max_norm"),
        ({"backend": "cuda"}, ValueError, "backend"),
        ({"num_threads": 0}, ValueError, "num_threads"),
        ({"num_threads": 2, "backend": "numpy"}, ValueError, "num_threads"),
        ({"state_dtype": torch.int8}, ValueError, "state_dtype"),
        ({"state_dtype": torch.float32}, ValueError, "state_dtype"),
        ({"unknown": 1}, TypeError, "unknown"),
    ],
)
def test_options_of_our_own_are_checked(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        dropins.Adam(fresh(), **options)


@pytest.mark.parametrize("backend", ["numpy", "cython", "numba"])
def test_backends_and_threads(backend: str) -> None:
    from tests.conftest import needed

    needed(backend)
    ours, theirs = dropins.Adam(fresh(), backend=backend, max_norm=1.0), dropins.Adam(fresh(), num_threads=1, max_norm=1.0)
    for optimizer in (ours, theirs):
        stepped(optimizer, 3)
        optimizer.param_groups[0]["params"][0].grad = None
        optimizer.step()
    for p, q in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True):
        assert torch.equal(p, q)


def test_a_step_from_within_a_step_is_refused() -> None:
    optimizer = dropins.Adam(fresh())
    with optimizer._turn.lock:
        optimizer._turn.taken = True
        with pytest.raises(RuntimeError, match="nobody else"):
            optimizer.step()
        optimizer._turn.taken = False


@pytest.mark.parametrize(("name", "every"), [("SGD", 3), ("NAdam", 1)])
def test_an_interrupt_finds_a_step_made_or_not(name: str, every: int) -> None:
    """A step at which a state appears, and a rate and other numbers are followed, in two dtypes, clipped."""

    def made() -> Any:
        params = [*fresh(), torch.nn.Parameter(torch.ones(3, dtype=torch.float32))]
        options = {"momentum": 0.9, "dampening": 0.5} if name == "SGD" else {}
        optimizer = getattr(dropins, name)([{"params": params[:1]}, {"params": params[1:]}], lr=0.1, max_norm=0.5, **options)
        params[0].grad = torch.ones_like(params[0])
        optimizer.step()
        for p in params[1:]:
            p.grad = torch.ones_like(p)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["maximize"] = 0.2, True
        return optimizer

    def whole(optimizer: Any) -> list[Any]:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        return [(p.tolist(), {key: value.tolist() for key, value in optimizer.state.get(p, {}).items()}) for p in params]

    optimizer = made()
    before = whole(optimizer)
    optimizer.step()
    after = whole(optimizer)
    seen, place = set(), 0
    while interrupted_at(place, (optimizer := made()).step):
        found = whole(optimizer)
        assert found in (before, after), place
        seen.add(found == after)
        if found == before:
            optimizer.step()
        assert whole(optimizer) == after, place
        place += every
    assert seen == {False, True}


def test_an_optimizer_goes_with_its_last_reference() -> None:
    optimizer = stepped(dropins.Adam(fresh()), 1)
    gone = weakref.ref(optimizer)
    state = weakref.ref(optimizer.state[optimizer.param_groups[0]["params"][0]]["exp_avg"])
    gc.disable()  # at once, with its memory, and not when somebody looks for what nobody needs
    try:
        del optimizer
        assert gone() is None
        assert state() is None
    finally:
        gc.enable()


def test_gradients_are_kept_no_longer_than_a_step() -> None:
    (p,) = fresh((3,))
    optimizer = dropins.Adam([p])
    for make in (lambda: torch.ones(3), lambda: torch.ones(6)[::2]):
        p.grad = make()
        optimizer.step()
        gone = weakref.ref(p.grad)
        optimizer.zero_grad()
        assert gone() is None
