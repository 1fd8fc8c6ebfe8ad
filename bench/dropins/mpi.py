"""fastopt.interop.mpi on a single rank beside the optimizer that it divides: what the way through it costs where nothing is sent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "works"]

LIBRARY = "mpi4py"

SHAPES: dict[str, list[list[int]]] = {
    "smoke": [[1_000] * 10],
    "quick": [[1_000_000], [1_000] * 1_000],
    "full": [[1_000_000], [1_000] * 1_000, [64_000_000]],
}
"""The sizes of the arrays that a step is over."""


def works(profile: str) -> list[Work]:
    """A step of Adam over one large array and over a thousand small ones."""
    return [
        Work(
            f"Adam on 1 rank, {len(sizes):,} x {sizes[0]:,}",
            {"fastopt over MPI": _contender(sizes, over_mpi=True), "fastopt": _contender(sizes, over_mpi=False)},
            sum(sizes),
        )
        for sizes in SHAPES[profile]
    ]


def _contender(sizes: list[int], *, over_mpi: bool) -> Callable[[int], Contender]:
    def make(threads: int) -> Contender:
        import fastopt

        made = np.random.default_rng(0)
        params, grads = ([made.standard_normal(size, np.float32) for size in sizes] for _ in range(2))
        if not over_mpi:
            plain = fastopt.Adam(params, num_threads=threads)
            return Contender(lambda: plain.step(grads))
        from mpi4py import MPI

        from fastopt.interop.mpi import Sharded

        optimizer = Sharded(fastopt.Adam, params, MPI.COMM_SELF, num_threads=threads)
        return Contender(lambda: optimizer.step(grads))

    return make
