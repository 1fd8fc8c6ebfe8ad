"""The benchmark's perceptron: is it one? Gradients against finite differences; its losses are in test_losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import DTypeLike

from bench.losses import LossName
from bench.networks import Network
from tests.bench.watched import Watched

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


def test_every_operation_stays_float32() -> None:
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
