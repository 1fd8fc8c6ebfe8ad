"""scikit-learn's optimizers laid out: when a layout stands, what it takes, and what becomes of a step that is interrupted."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from typing import Any

import numpy as np
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from fastopt.interop.sklearn import laid
from fastopt.interop.sklearn.laid import KINDS, Laid, UnfitError
from tests.interrupts import interrupted_at

ADAM = {"learning_rate_init": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}


def arrays(dtype: Any = np.float64, seed: int = 0) -> list[Any]:
    """Two layers' coefficients, and their intercepts."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (4, 2), 4, 2)]


def test_one_step_of_adam_by_hand() -> None:
    """Moments of 0.2 g and 0.05 g^2: step 1 divides both by what they were multiplied with, but for the place of eps."""
    p, g = [np.array([[1.0, -2.0]])], [np.array([[0.5, -4.0]])]
    optimizer = AdamOptimizer(p, **ADAM)
    Laid(KINDS["AdamOptimizer"], optimizer, p).step(optimizer, g, 1.0, 0.0)
    rate = 0.02 * np.sqrt(0.05) / 0.2
    expected = np.array([1.0, -2.0]) - rate * np.array([0.1, -0.8]) / (np.sqrt(0.05 * np.array([0.25, 16.0])) + 1e-3)
    assert np.allclose(p[0][0], expected, rtol=1e-15)
    assert optimizer.t == 1
    assert optimizer.learning_rate == pytest.approx(rate, rel=1e-15)


@pytest.mark.parametrize("nesterov", [False, True])
def test_one_step_of_sgd_by_hand(nesterov: bool) -> None:
    """Velocity 0.5 before: v = 0.6 * 0.5 - 0.1 * 2 = 0.1; nesterov: 0.6 * 0.1 - 0.2."""
    p = [np.array([1.0])]
    optimizer = SGDOptimizer(p, 0.1, momentum=0.6, nesterov=nesterov)
    optimizer.velocities[0][:] = 0.5
    Laid(KINDS["SGDOptimizer"], optimizer, p).step(optimizer, [np.array([2.0])], 1.0, 0.0)
    assert optimizer.velocities[0][0] == pytest.approx(0.1, rel=1e-14)
    assert p[0][0] == pytest.approx(1.0 - 0.14 if nesterov else 1.1, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINDS)
def test_sums_are_divided_and_coefficients_alone_decayed(name: str, dtype: Any) -> None:
    kind, owner = KINDS[name], {"AdamOptimizer": AdamOptimizer, "SGDOptimizer": SGDOptimizer}[name]
    ours, theirs = arrays(dtype), arrays(dtype)
    mine, its = owner(ours, 0.05), owner(theirs, 0.05)
    found = Laid(kind, mine, ours)
    for seed in range(1, 4):
        sums = arrays(dtype, seed)
        found.step(mine, sums, 16.0, 0.3 / 16)
        its.update_params(theirs, [(g + 0.3 * p if p.ndim == 2 else g) / 16 for g, p in zip(sums, theirs, strict=True)])
    for own, other in zip(ours, theirs, strict=True):
        assert own.dtype == dtype
        assert np.allclose(own, other, rtol=1e-5 if dtype is np.float32 else 1e-13)


def test_states_are_taken_over_and_never_shared() -> None:
    p = arrays()
    optimizer = AdamOptimizer(p, **ADAM)
    optimizer.ms = given = arrays(seed=5)
    kept = [m.copy() for m in given]
    found = Laid(KINDS["AdamOptimizer"], optimizer, p)
    found.step(optimizer, arrays(seed=1), 1.0, 0.0)
    assert all(np.array_equal(m, before) for m, before in zip(given, kept, strict=True))
    assert not any(np.array_equal(m, before) for m, before in zip(optimizer.ms, kept, strict=True))


def test_a_layout_stands_until_something_is_another() -> None:
    p = arrays()
    optimizer = AdamOptimizer(p, **ADAM)
    found = Laid(KINDS["AdamOptimizer"], optimizer, p)
    assert found.stands(optimizer, list(p))
    optimizer.ms = list(optimizer.ms)
    optimizer.learning_rate_init = 0.5
    assert found.stands(optimizer, p)
    assert found.of_coefs.lr == found.of_intercepts.lr == 0.5
    assert not found.stands(optimizer, [*p[:3], p[3].copy()])
    assert not found.stands(optimizer, p[:3])
    optimizer.beta_2 = 0.5
    assert not found.stands(optimizer, p)
    optimizer.beta_2 = 0.95
    assert found.stands(optimizer, p)
    optimizer.vs[1] = optimizer.vs[1].copy()
    assert not found.stands(optimizer, p)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("longdouble", lambda o, p: p.__setitem__(0, p[0].astype(np.longdouble))),
        ("float16", lambda o, p: p.__setitem__(0, p[0].astype(np.float16))),
        ("read-only", lambda o, p: p[1].flags.__setattr__("writeable", False)),
        ("shared", lambda o, p: p.__setitem__(2, p[0][0])),
        ("none", lambda o, p: p.clear()),
        ("rate", lambda o, p: setattr(o, "learning_rate_init", np.inf)),
        ("beta", lambda o, p: setattr(o, "beta_1", 1.0)),
        ("states", lambda o, p: o.ms.pop()),
        ("shape", lambda o, p: o.vs.__setitem__(0, np.zeros(3))),
    ],
)
def test_what_no_step_can_be_made_of(name: str, change: Any) -> None:
    p = arrays()
    optimizer = AdamOptimizer(p, **ADAM)
    change(optimizer, p)
    before = dict(vars(optimizer))
    with pytest.raises(UnfitError):
        Laid(KINDS["AdamOptimizer"], optimizer, p)
    assert all(vars(optimizer)[key] is value for key, value in before.items())


def test_a_rate_that_cannot_be_used_is_asked_for_anew_each_time() -> None:
    p = arrays()
    optimizer = SGDOptimizer(p)
    found = Laid(KINDS["SGDOptimizer"], optimizer, p)
    optimizer.learning_rate = -1.0
    for _ in range(2):
        with pytest.raises(UnfitError, match="lr"):
            found.stands(optimizer, p)
    optimizer.learning_rate = 0.25
    assert found.stands(optimizer, p)


def test_gradients_of_another_kind_are_taken_as_their_parameters() -> None:
    """Of another dtype and layout; those of another shape are refused with nothing changed."""
    ours, theirs = arrays(np.float32), arrays(np.float32)
    mine, its = SGDOptimizer(ours), SGDOptimizer(theirs)
    found = Laid(KINDS["SGDOptimizer"], mine, ours)
    wide = [np.asfortranarray(g) for g in arrays(np.float64, 1)]
    found.step(mine, wide, 1.0, 0.0)
    its.update_params(theirs, [g.astype(np.float32) for g in wide])
    assert all(np.allclose(own, other, rtol=1e-6) for own, other in zip(ours, theirs, strict=True))
    before = [p.copy() for p in ours]
    for bad in ([*wide[:3], np.zeros(3)], wide[:3], [*wide[:3], np.zeros(2, complex)]):
        with pytest.raises(UnfitError):
            found.step(mine, bad, 1.0, 0.0)
    assert all(np.array_equal(own, other) for own, other in zip(ours, before, strict=True))


def test_a_backend_that_was_asked_for_and_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTOPT_BACKEND", "cublas")
    p = arrays()
    with pytest.raises(ValueError, match="cublas"):
        Laid(KINDS["AdamOptimizer"], AdamOptimizer(p), p)


def test_threads_are_scikit_learns_unless_the_environment_says_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = laid.CountedPlan

    def recorded(*arguments: Any) -> Any:
        asked.append(arguments[-2])
        return real(*arguments)

    monkeypatch.setattr(laid, "CountedPlan", recorded)
    monkeypatch.setattr(laid, "_openmp_effective_n_threads", lambda: 1)
    p = arrays()
    Laid(KINDS["AdamOptimizer"], AdamOptimizer(p), p)
    monkeypatch.setenv("FASTOPT_NUM_THREADS", "2")
    Laid(KINDS["AdamOptimizer"], AdamOptimizer(p), p)
    assert asked == [1, 2]


def test_an_interrupted_step_is_made_whole_or_not_at_all() -> None:
    """Arrays, step count and learning rate together, at every place where an interrupt may come."""
    grads = arrays(seed=1)

    def fresh() -> tuple[Any, Any, Laid]:
        p = arrays()
        optimizer = AdamOptimizer(p, **ADAM)
        found = Laid(KINDS["AdamOptimizer"], optimizer, p)
        found.step(optimizer, grads, 1.0, 0.0)
        return p, optimizer, found

    def all_of(p: Any, optimizer: Any) -> tuple[Any, ...]:
        return (*(a.tobytes() for a in (*p, *optimizer.ms, *optimizer.vs)), optimizer.t, float(optimizer.learning_rate))

    p, optimizer, found = fresh()
    states = [all_of(p, optimizer)]
    found.step(optimizer, grads, 1.0, 0.0)
    states.append(all_of(p, optimizer))
    seen, place = set(), 0
    while True:
        p, optimizer, found = fresh()
        if not interrupted_at(place, lambda: found.step(optimizer, grads, 1.0, 0.0)):  # noqa: B023
            break
        seen.add(states.index(all_of(p, optimizer)))
        place += 1
    assert seen == {0, 1}
    assert found.plan.changes is None
