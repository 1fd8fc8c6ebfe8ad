"""What a torch user relies on around a step: closures, hooks, scalers, clipping, autograd; and what is refused."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest

torch = pytest.importorskip("torch")


import fastopt.interop.torch as dropins
from tests.interop.torch.beside import close, fresh, in_float64, stepped
from tests.interrupts import interrupted_at

__all__ = ["in_float64"]  # a fixture


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


def test_hooks_of_a_step_are_called_whosever_they_are_and_whenever_they_come() -> None:
    """A step without any does not look for them one by one, as torch's does; torch.compile leaves all of that to be done each time."""
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    optimizer, seen = dropins.Adam(fresh()), []
    run = torch.compile(lambda: optimizer.step(), backend="eager")
    run()
    ways = {
        "before": optimizer.register_step_pre_hook,
        "after": optimizer.register_step_post_hook,
        "before any": register_optimizer_step_pre_hook,
        "after any": register_optimizer_step_post_hook,
    }
    for name, register in ways.items():
        handle = register(lambda opt, args, kwargs, name=name: seen.append(name))
        stepped(optimizer, 1)
        run()
        handle.remove()
        stepped(optimizer, 1)
        assert seen == [name, name], name
        seen.clear()
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 3.0), {}))
    assert optimizer.step() == 3.0


def test_profilers_see_a_step_by_torchs_name() -> None:
    optimizer = dropins.Adam(fresh())
    with torch.autograd.profiler.profile() as profile:
        stepped(optimizer, 1)
    assert [event.key for event in profile.key_averages() if "step" in event.key] == ["Optimizer.step#Adam.step"]


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


def test_a_step_without_any_gradient_changes_nothing() -> None:
    optimizer = dropins.Adam(fresh())
    optimizer.step()
    assert len(optimizer.state) == 0


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
