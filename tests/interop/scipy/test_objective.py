"""Values and gradients, however they are given: what is asked of the caller's functions, and what they may do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import Bounds, rosen, rosen_der

import fastopt.interop.scipy as methods
from fastopt.interop.scipy.box import Box
from fastopt.interop.scipy.objective import Objective

Array = np.ndarray[Any, Any]
X = np.array([0.3, -0.7, 2.0])


def both(x: Array) -> tuple[float, Array]:
    return rosen(x), rosen_der(x)


def counts(objective: Objective) -> tuple[int, int]:
    return objective.nfev, objective.njev


@pytest.mark.parametrize(("fun", "jac"), [(rosen, rosen_der), (both, True)])
def test_a_gradient_of_the_callers(fun: Any, jac: Any) -> None:
    objective = Objective(fun, jac, (), X, None, None)
    value, gradient = objective.at(X)
    assert value == rosen(X)
    assert type(value) is float
    np.testing.assert_array_equal(gradient, rosen_der(X))
    assert counts(objective) == (1, 1)


@pytest.mark.parametrize("jac", [None, False, "2-point"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward_differences(jac: Any, dtype: Any) -> None:
    points: list[Array] = []

    def kept(x: Array) -> float:
        points.append(x)
        return float(rosen(x))

    x = X.astype(dtype)
    objective = Objective(kept, jac, (), x, None, None)
    value, gradient = objective.at(x)
    assert gradient.dtype == dtype
    assert value == rosen(x.astype(np.float64))
    np.testing.assert_allclose(gradient, rosen_der(x.astype(np.float64)), rtol=1e-5)
    assert counts(objective) == (4, 1)
    assert {point.dtype for point in points} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(points[0], x)
    np.testing.assert_allclose([point[i] - x[i] for i, point in enumerate(points[1:])], 2**-26 * np.array([1, -1, 2]), rtol=1e-6)


def test_the_step_of_differences() -> None:
    objective = Objective(lambda x: float(x[0] ** 2), None, (), X[:1], None, 0.25)
    assert objective.at(X[:1])[1] == pytest.approx(2 * 0.3 + 0.25)


def test_differences_do_not_leave_the_bounds() -> None:
    box = Box(Bounds([0.3, -0.7, 1.0], [1.0, 0.0, 2.0]), X)  # X lies on the side that each step would cross, but for the first

    def within(x: Array) -> float:
        assert (x >= box.low).all()
        assert (x <= box.high).all()
        return float(rosen(x))

    np.testing.assert_allclose(Objective(within, None, (), X, box, None).at(X)[1], rosen_der(X), rtol=1e-5)


def test_extra_arguments() -> None:
    def fun(x: Array, *rest: Any) -> float:
        return float(rest[0] - rest[-1])

    for args, expected in (((5.0, 2.0), 3.0), (4.0, 0.0)):
        assert Objective(fun, lambda x, *rest: x, args, X, None, None).at(X)[0] == expected
    assert Objective(fun, lambda x, *rest: x, (2.0,), X, None, None).at(X, (7.0, 8.0))[0] == 5.0  # the batch comes first
    assert Objective(fun, None, (2.0,), X, None, None).at(X, (7.0, 8.0))[0] == 5.0


def test_what_the_functions_are_given_is_theirs() -> None:
    kept: list[Array] = []

    def spoiling(x: Array) -> Any:
        found = rosen(x)
        x[:] = np.nan
        kept.append(x)
        return found

    def spoiling_too(x: Array) -> Any:
        found = rosen_der(x)
        x[:] = np.nan
        kept.append(x)
        return found

    result = scipy.optimize.minimize(spoiling, X, jac=spoiling_too, method=methods.adam, options={"maxiter": 4})
    plain = scipy.optimize.minimize(rosen, X, jac=rosen_der, method=methods.adam, options={"maxiter": 4})
    np.testing.assert_array_equal(result.x, plain.x)
    assert len({id(x) for x in kept}) == len(kept)


def test_a_gradient_that_is_written_into_one_buffer() -> None:
    buffer = np.empty(3)

    def reused(x: Array) -> Array:
        buffer[:] = rosen_der(x)
        return buffer

    result = scipy.optimize.minimize(rosen, X, jac=reused, method=methods.adam, options={"maxiter": 4})
    buffer[:] = 0.0
    np.testing.assert_array_equal(result.jac, rosen_der(result.x))


def test_one_function_for_both_is_called_once_a_step() -> None:
    calls: list[Array] = []

    def counted(x: Array) -> Any:
        calls.append(x)
        return both(x)

    result = scipy.optimize.minimize(counted, X, jac=True, method=methods.adam, options={"maxiter": 4, "keep": "last"})
    assert len(calls) == result.nfev == result.njev == 5


def test_a_batch_at_the_same_point_is_evaluated_anew() -> None:
    """SciPy's memory of fun's last answer goes by x alone, and a step of lr 0 leaves x where it is."""
    seen = []

    def fun(x: Array, batch: float) -> Any:
        seen.append(batch)
        return batch, np.ones(3)

    options = {"lr": 0.0, "batches": [1.0, 2.0, 6.0]}
    result = scipy.optimize.minimize(fun, X, jac=True, method=methods.sgd, options=options)
    assert seen == [1.0, 2.0, 6.0]
    assert result.fun == 3.0


@pytest.mark.parametrize("gradient", [[1, 2, 3], (1.0, 2.0, 3.0), np.array([1.0, 2.0, 3.0], np.float32), np.array([3.0, 2.0, 1.0])[::-1]])
@pytest.mark.parametrize("value", [2, np.float32(2.0), np.array(2.0), np.array([[2.0]])])
def test_numbers_of_other_kinds(gradient: Any, value: Any) -> None:
    found = Objective(lambda x: value, lambda x: gradient, (), X, None, None).at(X)
    assert found[0] == 2.0
    assert found[1].dtype == np.float64
    assert found[1].flags.c_contiguous
    np.testing.assert_array_equal(found[1], [1.0, 2.0, 3.0])


def test_a_gradient_of_one_element_may_be_a_number() -> None:
    assert Objective(lambda x: 1.0, lambda x: 3.0, (), X[:1], None, None).at(X[:1])[1].tolist() == [3.0]


@pytest.mark.parametrize(
    ("fun", "jac", "error", "message"),
    [
        (3, None, TypeError, r"^fun: expected a function, received 3 \(int\)$"),
        (rosen, "3-point", ValueError, r"^jac: expected a function, True, or None for forward differences; received '3-point' \(str\)$"),
        (rosen, 7, ValueError, r"^jac: expected a function, True, or None for forward differences; received 7 \(int\)$"),
        (lambda x: x, rosen_der, TypeError, r"^fun: expected a number, received an array of float64 and shape \(3,\)$"),
        (lambda x: 1j, rosen_der, TypeError, r"^fun: expected a number, received 1j \(complex\)$"),
        (lambda x: None, rosen_der, TypeError, r"^fun: expected a number, received None$"),
        (lambda x: "a", rosen_der, (TypeError), r"^fun: expected a number, received 'a' \(str\)$"),
        (rosen, True, TypeError, r"^fun: expected a value and a gradient, as jac is True; received "),
        (rosen, lambda x: x[:2], ValueError, r"^jac: expected a gradient of shape \(3,\), as x0's; received shape \(2,\)$"),
        (rosen, lambda x: x[:, None], ValueError, r"^jac: expected a gradient of shape \(3,\), as x0's; received shape \(3, 1\)$"),
        (rosen, lambda x: x * 1j, TypeError, r"^jac: expected an array of numbers, received an array of complex128 and shape \(3,\)$"),
        (rosen, lambda x: None, TypeError, r"^jac: expected an array of numbers, received None$"),
    ],
)
def test_what_is_refused(fun: Any, jac: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Objective(fun, jac, (), X, None, None).at(X)


@pytest.mark.parametrize("step", [0.0, -1.0, np.inf])
def test_a_step_of_differences_that_is_none(step: float) -> None:
    with pytest.raises(ValueError, match=r"^finite_diff_rel_step: expected a finite number > 0, received"):
        Objective(rosen, None, (), X, None, step)


def test_a_step_of_differences_beside_a_gradient() -> None:
    with pytest.raises(ValueError, match=r"^finite_diff_rel_step: expected None, as jac gives the gradient$"):
        Objective(rosen, rosen_der, (), X, None, 1e-3)
