"""How a run ends, and which point is the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds, minimize

import fastopt
import fastopt.interop.scipy as methods

Array = np.ndarray[Any, Any]
X = np.array([2.0, 1.0])


def bowl(x: Array) -> Any:
    return 0.5 * float(x @ x), x.copy()


def run(fun: Any = bowl, x0: Any = X, method: Any = methods.sgd, bounds: Any = None, **options: Any) -> Any:
    return minimize(fun, x0, jac=True, method=method, bounds=bounds, options={"lr": 0.1, **options})


def test_the_fields() -> None:
    result = run(maxiter=3, return_all=True)
    expected = [X * 0.9**k for k in range(4)]
    np.testing.assert_allclose(result.allvecs, expected)
    np.testing.assert_allclose(result.x, expected[-1])
    np.testing.assert_array_equal(result.jac, result.x)
    assert result.fun == bowl(result.x)[0]
    assert (result.nit, result.nfev, result.njev) == (3, 4, 4)
    assert (result.status, result.success, result.message) == (1, False, "3 iterations were made, and no tolerance is met.")
    assert isinstance(result.optimizer, fastopt.SGD)
    assert result.optimizer.steps == 3
    assert "allvecs" not in run(maxiter=0)
    assert "epochs" not in result
    np.testing.assert_array_equal(X, [2.0, 1.0])


def test_all_steps_that_were_asked_for() -> None:
    result = run(maxiter=3, gtol=None)
    assert (result.status, result.success, result.message) == (0, True, "3 iterations were made; no tolerance was set.")


def test_no_steps() -> None:
    result = run(maxiter=0)
    assert (result.nit, result.nfev, result.status) == (0, 1, 1)
    np.testing.assert_array_equal(result.x, X)
    assert result.x is not X
    at_once = run(x0=[0.0, 0.0])
    assert (at_once.nit, at_once.status) == (0, 0)


def test_the_best_point_or_the_last() -> None:
    """Up and down in turns, farther each time: with lr 2.1 and curvature 1, x goes to -1.1 x."""
    best, last = run(lr=2.1, maxiter=4), run(lr=2.1, maxiter=4, keep="last")
    np.testing.assert_array_equal(best.x, X)
    np.testing.assert_array_equal(best.jac, X)
    assert (best.fun, best.nfev, best.njev) == (2.5, 6, 6)  # once more, for the gradient there
    np.testing.assert_allclose(last.x, 1.1**4 * X)
    np.testing.assert_array_equal(last.jac, last.x)
    assert (last.fun, last.nfev) == (bowl(last.x)[0], 5)
    assert best.nit == last.nit == 4


def test_a_best_point_on_the_way() -> None:
    values = iter([5.0, 4.0, 1.0, 2.0, 3.0, 7.0])
    result = run(lambda x: (next(values), np.ones(2)), maxiter=4)
    np.testing.assert_allclose(result.x, X - 0.2)
    assert result.fun == 7.0  # of the point as it is, evaluated anew


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["fun", "jac"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_what_is_not_finite_ends_it(bad: float, where: str, keep: str) -> None:
    calls = []

    def fun(x: Array) -> Any:
        calls.append(x)
        value, gradient = bowl(x)
        if len(calls) == 3:
            return (bad, gradient) if where == "fun" else (value, np.array([0.0, bad]))
        return value, gradient

    result = run(fun, keep=keep)
    assert (result.status, result.success, result.nit) == (3, False, 2)
    what = f"fun is {bad}" if where == "fun" else "the gradient is not finite"
    assert result.message == f"Non-finite value encountered: {what} after 2 steps; the learning rate may be too high."
    if keep == "last":
        np.testing.assert_array_equal(result.x, calls[2])
        assert not (np.isfinite(result.fun) and np.isfinite(result.jac).all())


def test_a_diverging_run_keeps_its_best_point() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        result = run(lambda x: (float(((x - 1.0) ** 4).sum()), 4.0 * (x - 1.0) ** 3), x0=[4.0, 2.0], lr=1.0)
    assert result.status == 3
    assert result.fun == 82.0
    np.testing.assert_array_equal(result.x, [4.0, 2.0])


def test_nothing_finite_at_all() -> None:
    result = run(lambda x: (np.nan, x))
    assert result.message == "Non-finite value encountered: fun is nan at x0."
    np.testing.assert_array_equal(result.x, X)
    assert np.isnan(result.fun)
    later = run(lambda x: (bowl(x)[0], x * np.inf))
    assert later.message == "Non-finite value encountered: the gradient is not finite at x0."


def test_bounds_hold_at_every_point_and_at_the_end() -> None:
    seen: list[Array] = []

    def fun(x: Array) -> Any:
        seen.append(x)
        return float(((x - [3.0, -3.0]) ** 2).sum()), 2.0 * (x - [3.0, -3.0])

    bounds = Bounds([-1.0, -0.5], [1.0, np.inf])
    for method in (methods.sgd, methods.adam, methods.momentum):
        seen.clear()
        result = run(fun, [5.0, 5.0], method, bounds)
        np.testing.assert_array_equal(result.x, [1.0, -0.5])
        assert result.success, result.message  # the projected gradient is 0, the gradient is not
        np.testing.assert_array_equal(seen[0], [1.0, 5.0])
        assert all((x >= bounds.lb).all() and (x <= bounds.ub).all() for x in seen)


def test_a_gradient_that_is_not_finite_is_seen_within_bounds_too() -> None:
    result = run(lambda x: (1.0, np.array([-np.inf, 0.0])), bounds=[(0.0, 2.0), (0.0, 2.0)])
    assert result.status == 3


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("method", [methods.schedule_free_sgd, methods.schedule_free_adamw])
def test_schedule_free_methods_give_their_average(method: Any, keep: str) -> None:
    result = run(method=method, maxiter=20, keep=keep, gtol=None)
    if keep == "last":
        np.testing.assert_array_equal(result.x, result.optimizer.averages())
    assert result.fun == bowl(result.x)[0]
    np.testing.assert_array_equal(result.jac, result.x)
    assert result.nfev == 22 if keep == "last" else result.nfev in (22, 23)
    assert result.fun < 2.5
