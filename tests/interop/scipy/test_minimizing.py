"""The arguments of `minimize`: what becomes of x0, what is refused before fun is called, what is warned of and printed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import OptimizeWarning, basinhopping, minimize, rosen, rosen_der

import fastopt
import fastopt.interop.scipy as methods

Array = np.ndarray[Any, Any]
X = np.array([0.5, -0.5])


def test_what_x0_becomes() -> None:
    for x0, expected in (
        ([1, 2], np.float64),
        (np.array([1, 2], np.uint8), np.float64),
        (np.ones(2, ">f4"), np.float32),
        (3.0, np.float64),
    ):
        seen: list[Array] = []

        def fun(x: Array, seen: list[Array] = seen) -> Any:
            seen.append(x)
            return float((x * x).sum()), 2 * x

        result = minimize(fun, x0, jac=True, method=methods.adam, options={"maxiter": 2})
        assert result.x.dtype == seen[0].dtype == np.dtype(expected)
        assert result.x.dtype.isnative
        assert result.x.shape == np.atleast_1d(np.asarray(x0)).shape


def test_x0_is_not_changed() -> None:
    x0 = X.copy()
    x0.flags.writeable = False
    for x in (x0, x0[::-1]):
        minimize(rosen, x, jac=rosen_der, method=methods.adam, options={"maxiter": 3})
    np.testing.assert_array_equal(x0, X)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x0": np.ones((2, 2))}, ValueError, r"^x0: expected one dimension and at least one element, received shape \(2, 2\)$"),
    ({"x0": np.ones(0)}, ValueError, r"^x0: expected one dimension and at least one element, received shape \(0,\)$"),
    ({"x0": [1j, 2.0]}, TypeError, r"^x0: expected .*, received .*complex128"),
    ({"x0": ["a", "b"]}, TypeError, r"^x0: expected "),
    ({"constraints": {"type": "eq", "fun": rosen}}, ValueError, r"^constraints: expected none, as steps of adam know of bounds alone; "),
    ({"constraints": scipy.optimize.LinearConstraint(np.eye(2))}, ValueError, r"^constraints: expected none"),
    ({"bounds": [(0, 1)]}, ValueError, r"^bounds: expected .* for each of 2 elements, received 1$"),
    ({"zero_grads": True}, ValueError, r"^zero_grads: expected False, as gradients are fun's own"),
    ({"maximize": True}, ValueError, r"^maximize: expected False, as this is to minimize; received True"),
    ({"lr": -1.0}, ValueError, r"^lr: expected a finite number >= 0, received -1.0$"),
    ({"betas": 0.9}, TypeError, r"^betas: expected 2 numbers, received 0.9 \(float\)$"),
    ({"learning_rate": 0.1}, TypeError, r"^learning_rate: Adam has no such hyperparameter; did you mean `lr`\?"),
    ({"max_iter": 10}, TypeError, r"^max_iter: Adam has no such hyperparameter; did you mean `maxiter`\?"),
    ({"nonfinite": "skip"}, TypeError, r"^nonfinite: Adam has no such hyperparameter"),
    ({"groups": {}}, TypeError, r"^groups: Adam has no such hyperparameter"),
    ({"convention": "adm"}, ValueError, r"^convention: expected one of 'torch', "),
    ({"backend": "adm"}, ValueError, r"^backend: "),
    ({"maxiter": -1}, ValueError, r"^maxiter: expected an integer >= 0, received -1$"),
    ({"maxiter": 1.5}, TypeError, r"^maxiter: expected an integer >= 0, received 1.5 \(float\)$"),
    ({"patience": 0}, ValueError, r"^patience: expected an integer >= 1, received 0$"),
    ({"keep": "first"}, ValueError, r"^keep: expected one of 'best', 'last'; received 'first'$"),
    ({"return_all": 2}, TypeError, r"^return_all: expected True or False, received 2 \(int\)$"),
    ({"disp": "yes"}, TypeError, r"^disp: expected True or False, received 'yes' \(str\)$"),
    ({"max_norm": 0.0}, ValueError, r"^max_norm: expected a number > 0, received 0.0$"),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSED, ids=[next(iter(given)) for given, _, _ in REFUSED])
def test_what_is_refused_before_fun_is_called(given: dict[str, Any], error: type[Exception], message: str) -> None:
    def fun(x: Array) -> float:
        raise AssertionError("fun was called")

    x0 = given.pop("x0", X)
    before = np.array(x0)
    with pytest.raises(error, match=message):
        methods.adam(fun, x0, jac=rosen_der, **given)
    np.testing.assert_array_equal(x0, before)


def test_schedule_free_methods_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"^bounds: expected None for schedule_free_sgd, whose result is an average of points out of them"):
        minimize(rosen, X, jac=rosen_der, method=methods.schedule_free_sgd, bounds=[(0, 1), (0, 1)])
    with pytest.raises(ValueError, match=r"^averages: expected a beta > 0, received 0"):
        minimize(rosen, X, jac=rosen_der, method=methods.schedule_free_sgd, options={"momentum": 0.0})


@pytest.mark.parametrize("empty", [(), [], {}, None])
def test_no_constraints(empty: Any) -> None:
    assert methods.adam(rosen, X, jac=rosen_der, constraints=empty, maxiter=1).nit == 1


@pytest.mark.parametrize("name", ["hess", "hessp"])
def test_second_derivatives_are_warned_of_as_by_scipys_own(name: str) -> None:
    messages = []
    for method in ("CG", methods.adam):
        with pytest.warns(RuntimeWarning, match="does not use Hessian") as caught:
            minimize(rosen, X, jac=rosen_der, method=method, options={"maxiter": 1}, **{name: lambda x, *p: np.eye(2)})
        assert caught[0].filename == __file__
        messages.append(str(caught[0].message))
    assert messages[0].replace("CG", "adam") == messages[1]


def test_disp(capsys: pytest.CaptureFixture[str]) -> None:
    minimize(rosen, [1.0, 1.0], jac=rosen_der, method=methods.adam, options={"disp": 1})
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Optimization terminated successfully (gtol: the gradient's largest element is 0).",
        "         Current function value: 0.000000",
        "         Iterations: 0",
        "         Function evaluations: 1",
        "         Gradient evaluations: 1",
    ]
    with pytest.warns(OptimizeWarning, match="^2 iterations were made, and no tolerance is met.$") as caught:
        minimize(rosen, X, jac=rosen_der, method=methods.adam, options={"disp": True, "maxiter": 2})
    assert caught[0].filename == __file__
    assert capsys.readouterr().out.splitlines()[1] == "         Iterations: 2"
    minimize(rosen, X, jac=rosen_der, method=methods.adam, options={"maxiter": 2})
    assert capsys.readouterr().out == ""


def test_within_others_of_scipys() -> None:
    inner = {"method": methods.adam, "jac": rosen_der, "options": {"maxiter": 20, "lr": 0.1}}
    found = basinhopping(rosen, X, niter=2, minimizer_kwargs=inner, rng=1)
    assert found.fun < rosen(X)


def test_the_optimizer_of_the_result_goes_on() -> None:
    result = minimize(rosen, X, jac=rosen_der, method=methods.adam, options={"maxiter": 3, "keep": "last", "lr": 0.1})
    whole = minimize(rosen, X, jac=rosen_der, method=methods.adam, options={"maxiter": 4, "keep": "last", "lr": 0.1})
    x = result.x.copy()
    other = fastopt.Adam(x, lr=0.1)
    other.load_state_dict(result.optimizer.state_dict())
    other.step(result.jac)
    np.testing.assert_array_equal(x, whole.x)


def test_nothing_is_warned_of_without_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minimize(lambda x: float(np.nan), X, method=methods.adam)
        minimize(rosen, X, method=methods.adam, options={"maxiter": 2})
