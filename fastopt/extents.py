"""The memory that a step writes, as plain addresses, and whether anything else lies in it. The same for host and device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Extents", "Span", "refuse_overlap"]


class Span(NamedTuple):
    """Where a contiguous array lies: its first address, and its size in bytes. `label` is what an error calls it."""

    start: int
    size: int
    label: str


def refuse_overlap(spans: Iterable[Span]) -> None:
    """Raises ValueError naming two spans that share memory, if there are any."""
    extents = sorted((span.start, span.start + span.size, span.label) for span in spans if span.size)
    for (_, end, first), (start, _, second) in pairwise(extents):
        if start < end:
            raise ValueError(f"{first} and {second} overlap in memory: expected arrays that share no element")


class Extents:
    """The spans that a step writes. Raises ValueError naming two of them that overlap.

    `low` and `high` are their first and last-but-one addresses, ascending; spans are disjoint, so ends ascend too.
    """

    def __init__(self, spans: Sequence[Span]) -> None:
        refuse_overlap(spans)
        self.spans = spans
        bounds = np.array(sorted((span.start, span.start + span.size) for span in spans if span.size), np.int64).reshape(-1, 2)
        self.low: NDArray[np.int64] = np.ascontiguousarray(bounds[:, 0])
        self.high: NDArray[np.int64] = np.ascontiguousarray(bounds[:, 1])

    def refuse(self, others: Sequence[Span]) -> None:
        """Raises ValueError for the first of `others` that shares memory with what a step writes, naming both."""
        if not len(self.low) or not others:
            return
        starts = np.array([span.start for span in others], np.int64)
        ends = starts + np.array([span.size for span in others], np.int64)
        before = np.searchsorted(self.low, ends, side="left") - 1  # the last extent that begins before the other one ends
        bad = np.flatnonzero((ends > starts) & (before >= 0) & (self.high[before] > starts))
        if len(bad):
            refuse_overlap([others[bad[0]], *self.spans])
