"""`Optimizer`: in place, whole, of any structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST as BACKENDS
from fastopt.optimizers.base import Optimizer
from fastopt.rules.entry import RULES, Rule
from tests.conftest import LAUNCHINGS, needed
from tests.kernels import compiled_dtype, is_first_of_its_kind
from tests.optimizers.arrays import arrays, bits

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


# --------------------------------------------------------------------------------------------------------------- in place


@pytest.mark.parametrize(
    ("launching", "rule"),
    [
        pytest.param(launching, rule, id=f"{launching}-{rule.name}")
        for launching in (*LAUNCHINGS, "numpy")
        for rule in RULES.values()
        if launching != "numba's prange" or is_first_of_its_kind(rule)
    ],
    indirect=["launching"],
)
def test_parameters_and_states_stay_where_they_are(rule: Rule, launching: str) -> None:
    dtypes = (compiled_dtype(coupled=False),) if launching == "numba" else (np.float32, np.float64)
    params = arrays(0, dtypes)
    views = [p[...] for p in params]
    addresses = [p.ctypes.data for p in params]
    before = [p.copy() for p in params]
    optimizer = Optimizer(params, rule, 0.1, backend=launching)
    states = [own for row in optimizer._states for own in row]
    state_addresses = [s.ctypes.data for s in states]
    for step in range(3):
        gradients = arrays(10 + step, dtypes)
        kept = [g.copy() for g in gradients]
        assert optimizer.step(gradients) is True
        assert all(np.array_equal(g, k) for g, k in zip(gradients, kept, strict=True)), "a gradient was written"
        assert not any(np.shares_memory(g, a) for g in gradients for a in (*params, *states))
    assert [p.ctypes.data for p in params] == addresses
    assert [s.ctypes.data for row in optimizer._states for s in row] == state_addresses
    for p, view, old, own in zip(params, views, before, optimizer.params, strict=True):
        assert own is p
        assert p.size == 0 or np.shares_memory(p, view)
        assert np.array_equal(p, view)
        assert p.size == 0 or (p != old).any()
    for p, row in zip(params, optimizer._states, strict=True):
        assert all(s.shape == p.shape and s.dtype == p.dtype for s in row)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_parameter_that_is_a_view_changes_its_base_and_no_more(backend: str) -> None:
    needed(backend)
    buffer = np.ones(100, np.float32)
    fastopt.SGD(buffer[17:60], lr=1.0, backend=backend).step(np.ones(43, np.float32))
    assert (buffer[17:60] == 0).all()
    assert (buffer[:17] == 1).all()
    assert (buffer[60:] == 1).all()


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_a_parameter_in_another_order_is_stepped_where_it_lies(launching: str) -> None:
    """Others step a copy of what is not contiguous, and the update is lost."""
    rng = np.random.default_rng(0)
    for order in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        values, grads = rng.standard_normal((2, 4, 3, 5)).astype(np.float32)
        plain = values.copy()
        p, g = (np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order)) for a in (values, grads))
        base = p.base
        fastopt.Adam(p, 0.1, backend=launching).step(g)
        fastopt.Adam(plain, 0.1, backend="numpy").step(grads)
        assert np.shares_memory(p, base)
        np.testing.assert_array_equal(p, plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_step_allocates_what_grows(backend: str) -> None:
    """Fresh gradients at every step, freed after it: nothing may hold on to them."""
    import weakref

    needed(backend)

    class Gradient(np.ndarray[Any, Any]):
        pass

    p = np.ones(5)
    optimizer = fastopt.SGD(p, lr=0.1, backend=backend)
    for make in (lambda: np.ones(5).view(Gradient), lambda: np.ones(5)):
        g = make()
        seen = weakref.ref(g)
        optimizer.step(g)
        del g
        assert seen() is None


# ------------------------------------------------------------------------------------------------------------- structures


@pytest.mark.parametrize("backend", BACKENDS)
def test_array_sequence_and_mapping_walk_the_same_path(backend: str) -> None:
    needed(backend)
    ends = []
    for kind in ("list", "tuple", "mapping", "one by one"):
        params = arrays(1)
        gradients = [arrays(20 + step) for step in range(3)]
        names = [f"layer{i}" for i in range(len(params))]
        if kind == "one by one":
            optimizers = [fastopt.Adam(p, backend=backend) for p in params]
            for gs in gradients:
                for o, g in zip(optimizers, gs, strict=True):
                    o.step(g)
        elif kind == "mapping":
            optimizer = fastopt.Adam(dict(zip(names, params, strict=True)), backend=backend)
            for gs in gradients:
                optimizer.step(dict(reversed(list(zip(names, gs, strict=True)))))
            assert list(optimizer.params) == names
        else:
            make = tuple if kind == "tuple" else list
            optimizer = fastopt.Adam(make(params), backend=backend)
            for gs in gradients:
                optimizer.step(make(gs))
        ends.append([p.tobytes() for p in params])
    assert all(end == ends[0] for end in ends)


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_two_dtypes_step_together_and_each_as_if_alone(launching: str) -> None:
    params, alone = arrays(2, (np.float32, np.float64)), arrays(2, (np.float32, np.float64))
    together = fastopt.AdamW(params, 0.1, backend=launching)
    apart = [fastopt.AdamW(p, 0.1, backend=launching) for p in alone]
    for step in range(3):
        gradients = arrays(30 + step, (np.float32, np.float64))
        together.step(gradients)
        for o, g in zip(apart, gradients, strict=True):
            o.step(g)
    assert [p.dtype for p in together.params] == [p.dtype for p in alone]
    assert [p.tobytes() for p in params] == [p.tobytes() for p in alone]
    state = together.state_dict()["state"]["v"]
    assert [v.tobytes() for v in state] == [o.state_dict()["state"]["v"].tobytes() for o in apart]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thousand_small_arrays(backend: str) -> None:
    needed(backend)
    params = [np.full(i % 7, float(i)) for i in range(1000)]
    optimizer = fastopt.SGD(params, lr=0.5, backend=backend)
    for _ in range(3):
        optimizer.step([np.full(i % 7, 2.0) for i in range(1000)])
    assert all((p == i - 3.0).all() for i, p in enumerate(params))


# ----------------------------------------------------------------------------------------------------- non-finite gradients


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_nonfinite_policies(launching: str, value: float) -> None:
    dtypes = (np.float32, np.float64)
    for policy in ("skip", "raise", "propagate"):
        optimizer = fastopt.Adam(arrays(3, dtypes), 0.1, nonfinite=policy, backend=launching)
        optimizer.step(arrays(40, dtypes))
        before = bits(optimizer)
        bad = arrays(41, dtypes)
        bad[1][7] = value  # float64: the float32 arrays come first, and must not have been written
        if policy == "propagate":
            assert optimizer.step(bad) is True
            assert not np.isfinite(optimizer.params[1][7])
            assert np.isfinite(np.delete(optimizer.params[1], 7)).all()
            assert optimizer.steps == 2
            continue
        if policy == "skip":
            assert optimizer.step(bad) is False
        else:
            with pytest.raises(FloatingPointError, match=r"^grads\[1\]: expected finite values, received an infinity or a NaN$"):
                optimizer.step(bad)
        assert bits(optimizer) == before
        assert optimizer.steps == 1
        assert optimizer.step(arrays(42, dtypes)) is True
        twin = fastopt.Adam(arrays(3, dtypes), 0.1, backend=launching)
        twin.step(arrays(40, dtypes))
        twin.step(arrays(42, dtypes))
        assert bits(optimizer) == bits(twin), "a step that did not happen left a trace"


@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_large_finite_gradients_are_finite(policy: str) -> None:
    """Also where a sum or a square of them is not."""
    for backend in BACKENDS:
        needed(backend)
        p = np.zeros(1000, np.float32)
        optimizer = fastopt.SGD(p, lr=1.0, nonfinite=policy, backend=backend)
        assert optimizer.step(np.full(1000, np.finfo(np.float32).max)) is True


# ------------------------------------------------------------------------------------------------------- options of a step


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("backend", BACKENDS)
def test_maximize_is_minus_the_gradient_and_grad_scale_divides_it(rule: Rule, backend: str) -> None:
    needed(backend)
    options = {"weight_decay": 0.1, "backend": backend}
    up, down = (Optimizer(arrays(4), rule, 0.1, maximize=maximize, **options) for maximize in (True, False))  # type: ignore[arg-type]
    for step in range(3):
        gradients = arrays(50 + step)
        up.step([np.asarray(4 * g) for g in gradients], grad_scale=4.0)  # a power of two: exact
        down.step([np.asarray(-g) for g in gradients])
    assert bits(up) == bits(down)


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_a_step_of_nothing_moves_nothing(launching: str) -> None:
    """Those who make states before they load them step with gradients of 0 and a learning rate of 0."""
    for make in (fastopt.Adam, fastopt.AdamW, fastopt.NAdam, fastopt.RMSProp, fastopt.SGD, fastopt.AdaGrad):
        p = np.array([1.0, -2.0, 0.0, -0.0, 1e-310])
        opt, before = make(p, 0.0, weight_decay=0.1, backend=launching), p.tobytes()
        opt.step(np.zeros(5))
        assert p.tobytes() == before


def test_lr_is_set_between_steps() -> None:
    p = np.zeros(2)
    optimizer = fastopt.SGD(p, lr=1.0, backend="numpy")
    for lr in (1.0, 0.25, 0.0, 4):
        optimizer.lr = lr
        assert optimizer.lr == lr
        optimizer.step(np.ones(2))
    assert p.tolist() == [-5.25, -5.25]
    assert optimizer.steps == 4


# ------------------------------------------------------------------------------------------------------ what can be asked


def test_repr_says_what_there_is() -> None:
    optimizer = fastopt.SGD({"w": np.ones((2, 3)), "b": np.ones(())}, lr=0.5, momentum=0.9, backend="numpy")
    optimizer.step({"w": np.ones((2, 3)), "b": np.ones(())})
    assert repr(optimizer) == (
        "<SGD: rule 'momentum', lr=0.5, momentum=0.9, dampening=0.0, nesterov=False, form='heavy_ball', weight_decay=0.0, "
        "decoupled_weight_decay=False, maximize=False, flush_denormals=False, zero_grads=False, "
        "convention='torch', backend 'numpy', 7 parameters in 2 arrays, 1 steps>"
    )


def test_what_can_be_asked() -> None:
    p = np.ones(3)
    optimizer = Optimizer(p, "rmsprop", backend="numpy")
    assert optimizer.rule is RULES["rmsprop"]
    assert (optimizer.lr, optimizer.steps, optimizer.backend) == (1e-2, 0, "numpy")
    assert optimizer.params is p
    optimizer.hyperparameters["eps"] = 1.0  # a copy
    assert optimizer.hyperparameters["eps"] == 1e-8
