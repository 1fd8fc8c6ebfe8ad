"""Drawn gradients, and looking on."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from bench.narrow import noise
from bench.narrow.storages import FLOAT32, bytes_held, here

pytest.importorskip("ml_dtypes")


def test_gradients_drop_to_a_tenth_and_are_the_same_again() -> None:
    found = np.array(list(noise.dropping(20)))
    assert found.shape == (20, noise.COUNT)
    assert found.dtype == np.float32
    sizes = found.std(axis=1)
    assert (abs(sizes[:6] - 1.0) < 0.1).all()
    assert (abs(sizes[6:] - 0.1) < 0.01).all()
    assert (np.array(list(noise.dropping(20))) == found).all()
    assert (np.array(list(noise.normal(20)))[:6] == found[:6]).all()


def test_every_storage_keeps_so_many_narrow() -> None:
    """A rule that leaves small tensors in float32 must not make a narrow storage look like float32 here."""
    held = {given.label: bytes_held(noise.optimizer(fastopt.Adam, given)) / noise.COUNT for given in here()}
    assert held.pop("float32") == 8.0
    assert max(held.values()) <= 4.0


def test_sizes_of_elements() -> None:
    sizes = np.where(np.arange(noise.COUNT) < 4, 1e3, 0.0)
    (found,) = noise.normal(1, sizes)
    assert found[:4].all()
    assert not found[4:].any()


def test_looking_every_so_many_steps() -> None:
    made = noise.optimizer(fastopt.SGD, FLOAT32, lr=1.0)
    ones = (np.ones(noise.COUNT, np.float32) for _ in range(7))
    steps, seen = noise.watched(made, ones, 3, lambda: float(made.params[0]))
    assert steps.tolist() == [3, 6]
    assert seen.tolist() == [-3.0, -6.0]


def test_the_root_of_a_mean() -> None:
    assert noise.root_mean(np.array([1.0, 7.0], np.float32)) == 2.0
    assert noise.root_mean(np.full(10, 3e38, np.float32)) == np.sqrt(np.float64(np.float32(3e38)))
