"""Runs on mini-batches: each step on one of them, and all else after each epoch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import fastopt
import fastopt.interop.scipy as methods
from fastopt.schedules import Plateau
from fastopt.training import Batches

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(3)
FEATURES = RNG.standard_normal((50, 4))
TRUE = np.array([1.0, -2.0, 0.5, 3.0])
TARGETS = FEATURES @ TRUE
X = np.zeros(4)


def loss(w: Array, features: Array, targets: Array, decay: float = 0.0) -> Any:
    away = features @ w - targets
    return 0.5 * float(away @ away) / len(away) + 0.5 * decay * float(w @ w), features.T @ away / len(away) + decay * w


def run(batches: Any, fun: Any = loss, method: Any = methods.adam, callback: Any = None, args: Any = (), **options: Any) -> Any:
    return minimize(fun, X, args, jac=True, method=method, callback=callback, options={"lr": 0.05, "batches": batches, **options})


def by_hand(epochs: int, seed: int) -> tuple[Array, list[float], list[Array]]:
    """The points after each epoch are not kept; the last one, the means, and the mean gradients."""
    x = X.copy()
    optimizer, batches, means, gradients = fastopt.Adam(x, lr=0.05), Batches(FEATURES, TARGETS, batch_size=16, seed=seed), [], []
    for epoch in range(epochs):
        found = []
        for batch in batches.epoch(epoch):
            found.append(loss(x, *batch, 0.01))
            optimizer.step(found[-1][1])
        means.append(np.mean([value for value, _ in found]))
        gradients.append(np.mean([gradient for _, gradient in found], axis=0))
    return x, means, gradients


def test_as_a_loop_over_batches() -> None:
    batches = Batches(FEATURES, TARGETS, batch_size=16, seed=5)
    seen: list[Any] = []

    def callback(intermediate_result: Any) -> None:
        seen.append(intermediate_result)

    result = run(batches, epochs=3, args=(0.01,), callback=callback, keep="last", return_all=True)
    x, means, gradients = by_hand(3, 5)
    np.testing.assert_array_equal(result.x, x)
    np.testing.assert_allclose(result.jac, gradients[-1], rtol=1e-13)
    assert [found.fun for found in seen] == pytest.approx(means, rel=1e-14)
    assert [found.nit for found in seen] == [4, 8, 12]
    np.testing.assert_array_equal(result.allvecs, [X, *(found.x for found in seen)])
    assert (result.nit, result.nfev, result.njev, result.epochs, result.fun) == (12, 12, 12, 3, seen[-1].fun)
    assert (result.status, result.message) == (0, "3 epochs with 12 iterations were made; no tolerance was set.")
    assert not np.array_equal(result.x, by_hand(3, 6)[0]), "the seed decides"


def test_it_gets_there() -> None:
    result = run(Batches(FEATURES, TARGETS, batch_size=10), epochs=200, gtol=1e-4)
    assert result.success
    assert "gtol" in result.message
    assert result.epochs < 200
    np.testing.assert_allclose(result.x, TRUE, atol=1e-3)


@pytest.mark.parametrize("form", ["list", "single", "generator", "epoch"])
def test_forms_of_batches(form: str) -> None:
    class Own:
        def epoch(self, k: int) -> Any:
            asked.append(k)
            return [(1.0,), (2.0,)]

    asked: list[int] = []
    seen: list[float] = []

    def fun(x: Array, batch: float) -> Any:
        seen.append(batch)
        return batch, np.ones(4)

    forms = {"list": [(1.0,), (2.0,)], "single": np.array([1.0, 2.0]), "generator": (b for b in (1.0, 2.0)), "epoch": Own()}
    epochs = 1 if form == "generator" else 2
    run(forms[form], fun, epochs=epochs)
    assert seen == [1.0, 2.0] * epochs
    assert asked == ([0, 1] if form == "epoch" else [])


def test_maxiter_cuts_an_epoch_short() -> None:
    values = [(4.0,), (2.0,), (9.0,)]
    result = run(values, lambda x, value: (value, np.full(4, value)), epochs=3, maxiter=5, keep="last")
    assert (result.nit, result.epochs, result.fun) == (5, 2, 3.0)
    np.testing.assert_array_equal(result.jac, np.full(4, 3.0))
    assert result.message == "2 epochs with 5 iterations were made; no tolerance was set."
    assert run(values, lambda x, value: (value, x), maxiter=0).nit == 0


def test_the_end_of_the_best_epoch() -> None:
    means = iter([5.0, 3.0, 4.0, 6.0])
    points: list[Array] = []
    result = run([()], lambda x: (next(means), np.arange(4.0)), epochs=4, callback=lambda xk: points.append(xk))
    assert result.fun == 3.0
    np.testing.assert_array_equal(result.x, points[1])
    assert result.nfev == 4


@pytest.mark.parametrize(("options", "says"), [({"ftol": 1e-3}, "ftol"), ({"xtol": 1e-3}, "xtol"), ({"tol": 1e-2}, "gtol")])
def test_tolerances_are_looked_at_per_epoch(options: dict[str, Any], says: str) -> None:
    result = run(Batches(FEATURES, TARGETS, batch_size=25), epochs=500, patience=2, **options)
    assert result.success
    assert f"({says}: " in result.message
    assert result.nit == 2 * result.epochs < 1_000
    short = run(Batches(FEATURES, TARGETS, batch_size=25), epochs=2, patience=2, **options)
    assert (short.status, short.message) == (1, "2 epochs with 4 iterations were made, and no tolerance is met.")


def test_a_plateau_is_told_the_means() -> None:
    steps: list[Array] = [X]
    options = {"lr": Plateau(0.1, factor=0.5, patience=1), "epochs": 5}
    run([(1.0,), (3.0,)], lambda x, value: (value, np.ones(4)), methods.sgd, lambda xk: steps.append(xk), keep="last", **options)
    plateau, expected = Plateau(0.1, factor=0.5, patience=1), []
    for k in range(5):
        expected.append(2 * plateau.at(2 * k))
        plateau = plateau.observe(2.0)
    np.testing.assert_allclose([before[0] - after[0] for before, after in pairwise(steps)], expected)


def test_what_is_not_finite_ends_it_at_once() -> None:
    values = [(1.0,), (np.nan,), (1.0,)]
    result = run(values, lambda x, value: (value, np.ones(4)), epochs=2)
    assert (result.status, result.nit, result.epochs) == (3, 1, 0)
    assert result.message == "Non-finite value encountered: fun is nan after 1 steps; the learning rate may be too high."
    np.testing.assert_array_equal(result.x, X)
    assert np.isnan(result.fun)
    assert not np.array_equal(run(values, lambda x, value: (value, np.ones(4)), keep="last").x, X)


def test_stop_iteration() -> None:
    def callback(xk: Array) -> None:
        raise StopIteration

    result = run([()], lambda x: (1.0, np.ones(4)), epochs=7, callback=callback)
    assert (result.status, result.epochs, result.nit) == (99, 1, 1)


def test_schedule_free() -> None:
    batches = Batches(FEATURES, TARGETS, batch_size=25)
    for keep in ("best", "last"):
        result = run(batches, method=methods.schedule_free_adamw, epochs=4, keep=keep)
        np.testing.assert_array_equal(result.x, result.optimizer.averages())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batches": 3}, TypeError, r"^batches: expected fastopt.training.Batches or an iterable of arguments, received 3 \(int\)$"),
        ({"batches": "ab"}, TypeError, r"^batches: expected .*, received 'ab' \(str\)$"),
        ({"batches": iter([1]), "epochs": 2}, ValueError, r"^batches: expected what can be iterated over in each of 2 epochs, received "),
        ({"batches": [], "epochs": 2}, ValueError, r"^batches: expected at least one in an epoch, received none in epoch 0$"),
        ({"batches": [()], "epochs": -1}, ValueError, r"^epochs: expected an integer >= 0, received -1$"),
        ({"batches": None, "epochs": 2}, ValueError, r"^epochs: expected None where there are no batches, received 2 \(int\)$"),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        minimize(lambda x: (1.0, x), X, jac=True, method=methods.adam, options=options)
