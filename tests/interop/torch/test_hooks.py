"""The compiled hook: it makes the step where all is as it was, and nothing where it is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.interop.torch as dropins
from fastopt.interop.torch import hooks
from fastopt.interop.torch.single import singles

compiled = pytest.mark.skipif(hooks.Hook.__module__ != "fastopt.interop.torch._hook", reason="it was not compiled")


class Bound:
    """A hook of a parameter that was stepped once, and the parameters that it handed over."""

    def __init__(self, number: int = 5) -> None:
        self.param = torch.nn.Parameter(torch.ones(3))
        self.optimizer = dropins.Adam([self.param], lr=0.1)
        (self.single,) = singles(self.optimizer._lay_out())
        self.single.step(torch.ones(3), 1.0, None, None)
        self.over: list[Any] = []
        self.under_way = hooks.Pass(self.optimizer._turn)
        self.hook = hooks.Hook(self.under_way, lambda: number, torch._C._increment_version, self.otherwise)
        self.hook.bind(*self.single.quick)
        self.under_way.number, self.under_way.quick = 5, True
        self.param.grad = torch.ones(3)

    def otherwise(self, param: Any) -> None:
        self.over.append(param)

    def __call__(self) -> bool:
        """Whether the step was made."""
        before, version = self.param.detach().clone(), self.param._version
        self.hook(self.param)
        made = not self.over
        assert torch.equal(self.param, before) != made
        assert self.param._version - version == made
        assert self.single.slot.steps == 1 + made
        assert self.optimizer.state[self.param]["step"] == 1 + made
        assert (self.param.grad is None) == made or self.param.grad is None
        assert self.over in ([], [self.param])
        return made


@compiled
def test_a_step_is_made_counted_and_its_gradient_freed() -> None:
    assert Bound()()


@compiled
@pytest.mark.parametrize("why", ["number", "quick", "unbound", "gradient", "moved", "settings", "shape", "turn"])
def test_anything_else_is_handed_over(why: str) -> None:
    bound = Bound(number=6 if why == "number" else 5)
    if why == "quick":
        bound.under_way.quick = False
    if why == "unbound":
        bound.hook.unbind()
    if why == "gradient":
        bound.param.grad = None
    if why == "moved":
        bound.param.data = bound.param.data.clone()
    if why == "settings":
        bound.single.slot.bound_for = None
    if why == "shape":
        bound.param.grad = torch.ones(6)[::2]
    if why == "turn":
        bound.optimizer._turn.taken = True
    assert not bound()


def test_whose_hook_it_is() -> None:
    bound = Bound()
    assert bound.hook.__self__ is bound


def test_in_python_every_step_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "fastopt.interop.torch._hook", None)
    found = SimpleNamespace()
    spec = importlib.util.find_spec("fastopt.interop.torch.hooks")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found.under_way = module.Pass(None)
    over: list[Any] = []
    hook = module.Hook(found.under_way, int, None, over.append)
    hook.bind(1, 2, 3, 4, 5)
    hook.unbind()
    hook("param")
    assert over == ["param"]
    assert found.under_way.number == -1
    assert hook.__self__ is over
