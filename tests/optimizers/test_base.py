"""`Optimizer`: in place, whole, resumable."""

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

Array = np.ndarray[Any, Any]
EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]
SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (300,), (), (0, 7), (2, 1, 5))


def arrays(seed: int, dtypes: tuple[Any, ...] = (np.float32,)) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)).astype(dtypes[i % len(dtypes)]) for i, shape in enumerate(SHAPES)]


def bits(optimizer: Optimizer) -> list[bytes]:
    """Parameters and states."""
    return [a.tobytes() for a in optimizer._params] + [a.tobytes() for own in optimizer._states for a in own]


# --------------------------------------------------------------------------------------------------------------- in place


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_configure_holds_from_the_next_step_on(backend: str) -> None:
    needed(backend)
    params = arrays(5)
    optimizer = fastopt.Adam(params, 0.1, backend=backend)
    stages: list[dict[str, Any]] = [
        {},
        {"lr": 0.03, "betas": (0.5, 0.75)},
        {"weight_decay": 0.2},  # another kernel: coupled
        {"decoupled_weight_decay": True},
        {"weight_decay": 0.0, "maximize": True, "eps": 0.01},
    ]
    current: dict[str, Any] = {"lr": 0.1}
    own = [[p.copy(), np.zeros_like(p), np.zeros_like(p)] for p in arrays(5)]
    for step, changes in enumerate(stages):
        if changes:
            optimizer.configure(**changes)
        current |= changes
        gradients = arrays(60 + step)
        optimizer.step(gradients)
        for (p, m, v), g in zip(own, gradients, strict=True):
            fastopt.functional.adam(p, g, m, v, step=step + 1, backend=backend, **current)
        assert [p.tobytes() for p in params] == [p.tobytes() for p, _, _ in own], changes
    assert optimizer.lr == 0.03
    assert optimizer.hyperparameters == {
        "betas": (0.5, 0.75), "eps": 0.01, "amsgrad": False, "eps_root": 0.0, "eps_hat": False, "weight_decay": 0.0,
            "decoupled_weight_decay": True, "maximize": True, "convention": "torch",
    }  # fmt: skip


def test_configure_is_whole_or_not_at_all_when_a_kernel_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = fastopt.Adam(np.ones(3), 0.1, backend="numpy")
    state = optimizer.state_dict()

    def refuse(*_: Any) -> Any:
        raise RuntimeError("no compiler")

    with monkeypatch.context() as patch:
        patch.setattr(optimizer._backend, "prepare", refuse)
        with pytest.raises(RuntimeError, match="no compiler"):
            optimizer.configure(lr=0.5, weight_decay=0.1)
        changed = {"m": np.ones(3), "v": np.ones(3)}
        with pytest.raises(RuntimeError, match="no compiler"):
            optimizer.load_state_dict({**state, "steps": 5, "groups": [{**state["groups"][0], "weight_decay": 0.1}], "state": changed})
    after = optimizer.state_dict()
    assert optimizer.lr == 0.1
    assert optimizer.steps == 0
    assert after["groups"] == state["groups"]
    assert not after["state"]["m"].any()
    assert not after["state"]["v"].any()


def test_lr_is_set_between_steps() -> None:
    p = np.zeros(2)
    optimizer = fastopt.SGD(p, lr=1.0, backend="numpy")
    for lr in (1.0, 0.25, 0.0, 4):
        optimizer.lr = lr
        assert optimizer.lr == lr
        optimizer.step(np.ones(2))
    assert p.tolist() == [-5.25, -5.25]
    assert optimizer.steps == 4


# ------------------------------------------------------------------------------------------- state, copies, and pickles


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


def test_repr_says_what_there_is() -> None:
    optimizer = fastopt.SGD({"w": np.ones((2, 3)), "b": np.ones(())}, lr=0.5, momentum=0.9, backend="numpy")
    optimizer.step({"w": np.ones((2, 3)), "b": np.ones(())})
    assert repr(optimizer) == (
        "<SGD: rule 'momentum', lr=0.5, momentum=0.9, dampening=0.0, nesterov=False, form='heavy_ball', weight_decay=0.0, "
        "decoupled_weight_decay=False, maximize=False, convention='torch', backend 'numpy', 7 parameters in 2 arrays, 1 steps>"
    )


def test_what_can_be_asked() -> None:
    p = np.ones(3)
    optimizer = Optimizer(p, "rmsprop", backend="numpy")
    assert optimizer.rule is RULES["rmsprop"]
    assert (optimizer.lr, optimizer.steps, optimizer.backend) == (1e-2, 0, "numpy")
    assert optimizer.params is p
    optimizer.hyperparameters["eps"] = 1.0  # a copy
    assert optimizer.hyperparameters["eps"] == 1e-8


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


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_a_step_of_nothing_moves_nothing(launching: str) -> None:
    """Those who make states before they load them step with gradients of 0 and a learning rate of 0."""
    for make in (fastopt.Adam, fastopt.AdamW, fastopt.NAdam, fastopt.RMSProp, fastopt.SGD, fastopt.AdaGrad):
        p = np.array([1.0, -2.0, 0.0, -0.0, 1e-310])
        opt, before = make(p, 0.0, weight_decay=0.1, backend=launching), p.tobytes()
        opt.step(np.zeros(5))
        assert p.tobytes() == before


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_the_highest_count_that_is_loaded_goes_on(launching: str) -> None:
    opt = fastopt.Adam(np.ones(3), backend=launching)
    kept = opt.state_dict()
    kept["steps"] = kept["slots"][0]["steps"] = 2**62
    opt.load_state_dict(kept)
    opt.step(np.ones(3))
    assert opt.steps == opt.state_dict()["slots"][0]["steps"] == 2**62 + 1
