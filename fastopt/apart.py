"""Gradients that a step leaves as 0, and whether anything else lies in the memory of one. The same for host, device and MPI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.extents import Extents

__all__ = ["Apart", "refuse_shared"]


def refuse_shared(starts: NDArray[np.int64], sizes: NDArray[np.int64], written: NDArray[np.bool_], label: Callable[[int], str]) -> None:
    """Raises ValueError naming two of these arrays that share memory, at least one of which is written."""
    own, others = np.flatnonzero(written), np.flatnonzero(~written)
    extents = Extents(starts[own], sizes[own], lambda k: label(int(own[k])))
    extents.refuse(starts[others], sizes[others], lambda k: label(int(others[k])))


class Apart:
    """Looks at the gradients that some work lists, which make a step together, have taken for the coming one.

    To look takes a sort of their addresses, and so is done where these are others than at the step before.
    """

    def __init__(self, works: Sequence[Any]) -> None:
        self._works = list(works) if any(work.kernel.stages.zeroed for work in works) else []
        self._seen: list[bytes] = []

    def check(self) -> None:
        """Raises ValueError naming two gradients that share memory, one of which is to be left as 0; their work lists forget them all."""
        taken = [part.tobytes() for work in self._works for part in (work.gradients_at, work.absent[:-1])]
        if taken == self._seen:
            return
        starts, sizes = (np.concatenate([getattr(work, name) for work in self._works]) for name in ("gradients_at", "gradient_bytes"))
        written = np.repeat([work.kernel.stages.zeroed for work in self._works], [len(work.params) for work in self._works])
        there = np.flatnonzero(np.concatenate([work.absent[:-1] for work in self._works]) == 0)
        try:
            refuse_shared(starts[there], sizes[there], written[there], lambda k: self._label(int(there[k])))
        except ValueError:
            self._seen = []
            for work in self._works:
                work.forget_gradients()
            raise
        self._seen = taken

    def _label(self, index: int) -> str:
        """What a gradient is called, by its number among those of all."""
        for work in self._works:
            if index < len(work.params):
                return str(work.gradient_labels[index])
            index -= len(work.params)
        raise IndexError(index)
