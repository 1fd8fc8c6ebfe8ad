"""A method for each optimizer, and the same steps as the class makes, to the last bit."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import fastopt
import fastopt.interop.scipy as methods
from fastopt.interop.scipy import minimizing
from fastopt.interop.scipy.methods import HANDED, METHODS, _class, _method
from fastopt.optimizers.schedule_free import ScheduleFree
from fastopt.rules.family import FAMILIES, Argument, Family
from fastopt.schedules import Cosine, Exponential

Array = np.ndarray[Any, Any]
CURVATURE = np.array([1.0, 30.0, 0.5, 4.0, 2.0])
START = np.array([1.0, -2.0, 0.5, 3.0, -0.25])
STEPS = 6
BY_FAMILY = dict(zip(FAMILIES, METHODS, strict=True))
CASES = [(family, convention) for family, entry in FAMILIES.items() for convention in (entry.conventions or [None])]


def fun(x: Array) -> Any:
    return 0.5 * (CURVATURE.astype(x.dtype) * x * x).sum()


def jac(x: Array) -> Array:
    return CURVATURE.astype(x.dtype) * x


def by_hand(cls: Any, dtype: Any, **options: Any) -> Array:
    """What the class itself makes of it; of schedule-free optimizers their average."""
    x = START.astype(dtype)
    optimizer = cls(x, **options)
    for _ in range(STEPS):
        optimizer.step(jac(x))
    return np.asarray(optimizer.averages() if isinstance(optimizer, ScheduleFree) else x)


def by_minimize(method: Any, dtype: Any, **options: Any) -> Any:
    given = {"keep": "last", "maxiter": STEPS, "gtol": None, **options}
    return scipy.optimize.minimize(fun, START.astype(dtype), jac=jac, method=method, options=given)


def test_the_names() -> None:
    assert [name for family, name in BY_FAMILY.items() if hasattr(fastopt, family)] == [
        *("adadelta", "adagrad", "adam", "adamw", "adamax", "adan", "ademamix", "adopt", "lion", "nadam", "radam", "rmsprop", "rprop"),
        *("schedule_free_sgd", "schedule_free_adamw", "sgd", "momentum", "signum"),
    ]
    assert methods.__all__ == ["method", *METHODS]
    assert dir(methods) == sorted(methods.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'adm'; methods are adadelta, "):
        methods.adm  # noqa: B018


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("family", "convention"), CASES)
def test_the_same_bits_as_the_class(family: str, convention: str | None, dtype: Any) -> None:
    options: dict[str, Any] = {"lr": Cosine(0.02, steps=9), "weight_decay": 0.01}
    if convention is not None:
        options["convention"] = convention
    result = by_minimize(METHODS[BY_FAMILY[family]], dtype, **options)
    assert result.x.dtype == dtype
    np.testing.assert_array_equal(result.x, by_hand(_class(FAMILIES[family]), dtype, **options))
    assert (result.nit, result.nfev - STEPS - 1, result.status) == (STEPS, isinstance(result.optimizer, ScheduleFree), 0)


def test_options_of_the_optimizer() -> None:
    given: list[dict[str, Any]] = [
        {"max_norm": 0.5},
        {"betas": (Exponential(0.9, rate=0.99), 0.99), "eps": 1e-3, "amsgrad": True},
        {"backend": "numpy", "num_threads": 1},
    ]
    for options in given:
        result = by_minimize(methods.adam, np.float64, lr=0.1, **options)
        np.testing.assert_array_equal(result.x, by_hand(fastopt.Adam, np.float64, lr=0.1, **options))
    assert result.optimizer.backend == "numpy"
    narrow = by_minimize(methods.adam, np.float32, lr=0.1, state_dtype="float16")
    np.testing.assert_array_equal(narrow.x, by_hand(fastopt.Adam, np.float32, lr=0.1, state_dtype="float16"))
    assert not np.array_equal(narrow.x, by_hand(fastopt.Adam, np.float32, lr=0.1))


def test_a_bare_rule() -> None:
    method = methods.method("nesterov")
    assert method is methods.method(fastopt.RULES["nesterov"])
    assert method.__name__ == "nesterov"
    result = by_minimize(method, np.float64, lr=0.01, momentum=0.8)
    x = START.copy()
    optimizer = fastopt.Optimizer(x, rule="nesterov", lr=0.01, momentum=0.8)
    for _ in range(STEPS):
        optimizer.step(jac(x))
    np.testing.assert_array_equal(result.x, x)
    with pytest.raises(ValueError, match="rule"):
        methods.method("adm")


def test_a_family_that_has_no_class() -> None:
    family = Family("Another", {"momentum": Argument(0.5)}, "momentum", 0.1)
    result = by_minimize(_method("another", _class(family), "Another."), np.float64)
    np.testing.assert_array_equal(result.x, by_hand(fastopt.Momentum, np.float64, lr=0.1, momentum=0.5))


@pytest.mark.parametrize("name", METHODS)
def test_what_help_says(name: str) -> None:
    method: Any = METHODS[name]
    parameters = inspect.signature(method).parameters
    assert list(parameters)[:9] == ["fun", "x0", *HANDED]
    family = FAMILIES[list(FAMILIES)[list(METHODS).index(name)]]
    assert set(parameters) == {"fun", "x0", *HANDED, *family.arguments, *minimizing.OPTIONS}
    assert not {*HANDED, *minimizing.OPTIONS} & set(family.arguments), "one name would mean two things"
    assert method.__doc__.partition("\n")[0] == getattr(fastopt, family.name, fastopt.Optimizer).__doc__.partition("\n")[0]
    assert pickle.loads(pickle.dumps(method)) is method


def test_called_by_itself() -> None:
    result = methods.adam(fun, START, (), jac, maxiter=STEPS, lr=0.02, gtol=None, keep="last")
    np.testing.assert_array_equal(result.x, by_hand(fastopt.Adam, np.float64, lr=0.02))


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "scipy" or name.startswith("fastopt.interop.scipy")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError, match=r"^fastopt.interop.scipy takes SciPy: pip install 'fastopt\[scipy\]'$"):
        importlib.import_module("fastopt.interop.scipy")
