"""One step as a function. (By hand: tests/rules/anchors; what is refused: tests/bad_calls.)"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import functional
from fastopt.host import launched
from fastopt.rules.entry import COPY, RULES, Rule
from fastopt.rules.family import COMMON
from tests.conftest import LAUNCHINGS, needed
from tests.kernels import compiled_dtype, is_first_of_its_kind

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


@pytest.mark.parametrize(
    ("rule", "launching", "decay"),
    [
        pytest.param(rule, way, 0.0 if "prange" in way else 0.2, id=f"{rule.name}-{way}")
        for way in (*LAUNCHINGS, "numpy")
        for rule in RULES.values()
        if "prange" not in way or is_first_of_its_kind(rule)  # whose own calls are the same for all
    ],
    indirect=["launching"],
)
def test_is_the_optimizers_step_and_keeps_the_callers_arrays(rule: Rule, launching: str, decay: float) -> None:
    dtype = compiled_dtype(coupled=decay != 0.0)
    rng = np.random.default_rng(0)
    p = rng.standard_normal((3, 7)).astype(dtype)
    begun = [rule.initial(name, rule.defaults) for name in rule.states]
    states = [p.copy() if value is COPY else np.full_like(p, value) for value in begun]
    addresses = [a.ctypes.data for a in (p, *states)]
    own = p.copy()
    optimizer = fastopt.Optimizer(own, rule, 0.1, weight_decay=decay, maximize=True, backend=launching)
    step_function = getattr(functional, rule.name)
    memory: dict[str, float] = {}
    for step in range(1, 4):
        g = rng.standard_normal((3, 7)).astype(dtype)
        optimizer.step(g, grad_scale=3.0)
        options: dict[str, Any] = {"weight_decay": decay, "maximize": True, "grad_scale": 3.0, "backend": launching}
        answer = step_function(p, g, *states, step=step, lr=0.1, **options, **memory)
        assert (answer is None) == (not rule.memory)
        memory = answer or {}
    (slot,) = optimizer.state_dict()["slots"]
    assert slot.get("memory", {}) == memory
    assert p.tobytes() == own.tobytes()
    assert [a.ctypes.data for a in (p, *states)] == addresses
    for name, state in zip(rule.states, states, strict=True):
        assert state.tobytes() == optimizer.state_dict()["state"][name].tobytes()


@pytest.mark.parametrize("rule", EVERY)
def test_help_names_the_arrays_and_options(rule: Rule) -> None:
    step_function: Any = getattr(functional, rule.name)
    parameters = inspect.signature(step_function).parameters
    assert [n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY] == ["p", "g", *rule.states, "ema"]
    assert parameters["step"].default is inspect.Parameter.empty
    assert parameters["lr"].default == rule.default_lr
    for name, default in rule.defaults.items():
        assert parameters[name].default == default
    assert {*COMMON, "grad_scale", "backend", "num_threads"} < set(parameters)
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


LENGTHS = (0, 1, 255, 256, 257, 1023, 5 * 8 * 256, 5 * 8 * 256 + 1, 60_001)


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_threads", [1, 2, 5])
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_straight_to_the_kernel_at_every_length_and_offset(
    backend: str, num_threads: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a work list, cut up by compiled code: the same bits as with one, and no element left out or done twice."""
    needed(backend)
    if launched.launcher() is None:
        pytest.skip("the launcher was not built: each call lays its work out")

    def not_laid_out(*arguments: Any) -> None:
        raise AssertionError("these arrays are plain")

    monkeypatch.setattr(functional, "_laid_out", not_laid_out)
    for length in LENGTHS:
        rng = np.random.default_rng(length)
        p, g, m, v = (np.abs(rng.standard_normal(length + 5)).astype(dtype)[k % 5 :][:length] for k in range(4))
        own, states = p.copy(), (m.copy(), v.copy())
        functional.adam(p, g, m, v, step=3, lr=0.1, weight_decay=0.2, grad_scale=3.0, backend=backend, num_threads=num_threads)
        optimizer = fastopt.Adam(own, 0.1, weight_decay=0.2, backend="numpy")
        optimizer.load_state_dict(
            {**optimizer.state_dict(), "slots": [{"steps": 2, "memory": {}, "params": [0]}], "state": {"m": states[0], "v": states[1]}}
        )
        optimizer.step(g, grad_scale=3.0)
        after = optimizer.state_dict()["state"]
        assert (p.tobytes(), m.tobytes(), v.tobytes()) == (own.tobytes(), after["m"].tobytes(), after["v"].tobytes())


def test_what_is_not_plain_is_laid_out() -> None:
    """A subclass that is fine all the same, as the optimizers take it."""
    p, g = np.ones((2, 2)).view(np.matrix), np.full((2, 2), 0.5)
    functional.sgd(p, g, step=1, lr=1.0)
    assert (p == 0.5).all()


def test_a_list_of_numbers_in_place_of_the_gradient_leaves_the_parameter_alone() -> None:
    p = np.ones(3)
    with pytest.raises(TypeError, match=r"^g: expected a NumPy array of float32, float64, float16 or bfloat16, received \[1.0, 1.0, 1.0\]"):
        functional.sgd(p, [1.0, 1.0, 1.0], step=1)
    assert (p == 1.0).all()


def test_a_rule_that_is_gone_leaves_nothing_behind() -> None:
    import gc
    import weakref

    @fastopt.rule()
    def passing(p, g, lr):  # type: ignore[no-untyped-def] # noqa: ANN202
        return (p - lr * g,)

    for backend in ("numpy", "numba"):
        functional.apply(passing, np.ones(3), np.ones(3), step=1, lr=0.1, backend=backend)
    rule = weakref.ref(passing)
    del RULES["passing"], passing
    gc.collect()
    assert rule() is None
