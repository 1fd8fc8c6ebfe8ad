"""The data that the training benchmark runs on, how it is parted, and that training on it gets somewhere."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import fastopt
from bench.workloads import WORKLOADS, endless_mini_batches, mini_batches, steps_per_epoch

pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")


def test_digits() -> None:
    data = WORKLOADS["digits"]()
    assert data.x.shape == (1797, 64)
    assert data.x.dtype == np.float32
    assert data.x.min() == 0.0
    assert data.x.max() == 1.0
    assert set(data.y) == set(range(data.outputs))
    assert data.y.shape == (1797,)


def test_china() -> None:
    data = WORKLOADS["china"]()
    assert data.samples == 273_280
    assert data.x.shape == (273_280, 64)
    assert data.x.dtype == np.float32
    assert data.y.shape == (273_280, data.outputs)
    assert data.y.dtype == np.float32
    assert data.y.min() >= 0.0
    assert data.y.max() <= 1.0
    np.testing.assert_allclose(data.x[:, :32] ** 2 + data.x[:, 32:] ** 2, 1.0, rtol=1e-5)  # cos^2 + sin^2
    assert len(np.unique(data.x[::997], axis=0)) == len(data.x[::997]), "two pixels with the same features"


def test_data_are_loaded_once() -> None:
    assert WORKLOADS["digits"]() is WORKLOADS["digits"]()


@pytest.mark.parametrize("batch", [1, 16, 64, 1796, 1797, 5000])
def test_an_epoch_has_each_sample_once(batch: int) -> None:
    samples = np.arange(1797)
    parts = [samples[rows] for rows in mini_batches(1797, batch, np.random.default_rng(0))]
    assert len(parts) == steps_per_epoch(1797, batch)
    assert all(len(part) == batch for part in parts[:-1])
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), samples)


def test_epochs_are_shuffled_and_repeatable() -> None:
    def first_two_epochs(seed: int) -> np.ndarray:
        return np.concatenate([np.arange(100)[rows] for rows in islice(endless_mini_batches(100, 30, seed), 8)])

    both = first_two_epochs(5)
    assert not np.array_equal(both[:100], np.arange(100))
    assert not np.array_equal(both[:100], both[100:])
    np.testing.assert_array_equal(np.sort(both[100:]), np.arange(100))
    np.testing.assert_array_equal(both, first_two_epochs(5))
    assert not np.array_equal(both, first_two_epochs(6))


@pytest.mark.parametrize(("name", "batch"), [("digits", 64), ("china", 256)])
def test_losses_fall(name: str, batch: int) -> None:
    data = WORKLOADS[name]()
    network = data.network((32, 32))
    params = network.initial_params(0)
    opt = fastopt.Adam(params, lr=3e-3, backend="numpy")
    losses = []
    for rows in islice(endless_mini_batches(data.samples, batch, 0), 150):
        loss, gradients = network.loss_and_gradients(params, data.x[rows], data.y[rows])
        opt.step(gradients)
        losses.append(loss)
    assert np.mean(losses[-20:]) < 0.4 * np.mean(losses[:5])
    assert {p.dtype for p in params} == {np.dtype(np.float32)}
