"""Adam in float32 beside the systems that are installed: same arrays, same threads, in turns within one run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import backends

from .arrays import gpt2_shapes, random_arrays
from .ceiling import probe
from .interleave import Contender, interleave
from .peers import PEERS, absent, verify
from .records import Row, row_of
from .replay import Figures, replayed

LARGE = 2_000_000
"""Parameters from which the slow peers are left out."""

ROWS: dict[str, dict[str, list[Any]]] = {
    "smoke": {"1 x 1,000": [1_000]},
    "quick": {
        "1 x 1,000": [1_000],
        "1 x 100,000": [100_000],
        "1 x 1,000,000": [1_000_000],
        "1 x 16,000,000": [16_000_000],
        "1 x 64,000,000": [64_000_000],
        "1,000 x 1,000": [1_000] * 1_000,
        "1,000 x 1,000, fresh gradients": [1_000] * 1_000,
        "GPT-2 small / 4": gpt2_shapes(4),
    },
}
ROWS["full"] = ROWS["quick"] | {"1 x 10,000": [10_000], "1 x 4,000,000": [4_000_000], "GPT-2 small": gpt2_shapes(1)}
OURS = "fastopt "
"""What stands before the backend in the name of a contender."""

BUDGET = {"smoke": 0.05, "quick": 2.5, "full": 15.0}
"""Seconds of timing a row."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rows = ROWS[metafunc.config.getoption("--profile")]
    cells = [
        pytest.param(label, name, id=f"{label}-{name}".replace(" ", ""))
        for label, shapes in rows.items()
        for name in _contenders(_elements(shapes))
    ]
    metafunc.parametrize(("row", "contender"), cells)


def _elements(shapes: list[Any]) -> int:
    return sum(math.prod(s) if isinstance(s, tuple) else s for s in shapes)


def _contenders(elements: int) -> list[str]:
    """Who is there and not too slow for so many parameters; the subject first."""
    ours = sorted(backends.on_host(), key=("cython", "numba", "numpy").index)
    names = [f"{OURS}{name}" for name in ours if name != "numpy" or elements < LARGE]
    names += [name for name in PEERS if name not in absent() and not (PEERS[name].slow and elements > LARGE)]
    return [*names, "ceiling"]


@replayed
def test_beside_peers(benchmark: Any, figures: Figures, profile: str, threads: int, row: str, contender: str) -> None:
    figures.hand_over(benchmark, f"peers: {row}", contender, lambda: _measured(profile, threads, row))


def _measured(profile: str, threads: int, row: str) -> Row:
    shapes = ROWS[profile][row]
    elements = _elements(shapes)
    fresh = row.endswith("fresh gradients")
    contenders: dict[str, Contender] = {}
    for name in _contenders(elements):
        if name == "ceiling":
            contenders[name] = Contender(probe(elements, 2, np.float32, threads), polls=True)
        elif name.startswith(OURS):
            contenders[name] = _fastopt(name.removeprefix(OURS), shapes, threads, fresh)
        else:
            verify(name, threads)
            contenders[name] = _peer(name, shapes, threads, fresh)
    return row_of(
        interleave(contenders, BUDGET[profile]),
        group="peers",
        label=row,
        tensors=len(shapes),
        elements=elements,
        bytes_per_parameter=28,
        working_set=16 * elements,
        threads=threads,
        absent=absent(),
    )


def _arrays(shapes: list[Any]) -> tuple[list[Any], list[Any]]:
    return random_arrays(shapes, np.float32, seed=0), random_arrays(shapes, np.float32, seed=len(shapes))


def _fastopt(backend: str, shapes: list[Any], threads: int, fresh: bool) -> Contender:
    params, grads = _arrays(shapes)
    opt = fastopt.Adam(params, backend=backend, num_threads=None if backend == "numpy" else threads)
    if not fresh:
        return Contender(lambda: opt.step(grads))
    given = [grads]

    def renew() -> None:
        given[0] = [g.copy() for g in grads]

    return Contender(lambda: opt.step(given[0]), prepare=renew)


def _peer(name: str, shapes: list[Any], threads: int, fresh: bool) -> Contender:
    params, grads = _arrays(shapes)
    given = [g.copy() for g in grads]
    peer = PEERS[name](params, given, threads)

    def restore() -> None:
        for array, g in zip(given, grads, strict=True):
            array[...] = g

    if fresh:
        return Contender(peer.step, lambda: peer.new_gradients([g.copy() for g in grads]), peer.polls)
    return Contender(peer.step, restore if peer.uses_up_gradients else None, peer.polls)
