"""What lies between the products: each part's backward pass against finite differences, and its values against those known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import DTypeLike

from bench.layers import (
    ACTIVATIONS,
    EPS,
    Activation,
    batch_norm,
    batch_norm_at_inference,
    batch_norm_backward,
    dropout_mask,
    relu,
    tanh,
)

check_grad = pytest.importorskip("scipy.optimize", reason="scipy is not installed").check_grad

SHAPE = 6, 3
GENERATOR = np.random.default_rng(5)
Z, WEIGHTS = GENERATOR.standard_normal(SHAPE), GENERATOR.standard_normal(SHAPE)
GAMMA, BETA = GENERATOR.uniform(0.5, 1.5, SHAPE[1]), GENERATOR.standard_normal(SHAPE[1])


def _slope_is(value: Callable[[np.ndarray], np.ndarray], gradient: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> float:
    """How far a gradient of sum(weights value) is from finite differences; a sum without weights would be blind to much."""
    return float(
        check_grad(
            lambda flat: float((WEIGHTS * value(flat.reshape(at.shape))).sum()),
            lambda flat: gradient(flat.reshape(at.shape)).ravel(),
            at.ravel(),
        )
    )


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activations_slope(activation: Activation) -> None:
    assert _slope_is(activation.forward, lambda z: WEIGHTS * activation.slope(activation.forward(z)), Z) < 1e-6


def test_activations_by_hand() -> None:
    np.testing.assert_array_equal(relu(np.array([-1.0, 0.0, 2.0])), [0.0, 0.0, 2.0])
    np.testing.assert_allclose(tanh(np.array([-1.0, 0.0, 1.0])), [-math.tanh(1), 0.0, math.tanh(1)])
    np.testing.assert_array_equal(ACTIVATIONS["relu"].slope(np.array([0.0, 2.0])), [0, 1])


def test_batch_norms_gradients() -> None:
    def backward(z: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, ...]:
        return batch_norm_backward(WEIGHTS, gamma, batch_norm(z, gamma, beta)[1])

    assert _slope_is(lambda z: batch_norm(z, GAMMA, BETA)[0], lambda z: backward(z, GAMMA, BETA)[0], Z) < 1e-6
    assert _slope_is(lambda gamma: batch_norm(Z, gamma, BETA)[0], lambda gamma: backward(Z, gamma, BETA)[1], GAMMA) < 1e-6
    assert _slope_is(lambda beta: batch_norm(Z, GAMMA, beta)[0], lambda beta: backward(Z, GAMMA, beta)[2], BETA) < 1e-6


def test_batch_norm_by_hand() -> None:
    """A unit that gave 1, 2 and 3: mean 2, variance 2/3."""
    y, seen = batch_norm(np.array([[1.0], [2.0], [3.0]]), np.array([2.0]), np.array([10.0]))
    high = 2 / math.sqrt(2 / 3 + EPS)
    np.testing.assert_allclose(y, [[10 - high], [10], [10 + high]], rtol=1e-15)
    assert seen.mean == 2
    assert seen.variance == pytest.approx(2 / 3)


def test_batch_norm_takes_no_notice_of_a_bias_or_a_scale_before_it() -> None:
    y, _ = batch_norm(Z, GAMMA, BETA)
    np.testing.assert_allclose(batch_norm(Z + 7.0, GAMMA, BETA)[0], y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(batch_norm(3.0 * Z, GAMMA, BETA)[0], y, atol=1e-4)  # but for eps
    assert np.abs(batch_norm_backward(WEIGHTS, GAMMA, batch_norm(Z, GAMMA, BETA)[1])[0].sum(axis=0)).max() < 1e-14


def test_with_the_batchs_own_statistics_inference_is_training() -> None:
    y, seen = batch_norm(Z, GAMMA, BETA)
    np.testing.assert_allclose(batch_norm_at_inference(Z, GAMMA, BETA, seen.mean, seen.variance), y, rtol=1e-12)


def test_a_unit_that_is_always_the_same_is_its_shift() -> None:
    y, seen = batch_norm(np.full((4, 1), 5.0, np.float32), np.ones(1, np.float32), np.full(1, 0.25, np.float32))
    np.testing.assert_array_equal(y, np.full((4, 1), 0.25))
    assert np.isfinite(batch_norm_backward(np.ones((4, 1), np.float32), np.ones(1, np.float32), seen)[0]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_drops_its_share_and_keeps_the_mean(dtype: DTypeLike) -> None:
    mask = dropout_mask(0, 1, 1, (1_000, 200), 0.25, dtype)
    assert mask.dtype == dtype
    assert set(np.unique(mask)) == {0, np.dtype(dtype).type(1 / 0.75)}
    assert np.mean(mask == 0) == pytest.approx(0.25, abs=0.005)
    assert mask.mean() == pytest.approx(1, abs=0.01)
    assert dropout_mask(0, 1, 1, (2, 2), 0.0, dtype).tolist() == [[1, 1], [1, 1]]


def test_a_mask_is_its_seeds_its_steps_and_its_layers() -> None:
    def dropped(*where: int, dtype: DTypeLike = np.float32) -> bytes:
        return (dropout_mask(*where, (8, 8), 0.5, dtype) == 0).tobytes()

    assert dropped(3, 2, 1) == dropped(3, 2, 1) == dropped(3, 2, 1, dtype=np.float64)
    assert len({dropped(3, 2, 1), dropped(4, 2, 1), dropped(3, 3, 1), dropped(3, 2, 2)}) == 4
