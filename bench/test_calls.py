"""What a call costs outside of its kernel: a functional step, building an optimizer, a step of next to nothing, two dtypes.

These sizes are so small, or so many, that the arithmetic is not what takes the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import backends, reference

from .arrays import random_arrays
from .interleave import Contender, interleave
from .peers import BETAS, EPS, LR, PEERS, absent, verify
from .records import Row, row_of
from .replay import Figures, replayed

OURS = [f"fastopt {name}" for name in sorted(backends.on_host(), key=("cython", "numba", "numpy").index)]
FORMULA = "NumPy formula"
PEER = "torch fused"
BESIDE = [PEER] if PEER not in absent() else []
MIXED = ["float32 and float64", "all float32", "all float64", "two optimizers"]

BUDGET = {"smoke": 0.0, "quick": 1.0, "full": 6.0}
"""Seconds of timing a cell."""

LISTS = {"smoke": 10, "quick": 1_000, "full": 1_000}
"""Tensors of 1,000 parameters in a long list."""


def _cells(profile: str) -> dict[str, list[str]]:
    """The calls, and who makes each of them."""
    long = f"{LISTS[profile]:,} x 1,000"
    return {
        "functional, 1 x 1,000": [*OURS, FORMULA],
        "build, 1 x 1,000": [*OURS, *BESIDE],
        f"build, {long}": [*OURS, *BESIDE],
        "step, 1 x 100": [*OURS, *BESIDE],
        f"step of two dtypes, {long}": MIXED,
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cells = [
        pytest.param(call, name, id=f"{call}-{name}".replace(" ", ""))
        for call, names in _cells(metafunc.config.getoption("--profile")).items()
        for name in names
    ]
    metafunc.parametrize(("call", "contender"), cells)


@replayed
def test_call(benchmark: Any, figures: Figures, profile: str, threads: int, call: str, contender: str) -> None:
    figures.hand_over(benchmark, f"calls: {call}", contender, lambda: _measured(profile, threads, call))


def _measured(profile: str, threads: int, call: str) -> Row:
    what, sizes = call.split(", ", 1)
    tensors, size = (int(number.replace(",", "")) for number in sizes.split(" x "))
    make = {"functional": _functional, "build": _build, "step": _step, "step of two dtypes": _mixed}[what]
    names = _cells(profile)[call]
    if PEER in names:
        verify(PEER, threads)
    contenders = {name: Contender(make(name, [size] * tensors, threads), polls=name == PEER and what == "step") for name in names}
    rounds = interleave(contenders, BUDGET[profile])
    return row_of(rounds, group="calls", label=call, tensors=tensors, elements=tensors * size, threads=threads)


def _options(name: str, threads: int) -> dict[str, Any]:
    backend = name.removeprefix("fastopt ")
    return {"backend": backend} | ({} if backend == "numpy" else {"num_threads": threads})


def _arrays(sizes: list[int], dtype: Any = np.float32) -> tuple[list[Any], list[Any]]:
    return random_arrays(sizes, dtype, seed=0), random_arrays(sizes, dtype, seed=len(sizes))


def _functional(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    (p,), (g,) = _arrays(sizes)
    m, v = np.zeros_like(p), np.zeros_like(p)
    if name == FORMULA:
        held = [p, m, v]

        def formula() -> None:
            held[:] = reference.adam(held[0], g, *held[1:], step=10, lr=LR, betas=BETAS, eps=EPS, eps_root=0.0)

        return formula
    options = _options(name, threads)
    return lambda: fastopt.functional.adam(p, g, m, v, step=10, lr=LR, **options)


def _build(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    params, grads = _arrays(sizes)
    if name == PEER:
        peer: Any = PEERS[PEER](params, grads, threads)
        return lambda: peer.build()
    options = _options(name, threads)
    return lambda: fastopt.Adam(params, LR, **options)


def _step(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    params, grads = _arrays(sizes)
    if name == PEER:
        return PEERS[PEER](params, grads, threads).step
    opt = fastopt.Adam(params, LR, **_options(name, threads))
    return lambda: opt.step(grads)


def _mixed(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    """Every second tensor in float64; beside it one dtype for all, and an optimizer for each dtype and its half of the tensors."""
    single, double = _arrays(sizes), _arrays(sizes, np.float64)
    if name == "two optimizers":
        halves = [[arrays[k::2] for arrays in given] for k, given in enumerate((single, double))]
        first, second = (fastopt.Adam(params, LR, num_threads=threads) for params, _ in halves)
        (_, of_first), (_, of_second) = halves
        return lambda: (first.step(of_first), second.step(of_second))
    params, grads = single if name == "all float32" else double
    if name == "float32 and float64":
        params[::2], grads[::2] = single[0][::2], single[1][::2]
    opt = fastopt.Adam(params, LR, num_threads=threads)
    return lambda: opt.step(grads)
