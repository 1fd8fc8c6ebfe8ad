"""Tolerances: what each looks at, and for how long."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import fastopt.interop.scipy as methods
from fastopt.interop.scipy.stopping import Tolerances, largest

NONE = np.zeros(1)


def test_the_largest_element() -> None:
    assert largest(np.array([1.0, -3.0, 2.0])) == 3.0
    assert largest(np.array([1.0, 4.0, -2.0], np.float32)) == 4.0
    for bad in (np.nan, np.inf, -np.inf):
        for other in (0.0, -1.0, 1.0):
            assert not math.isfinite(largest(np.array([other, bad, 5.0])))


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_ftol_takes_patience_and_is_relative_above_1(scale: float) -> None:
    tolerances = Tolerances(None, 0.1, None, 2)
    tolerances.begin(NONE, 10.0 * scale)
    # lower by 2, 0.5, 0.8, 0.6 and not at all, where a tenth of the best before is 1, 0.8, 0.75, 0.67 and 0.61
    met = [tolerances.met(NONE, scale * value) for value in (8.0, 7.5, 6.7, 6.1, 6.2)]
    assert [value is not None for value in met] == [False, False, False, False, True]
    assert met[-1] == f"ftol: 2 times in a row, fun did not become lower than {6.1 * scale:g} by more than the tolerance"


def test_ftol_is_absolute_below_1_and_0_waits_for_no_progress() -> None:
    tolerances = Tolerances(None, 0.1, None, 1)
    tolerances.begin(NONE, 0.5)
    assert tolerances.met(NONE, 0.3) is None
    assert tolerances.met(NONE, 0.21) is not None
    tolerances = Tolerances(None, 0.0, None, 1)
    tolerances.begin(NONE, None)
    assert [tolerances.met(NONE, value) is None for value in (3.0, 2.999, 2.999)] == [True, True, False]


def test_xtol_looks_at_the_largest_change() -> None:
    tolerances = Tolerances(None, None, 0.1, 2)
    x = np.array([0.0, 20.0])
    tolerances.begin(x, 0.0)
    moved = []
    for change in ([0.0, 3.0], [1.0, 0.0], [-2.5, 0.0], [0.0, 2.0], [0.0, -2.0]):  # the largest element is 20 to 25, a tenth of it 2 to 2.5
        x += change
        moved.append(tolerances.met(x, 0.0) is None)
    assert moved == [True, True, True, True, False]
    small = Tolerances(None, None, 0.1, 1)
    x = np.array([1e-3])
    small.begin(x, 0.0)
    x += 0.09
    assert small.met(x, 0.0) == "xtol: 1 times in a row, x moved by less than the tolerance, 0.09 in the end"


def test_gtol() -> None:
    assert Tolerances(0.5, None, None, 1).flat_at(0.5) == "gtol: the gradient's largest element is 0.5"
    assert Tolerances(0.5, None, None, 1).flat_at(0.51) is None
    assert Tolerances(None, None, None, 1).flat_at(0.0) is None


def bowl(x: Any) -> Any:
    return 0.5 * float(x @ x), x


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"gtol": 1e-2}, "gtol"),
        ({"gtol": None, "ftol": 1e-3}, "ftol"),
        ({"gtol": None, "xtol": 1e-3, "patience": 3}, "xtol"),
        ({"tol": 1e-2}, "gtol"),
        ({}, "gtol"),
    ],
)
def test_runs_end_by_them(options: dict[str, Any], says: str) -> None:
    tol = options.get("tol")
    given = {key: value for key, value in options.items() if key != "tol"}
    result = minimize(bowl, [2.0, 1.0], jac=True, method=methods.sgd, tol=tol, options={"lr": 0.1, **given})
    assert result.success
    assert result.message.startswith(f"Optimization terminated successfully ({says}: ")
    # x shrinks by a factor of 0.9 a step, and is the gradient
    if says == "gtol":
        assert result.nit == math.ceil(math.log((options.get("gtol") or tol or 1e-5) / 2.0, 0.9))
    if says == "xtol":
        first = next(k for k in range(1000) if 2.0 * 0.9**k * 0.1 <= 1e-3 * max(1.0, 2.0 * 0.9 ** (k + 1)))
        assert result.nit == first + 3
    if says == "ftol":
        values = [2.5 * 0.81**k for k in range(200)]
        flat = next(k for k in range(1, 200) if values[k - 1] - values[k] <= 1e-3 * max(values[k - 1], 1.0))
        assert result.nit == flat + 9


def test_tol_leaves_what_is_given() -> None:
    for gtol, expected in ((1e-3, 0), (None, 1)):
        options = {"lr": 0.1, "gtol": gtol, "xtol": 0.0, "maxiter": 100}
        assert minimize(bowl, [2.0, 1.0], jac=True, method=methods.sgd, tol=1.0, options=options).status == expected


@pytest.mark.parametrize("name", ["gtol", "ftol", "xtol"])
def test_what_is_no_tolerance(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected a finite number >= 0, received -1.0$"):
        methods.sgd(bowl, [1.0], jac=True, **{name: -1.0})
    with pytest.raises(TypeError, match=f"^{name}: expected a finite number >= 0, received 'a'"):
        methods.sgd(bowl, [1.0], jac=True, **{name: "a"})
