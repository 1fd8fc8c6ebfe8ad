"""Adam in float32 beside the systems that are installed: same arrays, same threads, in turns within one run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt

from .arrays import gpt2_shapes, random_arrays
from .ceiling import ceilings
from .ceiling import names as ceiling_names
from .interleave import Contender, interleave
from .ours import OURS, REFERENCE, here
from .peers import PEERS, Handed, absent, measured_on, verify
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
BUDGET = {"smoke": 0.05, "quick": 2.5, "full": 15.0}
"""Seconds of timing a row."""

TWICE_FROM = 32_000_000
"""Parameters from which it is twice as much: there a step of NumPy in place takes as long as one of everybody else's together, and the
others would have half of the rounds."""


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
    large = elements > LARGE
    names = [name for name in here() if not (large and name == OURS + REFERENCE)]
    names += [name for name, peer in measured_on("cpu").items() if name not in absent() and not (large and peer.slow)]
    return [*names, *ceiling_names("adam", names[0].removeprefix(OURS))]


@replayed
def test_beside_peers(benchmark: Any, figures: Figures, profile: str, threads: int, row: str, contender: str) -> None:
    figures.hand_over(benchmark, f"peers: {row}", contender, lambda: _measured(profile, threads, row))


def _measured(profile: str, threads: int, row: str) -> Row:
    shapes = ROWS[profile][row]
    elements = _elements(shapes)
    fresh = row.endswith("fresh gradients")
    contenders: dict[str, Contender] = {}
    names = _contenders(elements)
    for name in names:
        if name.startswith(OURS):
            contenders[name] = _fastopt(name.removeprefix(OURS), shapes, threads, fresh)
        elif name in PEERS:
            verify(PEERS[name])
            contenders[name] = _peer(name, shapes, threads, fresh)
    contenders |= ceilings("adam", names[0].removeprefix(OURS), elements, np.float32, threads)
    return row_of(
        interleave(contenders, BUDGET[profile] * (2 if elements >= TWICE_FROM else 1)),
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
    opt = fastopt.Adam(params, backend=backend, num_threads=None if backend == REFERENCE else threads)
    if not fresh:
        return Contender(lambda: opt.step(grads))
    given = [grads]

    def renew() -> None:
        given[0] = [g.copy() for g in grads]

    return Contender(lambda: opt.step(given[0]), prepare=renew)


def _peer(name: str, shapes: list[Any], threads: int, fresh: bool) -> Contender:
    params, grads = _arrays(shapes)
    kind = PEERS[name]
    given = [g.copy() for g in grads]
    peer = Handed(kind, params, given, threads=threads)

    def restore() -> None:
        for array, g in zip(given, grads, strict=True):
            array[...] = g

    if fresh:
        return Contender(peer.step, lambda: peer.new_gradients([g.copy() for g in grads]), kind.polls)
    return Contender(peer.step, restore if kind.uses_up_gradients else None, kind.polls)
