"""Training by mini-batches, as the pictures do it."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from bench.gallery import runs
from bench.networks import Network
from bench.workloads import Workload
from fastopt.training import Batches

X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
WORKLOAD = Workload("made up", X, np.array([0, 1, 1]), 2, "cross_entropy")
NETWORK = Network((2, 2), "cross_entropy")


def _params() -> list[np.ndarray]:
    return [np.zeros((2, 2)), np.zeros(2)]


def test_a_mini_batchs_loss_is_of_before_its_step() -> None:
    params = _params()
    losses = list(runs.steps_of(NETWORK, params, fastopt.SGD(params, lr=0.1), Batches(X, WORKLOAD.y, batch_size=2, seed=0), 2))
    assert len(losses) == 4
    assert losses[0] == pytest.approx(np.log(2.0), rel=1e-15)
    assert losses[1] != losses[0]
    expected = _params()
    optimizer = fastopt.SGD(expected, lr=0.1)
    for epoch in range(2):
        for x, y in Batches(X, WORKLOAD.y, batch_size=2, seed=0).epoch(epoch):
            optimizer.step(NETWORK.loss_and_gradients(expected, x, y)[1])
    assert all((a == b).all() for a, b in zip(params, expected, strict=True))


def test_the_loss_of_all_before_the_first_epoch_and_after_each() -> None:
    params = _params()
    run = runs.epochs_of(NETWORK, params, fastopt.SGD(params, lr=0.1), WORKLOAD, batch_size=2, epochs=3)
    first = next(run)
    assert first == pytest.approx(np.log(2.0), rel=1e-15)
    assert not params[0].any()
    rest = list(run)
    assert len(rest) == 3
    assert rest[-1] == runs.whole_loss(NETWORK, params, WORKLOAD) < first
    expected = _params()
    steps = runs.steps_of(NETWORK, expected, fastopt.SGD(expected, lr=0.1), Batches(X, WORKLOAD.y, batch_size=2, seed=runs.SEED), 3)
    assert len(list(steps)) == 6
    assert all((a == b).all() for a, b in zip(params, expected, strict=True))


def test_the_penalty_is_that_of_the_weight_decay() -> None:
    """Its gradient, by differences, is what weight decay adds: l2 times the parameters, biases too."""
    params = [np.array([[0.5, -1.0], [2.0, 0.25]]), np.array([1.0, -2.0])]
    squares = 0.25 + 1.0 + 4.0 + 0.0625 + 1.0 + 4.0
    with_it, without = (runs.whole_loss(NETWORK, params, WORKLOAD, l2) for l2 in (0.1, 0.0))
    assert with_it - without == pytest.approx(0.05 * squares, rel=1e-12)


def test_a_run_that_overflows_goes_on_without_a_word() -> None:
    params = _params()
    losses = list(runs.epochs_of(NETWORK, params, fastopt.SGD(params, lr=1e308), WORKLOAD, batch_size=1, epochs=2))
    assert len(losses) == 3
    assert not np.isfinite(losses[-1])
