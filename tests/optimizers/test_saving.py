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
from fastopt.storage import STORAGES
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


# ------------------------------------------------------------------------------------- moving averages of the parameters


@pytest.mark.parametrize(("dtype", "state_dtype"), [("float32", None), ("float64", None), ("float32", "float16")])
@pytest.mark.parametrize("backend", BACKENDS)
def test_averages_are_those_of_others(backend: str, dtype: str, state_dtype: str | None) -> None:
    """The same operations in the same order as torch's average function and as what `optax.ema` is made of."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    needed(backend)
    rng = np.random.default_rng(0)
    params = [rng.standard_normal(shape).astype(dtype) for shape in (5, (), (2, 3))]
    theirs = [torch.from_numpy(p.copy()) for p in params]
    average = torch.optim.swa_utils.get_ema_avg_fn(0.9)
    opt = fastopt.Adam(params, 0.1, ema_decay=0.9, backend=backend, state_dtype=state_dtype)
    assert all(a.tobytes() == p.tobytes() for a, p in zip(opt.averages(), params, strict=True)), "they begin as copies"
    plain = [p.copy() for p in params]
    beside = fastopt.Adam(plain, 0.1, backend=backend, state_dtype=state_dtype)
    for _ in range(20):
        grads = [rng.standard_normal(p.shape).astype(dtype) for p in params]
        opt.step(grads)
        beside.step(grads)
        theirs = [average(a, torch.from_numpy(np.array(p)), None) for a, p in zip(theirs, params, strict=True)]
        found = opt.averages()
        assert all(a.tobytes() == t.numpy().tobytes() for a, t in zip(found, theirs, strict=True))
    assert all(a.tobytes() == p.tobytes() for a, p in zip(plain, params, strict=True)), "parameters are what they are without"
    assert [a.dtype.name for a in found] == [dtype] * 3
    assert {state.dtype.name for state in opt.state_dict()["state"]["ema"]} == {dtype}
    assert {state.dtype.name for state in opt.state_dict()["state"]["m"]} == {state_dtype or dtype}
    optax: Any = pytest.importorskip("optax", reason="optax is not installed")
    before = [a.copy() for a in found]
    opt.step([np.ones_like(p) for p in params])
    if dtype == "float64":
        expected = optax.tree.update_moment(params, before, 0.9, 1)
        assert all((a == e).all() for a, e in zip(opt.averages(), expected, strict=True))


def test_narrow_parameters_have_averages_of_what_was_not_rounded() -> None:
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    p = np.ones(2, STORAGES["bfloat16"].dtype)
    opt = fastopt.SGD(p, 1.0, ema_decay=0.5)
    opt.step(np.full(2, 2.0**-10, p.dtype))
    assert p.tolist() == [1.0, 1.0]
    assert opt.state_dict()["state"]["ema"].tolist() == [1.0 - 2.0**-11] * 2
    assert opt.averages().dtype == p.dtype


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_average_comes_and_goes_and_the_states_stay(backend: str) -> None:
    needed(backend)
    p, own = np.zeros(2), np.zeros(2)
    opt, plain = (fastopt.Momentum(a, 0.5, backend=backend) for a in (p, own))
    for each in (opt, plain):
        each.step(np.ones(2))
    assert opt._kernels[0].bytes_per_parameter == 5 * 8
    opt.ema_decay = 0.75
    assert opt._kernels[0].bytes_per_parameter == 7 * 8
    assert opt.averages().tolist() == p.tolist() == [-0.5, -0.5]
    for each in (opt, plain):
        each.step(np.ones(2))
    assert p.tolist() == own.tolist() == [-0.5 - 0.5 * 1.9] * 2
    assert opt.averages().tolist() == [0.75 * -0.5 + 0.25 * (-0.5 - 0.5 * 1.9)] * 2
    before = opt.averages()
    opt.configure(ema_decay=0.5, weight_decay=0.1)
    assert (opt.averages() == before).all()
    opt.ema_decay = None
    with pytest.raises(ValueError, match=r"^averages: expected an ema_decay, received None in group 0$"):
        opt.averages()
    assert list(opt.state_dict()["state"]) == ["b"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_has_no_gradient_keeps_its_average(backend: str) -> None:
    needed(backend)
    a, b = np.ones(2), np.ones(3)
    opt = fastopt.SGD([{"params": a}, {"params": b, "ema_decay": 0.25}], 1.0, ema_decay=0.5, backend=backend)
    opt.step([np.ones(2), np.ones(3)])
    assert [x.tolist() for x in opt.averages()] == [[0.5] * 2, [0.25] * 3]
    opt.step([None, np.ones(3)])
    assert [x.tolist() for x in opt.averages()] == [[0.5] * 2, [0.25 * 0.25 - 0.75] * 3]
    opt.add_param_group({"params": np.full(1, 2.0)})
    assert opt.averages()[2].tolist() == [2.0]
    opt.groups[0].ema_decay = None
    with pytest.raises(ValueError, match=r"in group 0$"):
        opt.averages()
    assert opt.flat_state()["ema"][0] is None


def test_a_checkpoint_with_averages_is_for_one_that_keeps_them() -> None:
    with_, without = (fastopt.Adam(np.ones(2), 0.1, ema_decay=decay) for decay in (0.5, None))
    with pytest.raises(ValueError, match=r"^state_dict\['state'\]: expected a mapping with \['m', 'v'\]; received \['m', 'v', 'ema'\]$"):
        without.load_state_dict(with_.state_dict())
    with pytest.raises(ValueError, match=r"^state_dict\['state'\]: expected a mapping with \['m', 'v', 'ema'\]; received \['m', 'v'\]$"):
        with_.load_state_dict(without.state_dict())
    saved = with_.state_dict()
    saved["groups"][0]["ema_decay"] = None
    with pytest.raises(ValueError, match=r"^state_dict\['groups'\]\[0\]\['ema_decay'\]: expected a number, received None; configure"):
        with_.load_state_dict(saved)
    without.ema_decay = 0.75
    without.load_state_dict(with_.state_dict())
    assert without.ema_decay == 0.5
