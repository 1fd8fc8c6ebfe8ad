"""Gradients that a step leaves as 0, and whether any other gradient lies in the memory of one. The same for host and device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastopt.extents import Extents

__all__ = ["Apart"]


class Apart:
    """Looks at the gradients that some work lists, which make a step together, have taken for the coming one.

    To look takes a sort of their addresses, and so is done where these are others than at the step before.
    """

    def __init__(self, works: Sequence[Any]) -> None:
        self._works = [work for work in works if work.kernel.stages.zeroed] + [work for work in works if not work.kernel.stages.zeroed]
        self._writing = sum(work.kernel.stages.zeroed for work in works)
        self._seen: list[bytes] = []

    def check(self) -> None:
        """Raises ValueError naming two gradients that share memory, one of which is to be left as 0; their work lists forget them all."""
        if not self._writing:
            return
        taken = [part.tobytes() for work in self._works for part in (work.gradients_at, work.absent[:-1])]
        if taken == self._seen:
            return
        try:
            written = Extents.together([self._given(work) for work in self._works[: self._writing]])
            for work in self._works[self._writing :]:
                given = work.absent[:-1] == 0
                labels = [label for label, there in zip(work.gradient_labels, given, strict=True) if there]
                written.refuse(work.gradients_at[given], work.gradient_bytes[given], labels.__getitem__)
        except ValueError:
            self._seen = []
            for work in self._works:
                work.forget_gradients()
            raise
        self._seen = taken

    @staticmethod
    def _given(work: Any) -> Extents:
        places = np.flatnonzero(work.absent[:-1] == 0)
        return Extents(work.gradients_at[places], work.gradient_bytes[places], lambda k: work.gradient_labels[places[k]])
