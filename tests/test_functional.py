"""One step as a function. (By hand: tests/rules; what is refused: tests/test_bad_calls.py.)"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import functional
from fastopt.rules.entry import RULES, Rule
from tests.conftest import LAUNCHINGS

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_is_the_optimizers_step_and_keeps_the_callers_arrays(rule: Rule, launching: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    p = rng.standard_normal((3, 7)).astype(dtype)
    states = [np.zeros_like(p) for _ in rule.states]
    addresses = [a.ctypes.data for a in (p, *states)]
    own = p.copy()
    optimizer = fastopt.Optimizer(own, rule, 0.1, weight_decay=0.2, maximize=True, backend=launching)
    step_function = getattr(functional, rule.name)
    for step in range(1, 4):
        g = rng.standard_normal((3, 7)).astype(dtype)
        optimizer.step(g, grad_scale=3.0)
        options: dict[str, Any] = {"weight_decay": 0.2, "maximize": True, "grad_scale": 3.0, "backend": launching}
        assert step_function(p, g, *states, step=step, lr=0.1, **options) is None
    assert p.tobytes() == own.tobytes()
    assert [a.ctypes.data for a in (p, *states)] == addresses
    for name, state in zip(rule.states, states, strict=True):
        assert state.tobytes() == optimizer.state_dict()["state"][name].tobytes()


@pytest.mark.parametrize("rule", EVERY)
def test_help_names_the_arrays_and_options(rule: Rule) -> None:
    step_function: Any = getattr(functional, rule.name)
    parameters = inspect.signature(step_function).parameters
    assert [n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY] == ["p", "g", *rule.states]
    assert parameters["step"].default is inspect.Parameter.empty
    assert parameters["lr"].default == rule.default_lr
    for name, default in rule.defaults.items():
        assert parameters[name].default == default
    assert {"weight_decay", "decoupled_weight_decay", "maximize", "grad_scale", "backend", "num_threads"} < set(parameters)
    assert step_function.__name__ == rule.name
    assert rule.equation in step_function.__doc__
    assert getattr(functional, rule.name) is step_function


def test_dir_lists_the_rules() -> None:
    assert set(dir(functional)) == {"apply", *RULES}


def test_any_shape() -> None:
    for shape in ((), (0,), (2, 0), (1,), (2, 3, 4)):
        p = np.ones(shape)
        functional.sgd(p, np.ones(shape), step=1, lr=0.5)
        assert p.shape == shape
        assert (p == 0.5).all()
