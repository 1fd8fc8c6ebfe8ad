"""Callbacks in both of SciPy's signatures, and StopIteration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import OptimizeResult, minimize, rosen, rosen_der

import fastopt.interop.scipy as methods

X = np.array([0.3, -0.7, 2.0])


def run(callback: Any, fun: Any = rosen, method: Any = methods.adam, **options: Any) -> Any:
    return minimize(fun, X, jac=rosen_der, method=method, callback=callback, options={"maxiter": 5, "lr": 0.01, **options})


def test_points() -> None:
    path: list[Any] = []
    result = run(lambda xk: path.append(xk), return_all=True)
    np.testing.assert_array_equal(result.allvecs, [X, *path])
    np.testing.assert_array_equal(path[-1], result.x)
    path.clear()
    run(path.append)  # which has no signature to read
    np.testing.assert_array_equal(result.allvecs[1:], path)


def test_results() -> None:
    seen: list[Any] = []

    def callback(intermediate_result: OptimizeResult) -> None:
        seen.append(intermediate_result)
        intermediate_result.x[:] = 0.0  # a copy

    result = run(callback)
    assert [found.nit for found in seen] == [1, 2, 3, 4, 5]
    assert seen[-1].fun == result.fun
    assert result.fun < seen[0].fun
    kept: list[Any] = []
    run(lambda intermediate_result: kept.append((intermediate_result.x, intermediate_result.fun)))
    assert [rosen(x) for x, _ in kept] == [fun for _, fun in kept]


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("method", ["L-BFGS-B", methods.adam])
def test_stop_iteration_ends_as_scipys_own(method: Any, keep: str) -> None:
    calls = []

    def callback(xk: Any) -> None:
        calls.append(xk)
        if len(calls) == 2:
            raise StopIteration

    options = {} if isinstance(method, str) else {"keep": keep, "lr": 0.01}
    result = minimize(rosen, X, jac=rosen_der, method=method, callback=callback, options={"maxiter": 5, **options})
    assert (result.status, result.success, result.message, result.nit) == (99, False, "`callback` raised `StopIteration`.", 2)
    np.testing.assert_array_equal(result.x, calls[-1])
    assert result.fun == rosen(result.x)


def test_what_it_returns_is_not_looked_at() -> None:
    assert run(lambda xk: True).nit == 5


def test_stop_iteration_of_fun_is_an_error() -> None:
    def fun(x: Any) -> float:
        raise StopIteration

    with pytest.raises(StopIteration):
        run(lambda xk: None, fun)


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match=r"^callback: expected a function, received 3 \(int\)$"):
        methods.adam(rosen, X, jac=rosen_der, callback=3)
