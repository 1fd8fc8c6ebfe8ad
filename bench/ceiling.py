"""The two ceilings of a step: what its memory traffic takes, and what its arithmetic takes. It cannot be faster than the slower one.

- `traffic`: a kernel that reads p, g and each state and writes p and each state, in place, as a step does, and only adds. Copies and
  triads as STREAM has them are no ceiling for that: a store to memory that was not read before brings the line in first, so
  they move other bytes than they count.
- `arithmetic`: the very kernel of the step, over and over on so few elements that they stay in the first-level cache.

Both are launched as a step is, by the same threads, with no call around them: below the traffic from which a step is shared out,
and for the arithmetic always, a launch makes many passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import RULES, Rule, backends
from fastopt.host.launched import PARALLEL_FROM, launcher
from fastopt.host.worklist import PIECES, WorkList
from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.family import Family
from fastopt.slots import Slot
from fastopt.stages import PLAIN

from .arrays import filled
from .interleave import Contender
from .ours import REFERENCE
from .records import CEILINGS

__all__ = ["MOST_STATES", "arithmetic", "ceilings", "names", "traffic"]

IN_CACHE = 512
"""Elements that stay in the first-level cache with all their streams: 20 KiB for Adam in float64."""

AT_A_TIME = 1_000_000
"""Elements that a launch of many passes goes over: a thousand times what the launch costs."""


def move_0(p: float, g: float) -> tuple[float, ...]:
    return (p + g,)


def move_1(p: float, g: float, a: float) -> tuple[float, ...]:
    return p + g, a + g


def move_2(p: float, g: float, a: float, b: float) -> tuple[float, ...]:
    return p + g, a + g, b + g


def move_3(p: float, g: float, a: float, b: float, c: float) -> tuple[float, ...]:
    return p + g, a + g, b + g, c + g


def move_4(p: float, g: float, a: float, b: float, c: float, d: float) -> tuple[float, ...]:
    return p + g, a + g, b + g, c + g, d + g


def _no_scalars(step: int, lr: float) -> tuple[float, ...]:
    return ()


_FUNCTIONS: list[Callable[..., tuple[float, ...]]] = [move_0, move_1, move_2, move_3, move_4]
MOVES = [Rule(move.__name__, move, tuple("abcd"[:k]), scalars=_no_scalars) for k, move in enumerate(_FUNCTIONS)]
"""Rules that are in no table: one for each number of states."""

MOST_STATES = len(MOVES) - 1
"""The most states a rule may have for its traffic to be known here."""


def names(rule: str, backend: str) -> list[str]:
    """The ceilings that are likely to be there: the reference has no kernel, and nothing is launched where no launcher was built."""
    if launcher() is None:
        return []
    known = len(RULES[rule].states) <= MOST_STATES, backend != REFERENCE
    return [name for name, there in zip(CEILINGS, known, strict=True) if there]


def ceilings(rule: str, backend: str, elements: int, dtype: Any, threads: int) -> dict[str, Contender]:
    """The ceilings of a rule's step over so many parameters, by name."""
    expected, found = names(rule, backend), {}
    if "traffic" in expected:
        found["traffic"] = traffic(elements, len(RULES[rule].states), dtype, threads)
    if "arithmetic" in expected and (own := arithmetic(RULES[rule], backend, elements, dtype, threads)):
        found["arithmetic"] = own
    return found


@lru_cache(maxsize=1)  # to fill large arrays takes longer than to time a step on them
def traffic(elements: int, states: int, dtype: Any, threads: int) -> Contender:
    """Moves the streams of one step of a rule with so many states."""
    if not 0 <= states <= MOST_STATES:
        raise ValueError(f"states: expected 0 to {MOST_STATES}, the numbers this probe has a kernel for; received {states}")
    rule, kind = MOVES[states], np.dtype(dtype)
    p, g, *held = (filled(elements, dtype, 50 + i) for i in range(2 + states))
    g *= kind.type(1e-6)  # it is added over and over
    kernel = kernel_of(rule, PLAIN, kind.name, kind.name, kind.name)
    work = WorkList(kernel, [p], [held], ["p"], ["g"], threads, [0])
    work.refresh([g])
    address = backends.load("numba").kernel_address(kernel)
    if _threads(kernel, elements, threads) > 1:
        return Contender(_launch(address, work, work.rows, work.pieces, threads, (), g))
    passes = max(1, AT_A_TIME // max(1, elements))
    step = _launch(address, work, np.tile(work.rows, (passes, 1)), np.array([[0, passes * len(work.rows)]]), 1, (), g)
    return Contender(step, makes=passes)


def arithmetic(rule: Rule, backend: str, elements: int, dtype: Any, threads: int) -> Contender | None:
    """Does what a step computes, or None where the backend has no kernel to be called by its address.

    Two gradients take turns: under one that never changes Adan's average of its changes becomes a denormal number, and stays one, which
    takes a processor several times as long to compute with.
    """
    kind = np.dtype(dtype)
    kernel = kernel_of(rule, PLAIN, kind.name, kind.name, kind.name)
    address = backends.load(backend).kernel_address(kernel)
    if address is None:
        return None
    threads = _threads(kernel, elements, threads)
    pieces = threads * PIECES  # each has elements of its own, whichever thread takes it
    params, *gradients = ([filled(IN_CACHE, dtype, i * pieces + k) for k in range(pieces)] for i in range(3))
    states = [[np.zeros_like(p) for _ in rule.states] for p in params]
    work = WorkList(kernel, params, states, ["p"] * pieces, ["g"] * pieces, threads, range(0, 2 * pieces, 2))
    tables = []
    for each in gradients:
        work.refresh(each)
        tables.append(work.addresses.copy())
    turns = max(1, AT_A_TIME // (2 * IN_CACHE * pieces))
    passes = 2 * turns
    rows = np.concatenate([np.tile([[k, 0, IN_CACHE], [k + pieces, 0, IN_CACHE]], (turns, 1)) for k in range(pieces)])
    bounds = np.arange(pieces + 1) * passes
    scalars = Slot(rule, Family.of(rule).settle({"lr": 1e-4}).settings, steps=9).scalars()
    step = _launch(address, work, rows, np.stack([bounds[:-1], bounds[1:]], axis=1), threads, scalars, gradients, np.concatenate(tables))
    return Contender(step, makes=IN_CACHE * pieces * passes / elements)


def _threads(kernel: Kernel, elements: int, threads: int) -> int:
    """How many a step over so many elements is shared out to."""
    return threads if elements * kernel.bytes_per_parameter >= PARALLEL_FROM else 1


def _launch(
    address: int | None,
    work: WorkList,
    rows: NDArray[Any],
    pieces: NDArray[Any],
    threads: int,
    scalars: tuple[float, ...],
    kept: Any,
    table: NDArray[np.int64] | None = None,
) -> Callable[[], object]:
    """A call of the kernel at an address over rows of a work list; `kept` are the gradients, which the list does not hold.

    `table` takes the place of the list's own addresses.
    """
    rows, pieces = (np.ascontiguousarray(array, np.int64) for array in (rows, pieces))
    kernel = work.kernel
    run = launcher().Launcher(
        address, kernel.scalar_count, work.addresses if table is None else table, rows, pieces, threads, True, kernel.compute == "float64"
    )
    return lambda: (run(scalars, 1.0, 1.0), work, kept)
