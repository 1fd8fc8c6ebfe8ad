"""How a step gets to the device: one launch, no waiting, and copies from memory that stands still until the device has read it."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.cuda.memory import from_host, to_host


@pytest.mark.parametrize("count", [1, 7, 400])
def test_one_launch_a_step_for_any_number_of_tensors(emulated: Any, count: int) -> None:
    optimizer = fastopt.Adam([from_host(np.ones(10 + i, np.float32)) for i in range(count)])
    gradients = [from_host(np.ones(10 + i, np.float32)) for i in range(count)]
    before = len(emulated.launches)
    for _ in range(3):
        optimizer.step(gradients, stream=24)
    assert emulated.launches[before:] == [(count, 256, 24)] * 3


def test_a_host_that_runs_ahead_of_the_device(emulated: Any) -> None:
    """Fifty steps with new gradients each are asked for before the first is made; each copy must find what it was given."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(20).astype(np.float32)
    p, expected = from_host(values), values.copy()
    on_device, on_host = fastopt.Adam(p, lr=0.1), fastopt.Adam(expected, lr=0.1, backend="numpy")
    gradients = [rng.standard_normal(20).astype(np.float32) for _ in range(50)]
    held = [from_host(g) for g in gradients]
    waiting = sum(map(len, emulated.queues.values()))
    for g, on_it in zip(gradients, held, strict=True):
        on_device.step(on_it, stream=24)
        on_host.step(g)
    assert sum(map(len, emulated.queues.values())) >= waiting + 100, "something waited for the device"
    assert ulp_distance(to_host(p), expected) == 0


def test_gradients_that_stay_are_not_uploaded_again(emulated: Any) -> None:
    optimizer = fastopt.SGD([from_host(np.ones(5, np.float32)) for _ in range(3)], lr=0.1)
    gradients = [from_host(np.ones(5, np.float32)) for _ in range(3)]

    def operations() -> int:
        to_host(gradients[0])
        optimizer.step(gradients, stream=24)
        return len(emulated.queues[24])

    assert operations() == 4, "the addresses, an event to know when they were read, the launch, and an event to know when that was done"
    assert operations() == 2
    gradients[1] = from_host(np.ones(5, np.float32))
    assert operations() == 4
    assert operations() == 2


def test_memory_is_given_back(emulated: Any) -> None:
    """At once, not when somebody collects garbage: a device's memory is what there is too little of."""
    gc.collect()
    gc.disable()
    try:
        before = len(emulated.heaps[0].blocks), len(emulated.pinned)
        optimizer = fastopt.Adam([from_host(np.ones(5, dtype)) for dtype in (np.float32, np.float64)], max_norm=0.5)
        optimizer.step([from_host(np.ones(5, dtype)) for dtype in (np.float32, np.float64)], stream=24)
        assert len(emulated.heaps[0].blocks) > before[0]
        del optimizer
        assert (len(emulated.heaps[0].blocks), len(emulated.pinned)) == before
    finally:
        gc.enable()
