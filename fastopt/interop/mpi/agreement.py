"""What ranks find out together before they exchange anything: whether all can go on, and whether all mean the same.

An error on one rank would leave the others waiting for it. So each says how it stands, and all of them raise, or none does.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

__all__ = ["Ranks", "abort_on_error"]

T = TypeVar("T")


def abort_on_error(comm: Any = None) -> None:
    """Has an exception that nobody catches end all ranks, and not this one alone while the others wait for it.

    `python -m mpi4py SCRIPT` does the same. `comm` is MPI.COMM_WORLD if None. A rank that is killed is for `mpiexec` to see, which ends
    the others.
    """
    ending = MPI.COMM_WORLD if comm is None else comm
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        before(kind, error, where)
        sys.stderr.flush()
        ending.Abort(1)

    sys.excepthook = hook


class Ranks:
    """The processes of a communicator. Raises TypeError for what is none within one group of processes."""

    def __init__(self, comm: Any) -> None:
        if not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"comm: expected an intracommunicator of mpi4py, received {type(comm).__name__}")
        self.comm = comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()

    def together(self, what: Callable[[], T]) -> T:
        """What a call returns, once it has returned on all ranks. Raises its error where it raised, and RuntimeError on the others."""
        value, error = None, None
        try:
            value = what()
        except Exception as raised:
            error = raised
        self.raise_together(error)
        return value  # type: ignore[return-value]  # there is one where nothing was raised

    def raise_together(self, error: Exception | None) -> None:
        """Raises an error on all ranks where one has one: its own, or RuntimeError with the first rank's."""
        every = self.comm.allgather(None if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        for rank, words in enumerate(every):
            if words is not None:
                raise RuntimeError(f"rank {rank} of {self.size} raised {words}")

    def alike(self, own: Mapping[str, Sequence[str]]) -> None:
        """Raises ValueError on all ranks, with the same words, where these differ: what (by its name), where first, and how."""
        numbers = [zlib.crc32("\n".join(lines).encode()) for lines in own.values()]
        if self._same(numbers).all():
            return
        every = self.comm.allgather({name: list(lines) for name, lines in own.items()})
        for rank, other in enumerate(every):
            for name, lines in every[0].items():
                for line, others in zip_longest(lines, other[name], fillvalue="nothing"):
                    if line != others:
                        raise ValueError(f"{name}: expected the same on all ranks, received {line} on rank 0 and {others} on rank {rank}")

    def _same(self, numbers: Sequence[int]) -> NDArray[np.bool_]:
        """Which of these are the same on all ranks; of at most 63 bits."""
        own, found = np.array(numbers, np.int64), np.empty(2 * len(numbers), np.int64)
        self.comm.Allreduce(np.concatenate([own, -own]), found, MPI.MAX)
        same: NDArray[np.bool_] = found[: len(own)] == -found[len(own) :]
        return same

    def agreed(self, error: Exception | None, numbers: Sequence[int], words: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        """The same as `raise_together` and `alike`, by one small reduction where all is well.

        `numbers` stand for what has to be the same, each >= 0 and of at most 63 bits; on a rank with an error they say nothing.
        """
        if self._same([-1] * len(numbers) if error is not None else numbers).all() and error is None:
            return
        self.raise_together(error)
        self.alike(words())

    def sums(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """All ranks' sums, one behind the other in the order of the ranks."""
        counts = self.comm.allgather(len(own))
        found = np.empty(sum(counts))
        self.comm.Allgatherv(np.ascontiguousarray(own), [found, counts])
        return found

    def first(self, position: int | None) -> int | None:
        """The least of all ranks' positions, None where no rank has one."""
        none = np.iinfo(np.int64).max
        found = np.array([none if position is None else position])
        self.comm.Allreduce(MPI.IN_PLACE, found, MPI.MIN)
        return None if found[0] == none else int(found[0])
