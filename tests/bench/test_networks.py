"""The benchmark's perceptron: is it one? Gradients against finite differences, and losses against values known by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from bench.networks import LossName, Network, mean_squared_error, softmax_cross_entropy

HIDDEN = [(), (5,), (6, 4)]


def _data(loss: LossName, dtype: DTypeLike = np.float64, samples: int = 7) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    x = generator.standard_normal((samples, 4)).astype(dtype)
    if loss == "cross_entropy":
        return x, generator.integers(0, 3, samples)
    return x, generator.random((samples, 3)).astype(dtype)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_gradients_are_the_losses_slope(hidden: tuple[int, ...], loss: LossName) -> None:
    network = Network((4, *hidden, 3), loss)
    params = network.initial_params(0, np.float64)
    for bias in params[1::2]:  # at zero, a sample that no unit answers to sits on the rectifier's kink in the next layer
        bias += np.random.default_rng(2).uniform(0.1, 0.3, bias.shape)
    x, y = _data(loss)
    _, gradients = network.loss_and_gradients(params, x, y)
    h = 1e-6
    for p, g in zip(params, gradients, strict=True):
        slopes = np.empty_like(p)
        for i in np.ndindex(p.shape):
            kept = p[i]
            p[i] = kept + h
            above, _ = network.loss_and_gradients(params, x, y)
            p[i] = kept - h
            below, _ = network.loss_and_gradients(params, x, y)
            p[i] = kept
            slopes[i] = (above - below) / (2 * h)
        np.testing.assert_allclose(g, slopes, rtol=1e-6, atol=1e-9)


def test_cross_entropy_by_hand() -> None:
    loss, gradient = softmax_cross_entropy(np.log(np.array([[1.0, 2.0, 1.0], [3.0, 1.0, 4.0]])), np.array([1, 0]))
    assert loss == pytest.approx((math.log(2) + math.log(8 / 3)) / 2)
    np.testing.assert_allclose(gradient, np.array([[0.25, -0.5, 0.25], [-0.625, 0.125, 0.5]]) / 2)


def test_mean_squared_error_by_hand() -> None:
    loss, gradient = mean_squared_error(np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[0.0, 2.0], [2.0, 0.0]]))
    assert loss == 1.5
    np.testing.assert_array_equal(gradient, [[0.5, 0.0], [-1.0, -0.5]])


def test_huge_logits_neither_overflow_nor_vanish() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, gradient = softmax_cross_entropy(np.array([[1e4, 0.0, -1e4]], np.float32), np.array([1]))
    assert loss == 1e4
    np.testing.assert_array_equal(gradient, np.array([[1, -1, 0]], np.float32))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("samples", [1, 7])
def test_shapes_and_dtype(loss: LossName, samples: int) -> None:
    network = Network((4, 6, 5, 3), loss)
    params = network.initial_params(0)
    assert [p.shape for p in params] == [(4, 6), (6,), (6, 5), (5,), (5, 3), (3,)]
    value, gradients = network.loss_and_gradients(params, *_data(loss, np.float32, samples))
    assert type(value) is float
    assert [g.shape for g in gradients] == [p.shape for p in params]
    assert {a.dtype for a in (*params, *gradients)} == {np.dtype(np.float32)}
    assert all(g.flags.c_contiguous for g in gradients), "fastopt takes C-contiguous gradients"


def test_every_operation_stays_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation in float64 whose result is rounded back would not show in the dtypes of the results."""

    class Watched(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple[Any, ...] = (), **kwargs: Any) -> Any:
            plain = [a.view(np.ndarray) if isinstance(a, Watched) else a for a in inputs]
            if out:
                kwargs["out"] = tuple(a.view(np.ndarray) if isinstance(a, Watched) else a for a in out)
            result = getattr(ufunc, method)(*plain, **kwargs)
            assert result.dtype in (np.float32, np.bool_), f"{ufunc.__name__} computed in {result.dtype}"
            return result.view(Watched) if isinstance(result, np.ndarray) else result

    for loss in ("cross_entropy", "squared_error"):
        network = Network((4, 6, 3), loss)
        x, y = _data(loss, np.float32)
        y = y.view(Watched) if loss == "squared_error" else y
        network.loss_and_gradients([p.view(Watched) for p in network.initial_params(0)], x.view(Watched), y)


def test_gradients_are_new_arrays() -> None:
    network = Network((4, 6, 3), "cross_entropy")
    params, (x, y) = network.initial_params(0), _data("cross_entropy", np.float32)
    _, first = network.loss_and_gradients(params, x, y)
    _, second = network.loss_and_gradients(params, x, y)
    for a, b, p in zip(first, second, params, strict=True):
        assert not np.shares_memory(a, b)
        assert not np.shares_memory(a, p)
        np.testing.assert_array_equal(a, b)


def test_initial_weights_have_the_variance_of_he_and_xavier() -> None:
    params = Network((400, 300, 200), "squared_error").initial_params(3)
    assert np.std(params[0]) == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    assert np.std(params[2]) == pytest.approx(math.sqrt(2 / 500), rel=0.02)
    assert not params[1].any()
    assert not params[3].any()
    again = Network((400, 300, 200), "squared_error").initial_params(3)
    assert all(np.array_equal(a, b) for a, b in zip(params, again, strict=True))
