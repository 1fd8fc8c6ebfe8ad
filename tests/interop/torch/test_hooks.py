"""Hooks: what they note of gradients, and that the compiled one makes the step where all is as it was, and nothing where it is not."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import hooks, passes
from fastopt.interop.torch.bunch import Bunches
from fastopt.optimizers.turns import new_turn
from tests.interop.torch.passes_beside import alike, backward, both, classic

compiled = pytest.mark.skipif(hooks.Hook.__module__ != "fastopt.interop.torch._hook", reason="it was not compiled")


class Bound:
    """Hooks of some parameters that are a bunch and were stepped once, and those that were handed over."""

    def __init__(self, number: int = 5, count: int = 1) -> None:
        self.params = [torch.nn.Parameter(torch.ones(3 + k)) for k in range(count)]
        self.optimizer = dropins.Adam(self.params, lr=0.1)
        self.bunch, _ = Bunches(self.optimizer._lay_out()).form(range(count))
        self.bunch.step([torch.ones(3 + k) for k in range(count)], 1.0, None, None)
        self.over: list[Any] = []
        self.under_way = hooks.Pass(self.optimizer._turn, 1000)
        given = self.under_way, 12, lambda: number, torch._C._increment_version, self.otherwise
        self.hooks = [hooks.Hook(*given) for _ in self.params]
        for hook in self.hooks:
            hook.arrivals = self.bunch.arrivals
        self.bunch.arrivals.bind(*self.bunch.quick)
        self.under_way.number, self.under_way.quick, self.under_way.stepping = 5, True, True
        for p in self.params:
            p.grad = torch.ones_like(p)
        self.param, self.hook, (self.slot,) = self.params[-1], self.hooks[-1], self.bunch.active

    def otherwise(self, param: Any) -> None:
        self.over.append(param)

    def __call__(self) -> bool:
        """Whether the step was made when the last gradient came."""
        before, versions = [p.detach().clone() for p in self.params], [p._version for p in self.params]
        for hook, p in zip(self.hooks[:-1], self.params, strict=False):
            hook(p)
        assert not self.over
        self.hook(self.param)
        made = not self.over
        assert self.slot.steps == 1 + made
        for p, q, version in zip(self.params, before, versions, strict=True):
            assert torch.equal(p, q) != made
            assert p._version - version == made
            assert self.optimizer.state[p]["step"] == 1 + made
            assert (p.grad is None) == made or p.grad is None
        assert self.over in ([], [self.param])
        return made


@compiled
@pytest.mark.parametrize("count", [1, 3])
def test_a_step_is_made_counted_and_gradients_freed(count: int) -> None:
    bound = Bound(count=count)
    assert bound()
    assert bound.under_way.waiting == bound.bunch.arrivals.waiting == 0
    assert bound.bunch.arrivals.missing == count


@compiled
@pytest.mark.parametrize("why", ["number", "quick", "unbound", "alone", "gradient", "moved", "settings", "shape", "turn"])
def test_anything_else_is_handed_over(why: str) -> None:
    bound = Bound(number=6 if why == "number" else 5)
    if why == "quick":
        bound.under_way.quick = False
    if why == "unbound":
        bound.bunch.arrivals.unbind()
    if why == "alone":
        bound.hook.arrivals = None
    if why == "gradient":
        bound.param.grad = None
    if why == "moved":
        bound.param.data = bound.param.data.clone()
    if why == "settings":
        bound.slot.bound_for = None
    if why == "shape":
        bound.param.grad = torch.ones(6)[::2]
    if why == "turn":
        bound.optimizer._turn.taken = True
    assert not bound()


@compiled
def test_a_bunch_that_is_not_complete_is_handed_over() -> None:
    bound = Bound(count=2)  # with gradients of an earlier pass
    bound.under_way.most = 12  # as many wait as may
    bound.hook(bound.param)
    assert bound.over == [bound.param]
    assert all((p.grad == 1).all() for p in bound.params)
    assert bound.slot.steps == 1


def test_whose_hook_it_is() -> None:
    bound = Bound()
    assert bound.hook.__self__ is bound


def in_turns(module: Any, most: int = 1000) -> tuple[Any, Any, list[Any]]:
    """A pass, a bunch of two, and their hooks."""
    under_way, arrivals = module.Pass(new_turn(), most), module.Arrivals([None, None])
    found = [module.Hook(under_way, nbytes, lambda: 5, None, print) for nbytes in (10, 20)]
    for hook in found:
        hook.arrivals = arrivals
    under_way.number = 5
    return under_way, arrivals, found


def in_python(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module where nothing was compiled."""
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "fastopt.interop.torch._hook", None)
    spec = importlib.util.find_spec("fastopt.interop.torch.hooks")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("python", [False, True])
def test_what_is_noted(python: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = in_python(monkeypatch) if python else hooks
    under_way, arrivals, (first, second) = in_turns(module)
    assert [first.note(), first.note()] == [False, False]  # a second time is the same one
    assert (under_way.waiting, arrivals.waiting, arrivals.missing) == (10, 10, 1)
    assert second.note()
    assert (under_way.waiting, arrivals.waiting, arrivals.missing) == (30, 30, 0)
    arrivals.stepped(under_way)
    assert (under_way.waiting, arrivals.waiting, arrivals.missing) == (0, 0, 2)
    assert not second.note()  # it was stepped in this pass
    under_way.number, under_way.waiting = 6, 0
    assert not second.note()
    assert arrivals.missing == 1
    arrivals.stepped(under_way)  # before the other one came
    assert arrivals.missing == 1
    under_way.number = 7  # a pass that failed has left this
    assert not first.note()
    assert (arrivals.waiting, arrivals.missing) == (10, 1)
    under_way, arrivals, (first, second) = in_turns(module, most=20)
    assert [first.note(), second.note()] == [False, True]
    first.arrivals = None
    under_way.number, under_way.waiting = 8, 0
    assert first.note()


def test_in_python_every_gradient_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    module = in_python(monkeypatch)
    under_way, over = module.Pass(None, 1000), list[Any]()
    hook = module.Hook(under_way, 10, int, None, over.append)
    hook.arrivals = module.Arrivals([None])
    hook.arrivals.bind(1, 2, 3, 4, 5)
    hook.arrivals.unbind()
    hook("param")
    assert over == ["param"]
    assert under_way.number == -1
    assert hook.__self__ is over


def test_the_same_steps_where_nothing_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    module = in_python(monkeypatch)
    monkeypatch.setattr(passes, "Hook", module.Hook)
    monkeypatch.setattr(passes, "Pass", module.Pass)
    monkeypatch.setattr("fastopt.interop.torch.bunch.Arrivals", module.Arrivals)
    monkeypatch.setattr(passes, "BUNCH", 3000)
    ours, theirs, stepper, optimizer = both()
    backward(ours, range(3))
    classic(theirs, optimizer, range(3))
    alike(ours, theirs, stepper.optimizer, optimizer)
    assert all(p.grad is None for p in ours.parameters())
