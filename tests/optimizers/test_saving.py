"""What an optimizer holds: saved, taken over, copied and pickled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST as BACKENDS
from fastopt.optimizers.base import Optimizer
from fastopt.rules.entry import RULES, Rule
from tests.conftest import LAUNCHINGS, needed
from tests.kernels import compiled_dtype
from tests.optimizers.arrays import Array, arrays, bits

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize(("first", "then"), [("numpy", "cython"), ("cython", "numba"), ("numba", "numpy")])
def test_a_resumed_run_equals_an_uninterrupted_one(rule: Rule, first: str, then: str) -> None:
    needed(first)
    needed(then)
    dtypes = (compiled_dtype(coupled=True),) if "numba" in (first, then) else (np.float32, np.float64)
    options: dict[str, Any] = {"weight_decay": 0.1, "maximize": True}
    whole, begun = (Optimizer(arrays(6, dtypes), rule, 0.1, backend=first, **options) for _ in range(2))
    for step in range(3):
        for optimizer in (whole, begun):
            optimizer.lr = 0.1 / (1 + step)
            optimizer.step(arrays(70 + step, dtypes))
    saved = pickle.loads(pickle.dumps(begun.state_dict()))
    resumed = Optimizer([p.copy() for p in begun.params], rule, backend=then, weight_decay=0.3)  # of the kernel that is compiled already
    resumed.load_state_dict(saved)
    assert (resumed.steps, resumed.lr, resumed.hyperparameters) == (begun.steps, begun.lr, begun.hyperparameters)
    for step in range(3, 6):
        for optimizer in (whole, resumed):
            optimizer.step(arrays(70 + step, dtypes))
    assert bits(resumed) == bits(whole)


def test_state_dict_is_a_copy_with_names() -> None:
    params = {"w": np.ones((2, 3)), "b": np.ones(3, np.float32)}
    optimizer = fastopt.Adam(params, lr=0.5, backend="numpy")
    optimizer.step({"w": np.ones((2, 3)), "b": np.ones(3, np.float32)})
    state = optimizer.state_dict()
    assert list(state) == ["steps", "groups", "slots", "state"]
    (group,) = state["groups"]
    assert (group["rule"], state["steps"], group["lr"], group["params"]) == ("adam", 1, 0.5, [0, 1])
    assert state["slots"] == [{"steps": 1, "memory": {}, "params": [0, 1]}]
    assert list(state["state"]) == ["m", "v"]
    assert list(state["state"]["m"]) == ["w", "b"]
    assert state["state"]["m"]["w"].shape == (2, 3)
    assert state["state"]["m"]["b"].dtype == np.float32
    state["state"]["m"]["w"][...] = 7.0
    assert not np.shares_memory(state["state"]["m"]["w"], optimizer._states[0][0])
    assert (optimizer.state_dict()["state"]["m"]["w"] != 7.0).all()
    optimizer.load_state_dict(state)
    state["state"]["m"]["w"][...] = 8.0
    assert (optimizer.state_dict()["state"]["m"]["w"] == 7.0).all()


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["list", "mapping", "array"])
def test_a_copy_is_independent_and_goes_on_with_the_same_bits(how: Any, backend: str, kind: str) -> None:
    needed(backend)

    def pack(values: list[Array]) -> Any:
        return values if kind == "list" else dict(enumerate(values)) if kind == "mapping" else values[1]

    optimizer = fastopt.AdamW(
        pack(arrays(7, (np.float32, np.float64))), 0.1, betas=(0.7, 0.8), amsgrad=True, nonfinite="skip", backend=backend
    )
    optimizer.step(pack(arrays(80, (np.float32, np.float64))))
    before = bits(optimizer)
    other = how(optimizer)
    assert type(other) is fastopt.AdamW
    assert other.backend == backend
    assert repr(other) == repr(optimizer)
    assert other.rule is optimizer.rule
    assert not any(np.shares_memory(a, b) for a in other._params for b in optimizer._params)
    gradients = pack(arrays(81, (np.float32, np.float64)))
    other.step(gradients)
    assert bits(optimizer) == before, "the copy changed the original"
    assert optimizer.steps == 1
    optimizer.step(gradients)
    assert bits(optimizer) == bits(other)
    assert other.steps == 2
    bad = pack([np.full_like(g, np.nan) for g in arrays(82, (np.float32, np.float64))])
    assert other.step(bad) is False, "the policy was lost"


def test_a_shallow_copy_shares_the_parameters_and_no_state() -> None:
    p = np.ones(3)
    optimizer = fastopt.Adam(p, backend="numpy")
    other = copy.copy(optimizer)
    assert other.params is p
    other.step(np.ones(3))
    assert optimizer.steps == 0
    assert not optimizer.state_dict()["state"]["m"].any()


def test_a_model_and_its_optimizer_stay_together_in_a_copy() -> None:
    model = {"w": np.ones(3)}
    model, optimizer = copy.deepcopy((model, fastopt.SGD(model, lr=1.0, backend="numpy")))
    optimizer.step({"w": np.ones(3)})
    assert not model["w"].any()


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_the_highest_count_that_is_loaded_goes_on(launching: str) -> None:
    opt = fastopt.Adam(np.ones(3), backend=launching)
    kept = opt.state_dict()
    kept["steps"] = kept["slots"][0]["steps"] = 2**62
    opt.load_state_dict(kept)
    opt.step(np.ones(3))
    assert opt.steps == opt.state_dict()["slots"][0]["steps"] == 2**62 + 1
