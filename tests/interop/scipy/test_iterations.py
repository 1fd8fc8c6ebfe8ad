"""The loop over one and the same function: what it calls, in which order, and schedules that go by the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

import fastopt.interop.scipy as methods
from fastopt.schedules import Plateau

Array = np.ndarray[Any, Any]


def test_the_order_of_calls() -> None:
    calls: list[str] = []

    def said(what: str, found: Any) -> Any:
        calls.append(what)
        return found

    def fun(x: Array) -> Any:
        return said("fun", rosen(x))

    def jac(x: Array) -> Any:
        return said("jac", rosen_der(x))

    minimize(fun, [0.5, 0.5], jac=jac, method=methods.adam, callback=lambda xk: said("callback", None), options={"maxiter": 2})
    assert calls == ["fun", "jac", "fun", "jac", "callback", "fun", "jac", "callback"]


def test_a_plateau_is_told_every_value() -> None:
    rates = []

    def callback(intermediate_result: Any) -> None:
        rates.append(float(np.abs(steps[-1] - intermediate_result.x).max()))
        steps.append(intermediate_result.x)

    steps = [np.array([1.0, 1.0])]
    options = {"lr": Plateau(0.1, factor=0.5, patience=2), "maxiter": 9, "gtol": None, "keep": "last"}
    minimize(lambda x: 1.0, [1.0, 1.0], jac=lambda x: np.ones(2), method=methods.sgd, callback=callback, options=options)
    plateau = Plateau(0.1, factor=0.5, patience=2)
    expected = []
    for k in range(9):
        plateau = plateau.observe(1.0)
        expected.append(plateau.at(k))
    np.testing.assert_allclose(rates, expected)
    assert min(expected) < max(expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_stay(dtype: Any) -> None:
    kinds = set()

    def both(x: Array) -> Any:
        kinds.add(x.dtype)
        return float(x.astype(np.float64) @ x), x

    x0 = np.array([2.0, 1.0], dtype)
    result = minimize(both, x0, jac=True, method=methods.adam, options={"maxiter": 5, "lr": 0.1})
    assert {result.x.dtype, result.jac.dtype, *kinds} == {np.dtype(dtype)}
    np.testing.assert_array_equal(x0, np.array([2.0, 1.0]))
