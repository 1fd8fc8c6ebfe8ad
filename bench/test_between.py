"""A step between other work: float32 Adam in a loop of steps, after a rest, and between NumPy's matrix products.

A loop is what benchmarks measure, and nobody trains in one: between two steps a user's process computes gradients, reads
data, or waits. Threads have gone to sleep by then, caches hold other things, and BLAS's threads may still poll on the
cores. A single step after a rest also finds that other programs, or other guests of a shared machine, have used the caches;
the mean of 20 in a row after a rest tells whether threads find back to their places.

All are measured on the same arrays with the same optimizer, in turns, beside PyTorch's fused Adam. The products are NumPy's
for PyTorch too: those of its own run in the threads that its optimizer uses, and would cost it less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt

from .arrays import random_arrays
from .interleave import Contender, interleave
from .peers import PEERS, Handed, absent, verify
from .records import Row, row_of
from .replay import Figures, replayed
from .tables import IN_BETWEEN

SIZES = {"smoke": (100_000,), "quick": (300_000, 1_000_000), "full": (10_000, 100_000, 300_000, 1_000_000, 4_000_000)}
BUDGET = {"smoke": 0.0, "quick": 8.0, "full": 20.0}
"""Seconds of timing a size, most of them rests."""

REST = 0.02
"""Seconds of a rest: longer than any pool of threads goes on polling, and about what a batch takes to be read."""

SIDE = 512
"""Rows and columns of the matrices whose product is other work."""

BLAS_SETTLES = 0.2
"""Seconds of rest after a contender with products. OpenBLAS's threads poll much longer than OpenMP's: on two cores some steps of
PyTorch's still took a scheduler's time slice 60 ms after a product, and none after 200 ms."""

LEAD_IN = 0.05
"""Seconds of steps before those of a loop are timed. The rests of the other contenders come before it, and where threads woke up on
one core it takes the system some milliseconds to part them."""

AT_A_TIME = 4
"""Steps a round where something else goes before each."""

PEER = "torch fused"
CONTENDERS = [f"{who}: {when}" for who in ("fastopt", *([PEER] if PEER not in absent() else [])) for when in IN_BETWEEN]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cells = [
        pytest.param(size, name, id=f"{size:,}-{name.replace(': ', '-').replace(' ', '')}")
        for size in SIZES[metafunc.config.getoption("--profile")]
        for name in CONTENDERS
    ]
    metafunc.parametrize(("size", "contender"), cells)


@replayed
def test_between_other_work(benchmark: Any, figures: Figures, profile: str, threads: int, size: int, contender: str) -> None:
    figures.hand_over(benchmark, f"between: {size:,}", contender, lambda: _measured(size, threads, BUDGET[profile]))


def _measured(size: int, threads: int, budget: float) -> Row:
    params, grads = random_arrays([size], np.float32, seed=0), random_arrays([size], np.float32, seed=1)
    opt = fastopt.Adam(params, num_threads=threads)
    steps: dict[str, Callable[[], object]] = {"fastopt": lambda: opt.step(grads)}
    if PEER not in absent():
        verify(PEERS[PEER])
        steps[PEER] = Handed(PEERS[PEER], random_arrays([size], np.float32, seed=0), grads, threads=threads).step
    a, b = random_arrays([(SIDE, SIDE)] * 2, np.float32, seed=2)
    product = np.empty_like(a)

    def contender(name: str) -> Contender:
        who, when = name.split(": ")
        polls = who == PEER
        if when == "in a loop":
            return Contender(steps[who], polls=polls, lead_in=LEAD_IN)
        if when == "after a rest":
            return Contender(steps[who], lambda: time.sleep(REST), polls=polls, steps=AT_A_TIME)
        if when == "20 from a rest":
            return Contender(steps[who], lambda: time.sleep(REST), burst=20, polls=polls, steps=20)
        return Contender(steps[who], lambda: np.matmul(a, b, out=product), polls=True, settle=BLAS_SETTLES, steps=AT_A_TIME)

    rounds = interleave({name: contender(name) for name in CONTENDERS}, budget)
    return row_of(rounds, group="between", label=f"{size:,}", elements=size, working_set=16 * size, threads=threads, rest=REST, side=SIDE)
