"""autograd's own optimizers beside fastopt's: the same arguments, calls and results."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("autograd")

import autograd.misc.optimizers as theirs
import autograd.numpy as anp
from autograd import grad
from autograd.misc.flatten import flatten

import fastopt
import fastopt.interop.autograd as ours
from fastopt.schedules import Exponential

NAMES = ("adam", "sgd", "rmsprop")
OTHERS: dict[str, dict[str, Any]] = {
    "adam": {"step_size": 0.003, "b1": 0.7, "b2": 0.95, "eps": 1e-3},
    "sgd": {"step_size": 0.3, "mass": 0.6},
    "rmsprop": {"step_size": 0.02, "gamma": 0.7, "eps": 1e-3},
}
RNG = np.random.default_rng(4)
INPUTS, TARGETS = RNG.standard_normal((20, 4)), RNG.standard_normal((20, 3))
PARAMS = {"w": RNG.standard_normal((4, 3)), "rest": [RNG.standard_normal(3), (0.5, RNG.standard_normal(()))]}


def loss(params: Any, i: int) -> Any:
    b, (scale, offset) = params["rest"]
    return anp.mean((anp.tanh(anp.dot(INPUTS, params["w"]) * scale + b) - TARGETS + offset) ** 2) * (1 + 0.1 * (i % 3))


def both(name: str, gradient: Any, x0: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    return tuple(getattr(module, name)(gradient, x0, *arguments, **options) for module in (ours, theirs))  # type: ignore[return-value]


def assert_alike(name: str, own: Any, other: Any) -> None:
    """To the last bit, but for Adam, whose bias corrections are in its scalars here."""
    if name == "adam":
        np.testing.assert_allclose(own, other, rtol=1e-13, atol=1e-15)
    else:
        np.testing.assert_array_equal(own, other)


def structure(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: structure(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(structure, value))
    return type(value), np.shape(value), np.asarray(value).dtype


@pytest.mark.parametrize("options", [{}, "others"], ids=["defaults", "others"])
@pytest.mark.parametrize("name", NAMES)
def test_200_iterations_of_a_network(name: str, options: Any) -> None:
    before = flatten(PARAMS)[0].copy()
    own, other = both(name, grad(loss), PARAMS, num_iters=200, **(OTHERS[name] if options else {}))
    assert structure(own) == structure(other)
    assert_alike(name, flatten(own)[0], flatten(other)[0])
    np.testing.assert_array_equal(flatten(PARAMS)[0], before)
    assert not np.array_equal(flatten(own)[0], before)


@pytest.mark.parametrize("options", [{}, "others"], ids=["defaults", "others"])
@pytest.mark.parametrize("name", NAMES)
def test_200_given_gradients(name: str, options: Any) -> None:
    """So that no difference comes back by way of the gradients, which on the long run may make any of a rounding."""
    gradients = np.random.default_rng(5).standard_normal((200, 1_000))
    own, other = both(name, lambda x, i: gradients[i], np.ones(1_000), num_iters=200, **(OTHERS[name] if options else {}))
    assert_alike(name, own, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments(name: str) -> None:
    """The wrapper hides its own: what it wraps is found among what it closes over."""
    inner = next(cell.cell_contents for cell in getattr(theirs, name).__closure__ if inspect.isfunction(cell.cell_contents))
    expected = list(inspect.signature(inner).parameters.values())
    found = list(inspect.signature(getattr(ours, name)).parameters.values())
    assert [p.default for p in found[: len(expected)]] == [p.default for p in expected]
    assert [p.name for p in found[2 : len(expected)]] == [p.name for p in expected][2:]
    assert {p.name for p in found[len(expected) :]} == {"backend", "num_threads"}
    assert all(p.kind is p.KEYWORD_ONLY for p in found[len(expected) :])
    wrapper = list(inspect.signature(theirs.adam).parameters)
    assert [p.name for p in found[:2]] == wrapper[:2], "callers give grad and x0 by these names"


@pytest.mark.parametrize("name", NAMES)
def test_by_position(name: str) -> None:
    options = OTHERS[name]
    own, other = both(name, lambda x, i: x - i, np.array([1.0, -2.0]), None, 7, *options.values())
    assert_alike(name, own, other)


@pytest.mark.parametrize("name", NAMES)
def test_callbacks_and_gradients_see_what_they_see_there(name: str) -> None:
    def run(module: Any) -> tuple[list[Any], list[Any]]:
        seen, asked = [], []

        def gradient(x: Any, i: int) -> Any:
            asked.append((x, i))
            return {"a": x["a"] * 0.5 + i, "b": (x["b"][0] - 1.0,)}

        getattr(module, name)(gradient, {"a": np.ones(2), "b": (2.0,)}, lambda x, i, g: seen.append((x, i, g)), num_iters=5)
        return seen, asked

    (own, asked), (other, others_asked) = run(ours), run(theirs)
    assert [i for _, i, _ in own] == [i for _, i in asked] == [0, 1, 2, 3, 4]
    for (x, i, g), (y, j, h) in zip(own, other, strict=True):  # kept, and so not what later steps write to
        assert i == j
        assert structure(x) == structure(y)
        assert_alike(name, flatten(x)[0], flatten(y)[0])
        assert_alike(name, flatten(g)[0], flatten(h)[0])
    for (x, _), (y, _) in zip(asked, others_asked, strict=True):
        assert_alike(name, flatten(x)[0], flatten(y)[0])


@pytest.mark.parametrize("x0", [2.0, [np.float64(2.0)], np.ones((2, 2))[:, ::-1]], ids=str)
@pytest.mark.parametrize("num_iters", [0, 3])
def test_other_parameters(x0: Any, num_iters: int) -> None:
    for name in NAMES:
        own, other = both(name, lambda x, i: x, x0, num_iters=num_iters)
        assert np.shape(own) == np.shape(other)
        assert_alike(name, np.asarray(own), np.asarray(other))


def test_a_schedule_and_a_backend() -> None:
    x = np.array([3.0, -1.0])
    optimizer = fastopt.Adam(x, lr=Exponential(0.1, rate=0.9))
    for _ in range(6):
        optimizer.step(x.copy())
    found = ours.adam(
        lambda x, i: x, np.array([3.0, -1.0]), num_iters=6, step_size=Exponential(0.1, rate=0.9), backend="numpy", num_threads=1
    )
    np.testing.assert_array_equal(found, x)


def test_a_callback_that_is_none() -> None:
    """There, whatever is not true is none."""
    own, other = both("sgd", lambda x, i: x, np.ones(2), False, num_iters=2)
    np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"grad": 3}, TypeError, r"^grad: expected a function, received 3 \(int\)$"),
        ({"callback": 3}, TypeError, r"^callback: expected a function, received 3 \(int\)$"),
        ({"num_iters": 2.0}, TypeError, r"^num_iters: expected an integer >= 0, received 2.0 \(float\)$"),
        ({"step_size": -0.1}, ValueError, r"^lr: expected a finite number >= 0, received -0.1$"),
        ({"step_size": np.ones(2)}, TypeError, r"^lr: expected a finite number >= 0, received an array"),
        ({"b1": 1.0}, ValueError, r"^betas\[0\]: expected a number in \[0, 1\), received 1.0$"),
        ({"x0": np.ones(2, complex)}, TypeError, r"^x0: expected real numbers, received an array of complex128"),
        ({"backend": "adm"}, ValueError, r"^backend: "),
    ],
)
def test_what_is_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    def gradient(x: Any, i: int) -> Any:
        raise AssertionError("grad was called")

    with pytest.raises(error, match=message):
        ours.adam(**{"grad": gradient, "x0": np.ones(2), **given})


def test_a_gradient_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^grad: expected 2 numbers, as in x0; received 3$"):
        ours.sgd(lambda x, i: np.ones(3), np.ones(2))
    with pytest.raises(TypeError, match=r"^grad: expected real numbers, received an array of complex128"):
        ours.sgd(lambda x, i: np.ones(2, complex), np.ones(2))


def test_what_autograd_traces_is_refused() -> None:
    def trained(x0: Any, factor: Any, module: Any) -> Any:
        return anp.sum(module.sgd(lambda x, i: factor * x, x0, num_iters=3))

    assert grad(trained)(np.ones(2), 1.0, theirs).shape == (2,)
    with pytest.raises(TypeError, match=r"^x0: expected numbers, received what autograd traces; its own optimizers can be"):
        grad(trained)(np.ones(2), 1.0, ours)
    with pytest.raises(TypeError, match=r"^grad: expected numbers, received what autograd traces"):
        grad(trained, 1)(np.ones(2), 1.0, ours)


def test_without_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "autograd" or name == "fastopt.interop.autograd"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "autograd", None)
    with pytest.raises(ModuleNotFoundError, match=r"^fastopt.interop.autograd takes autograd: pip install 'fastopt\[autograd\]'$"):
        importlib.import_module("fastopt.interop.autograd")
