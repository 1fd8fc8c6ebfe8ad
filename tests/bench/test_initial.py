"""Initial weights have the variance and the form that the papers give them, and are the same for the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.initial import DISTRIBUTIONS, VARIANCES, Distribution, Initial, initial_weights

INPUTS, OUTPUTS = 400, 300
VARIANCE = {"he": 2 / 400, "xavier": 2 / 700}
LIMIT = {"he": math.sqrt(6 / 400), "xavier": math.sqrt(6 / 700)}


def _drawn(initial: Initial, distribution: Distribution, dtype: type = np.float64) -> np.ndarray:
    return initial_weights(np.random.default_rng(3), (INPUTS, OUTPUTS), initial, distribution, dtype)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("initial", VARIANCES)
def test_mean_and_variance(initial: Initial, distribution: Distribution) -> None:
    weights = _drawn(initial, distribution)
    assert weights.shape == (INPUTS, OUTPUTS)
    assert np.var(weights) == pytest.approx(VARIANCE[initial], rel=0.02)
    assert abs(weights.mean()) < 4 * math.sqrt(VARIANCE[initial] / weights.size)


@pytest.mark.parametrize("initial", VARIANCES)
def test_uniform_weights_have_the_papers_limit_and_normal_ones_none(initial: Initial) -> None:
    assert 0.999 * LIMIT[initial] < np.abs(_drawn(initial, "uniform")).max() <= LIMIT[initial]
    assert np.abs(_drawn(initial, "normal")).max() > 2 * LIMIT[initial]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_dtype_has_the_same_values_but_for_rounding(distribution: Distribution) -> None:
    narrow = _drawn("he", distribution, np.float32)
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, _drawn("he", distribution).astype(np.float32))


def test_he_keeps_what_a_rectifier_halves() -> None:
    """Fifty layers deep the signals' mean square is still of its size; with Xavier's variance it would be 2^-50 of it."""
    generator = np.random.default_rng(0)
    signals = {name: generator.standard_normal((20, 256)) for name in ("he", "xavier")}
    for _ in range(50):
        for initial in VARIANCES:
            signals[initial] = np.maximum(signals[initial] @ initial_weights(generator, (256, 256), initial, dtype=np.float64), 0)
    assert 0.05 < np.mean(signals["he"] ** 2) < 5
    assert np.mean(signals["xavier"] ** 2) < 1e-13
