"""The memory that a step writes, as plain addresses, and whether anything else lies in it. The same for host and device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Extents"]

Addresses = NDArray[np.int64]
Label = Callable[[int], str]


class Extents:
    """Where the arrays lie that a step writes. Raises ValueError naming two of them that overlap.

    Parameters
    ----------
    starts, sizes
        Of each array: its first address, and its bytes.
    label
        What an error calls the array of that index; asked for only then.

    Attributes
    ----------
    low, high
        First and last-but-one addresses of those that are not empty, ascending; the arrays are disjoint, so ends ascend too.
    """

    def __init__(self, starts: ArrayLike, sizes: ArrayLike, label: Label) -> None:
        begin, size = np.asarray(starts, np.int64).reshape(-1), np.asarray(sizes, np.int64).reshape(-1)
        order = begin.argsort(kind="stable")
        self.order = order[size[order] > 0]
        self.label = label
        self.low: Addresses = begin[self.order]
        self.high: Addresses = self.low + size[self.order]
        meet = self.high[:-1] > self.low[1:]
        if meet.any():
            bad = np.flatnonzero(meet)
            _refuse(label(int(self.order[bad[0]])), label(int(self.order[bad[0] + 1])))

    @classmethod
    def together(cls, parts: Sequence[Extents]) -> Extents:
        """All of several, which may not overlap each other either."""
        ends = np.cumsum([len(part.low) for part in parts])

        def label(index: int) -> str:
            k = int(np.searchsorted(ends, index, side="right"))
            part = parts[k]
            return part.label(int(part.order[index - (ends[k] - len(part.low))]))

        low, high = (np.concatenate([getattr(part, name) for part in parts]) for name in ("low", "high"))
        return cls(low, high - low, label)

    def refuse(self, starts: ArrayLike, sizes: ArrayLike, label: Label) -> None:
        """Raises ValueError for the first of these arrays that shares memory with what a step writes, naming both."""
        begin = np.asarray(starts, np.int64).reshape(-1)
        if not len(self.low) or not len(begin):
            return
        end = begin + np.asarray(sizes, np.int64).reshape(-1)
        before = np.searchsorted(self.low, end, side="left") - 1  # the last extent that begins before the other one ends
        bad = np.flatnonzero((end > begin) & (before >= 0) & (self.high[before] > begin))
        if len(bad):
            # of several that it meets, the first in memory is named
            met = int(np.searchsorted(self.high, begin[bad[0]], side="right"))
            own, other = self.label(int(self.order[met])), label(int(bad[0]))
            _refuse(*((own, other) if self.low[met] < begin[bad[0]] else (other, own)))


def _refuse(first: str, second: str) -> None:
    raise ValueError(f"{first} and {second} overlap in memory: expected arrays that share no element")
