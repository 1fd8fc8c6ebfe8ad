"""Losses and the penalty against values known by hand; what weight decay has to do with it, by fastopt's own steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastopt
from bench.losses import l2_penalty, mean_squared_error, softmax_cross_entropy


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


def test_the_penalty_by_hand() -> None:
    assert l2_penalty([np.array([[1.0, -2.0]], np.float32), np.array([[3.0]])], 0.5) == 0.25 * 14
    assert l2_penalty([], 0.5) == 0.0


L2 = 0.25


def _twice(optimizer: type, l2: float, **options: float) -> np.ndarray:
    """Two steps from the same place with the same loss's gradients, the penalty's added."""
    w = np.array([0.5, -1.0, 2.0])
    step = optimizer([w], lr=0.1, backend="numpy", **options)
    for gradient in (np.array([1.0, 0.5, -0.25]), np.array([0.125, -1.0, 0.75])):
        step.step([gradient + l2 * w])
    return w


def test_it_is_the_coupled_weight_decay() -> None:
    for coupled in (fastopt.SGD, fastopt.Adam, fastopt.RMSProp):
        np.testing.assert_array_equal(_twice(coupled, L2), _twice(coupled, 0.0, weight_decay=L2))


def test_it_is_not_the_decoupled_one_but_for_sgd() -> None:
    difference = np.abs(_twice(fastopt.Adam, L2) - _twice(fastopt.AdamW, 0.0, weight_decay=L2))
    assert difference.min() > 1e-3
    sgd, decoupled = _twice(fastopt.SGD, L2), _twice(fastopt.SGD, 0.0, weight_decay=L2, decoupled_weight_decay=True)
    np.testing.assert_allclose(sgd, decoupled, rtol=1e-15)
