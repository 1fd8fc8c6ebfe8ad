"""Host memory as an optimizer uses it: what may be a parameter, where states lie, and copies (the counterpart of `fastopt.cuda.memory`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import setitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.host import arrays
from fastopt.host.states import zeros_beside
from fastopt.host.worklist import WorkList
from fastopt.kernel import Kernel
from fastopt.storage.blocks import BLOCK

try:
    from fastopt.host._gather import all_plain
except ImportError:  # no compiler at hand when fastopt was installed: arrays are looked at one by one

    def all_plain(arrays: list[Any]) -> bool:
        """Not known."""
        return False


__all__ = [
    "assign",
    "assigning",
    "backends",
    "check_together",
    "corrections_beside",
    "name",
    "scales_beside",
    "settle",
    "to_host",
    "views",
    "work_list",
    "zeros_beside",
]

name = "host memory"
backends = ("numpy", "numba", "cython")


def views(given: Sequence[Any], labels: Sequence[str]) -> list[NDArray[Any]]:
    """The parameters themselves. Raises TypeError or ValueError for one that a kernel cannot write to as it lies."""
    found = list(given)
    if not all_plain(found):
        for array, label in zip(found, labels, strict=True):
            arrays.parameter(array, label)
    return found


def scales_beside(views: Sequence[NDArray[Any]], count: int) -> list[list[NDArray[Any]]]:
    """For each parameter so many arrays of float32 zeros, with one for each of its blocks."""
    return [[np.zeros(-(-view.size // BLOCK), np.float32) for _ in range(count)] for view in views]


def corrections_beside(views: Sequence[NDArray[Any]], dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    """For each parameter zeros of its shape and layout."""
    return [own for (own,) in zeros_beside(views, dtype, 1)]


def to_host(state: NDArray[Any]) -> NDArray[Any]:
    """A copy."""
    return state.copy(order="K")


def assign(state: NDArray[Any], values: NDArray[Any]) -> None:
    """Copies values into a state of their shape and dtype that nobody works with yet."""
    state[...] = values


def assigning(copies: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> list[Callable[[], Any]]:
    """The calls that copy values into states of their shape and dtype."""
    return [partial(setitem, state, ..., values) for state, values in copies]


def work_list(
    kernel: Kernel,
    params: Sequence[NDArray[Any]],
    states: Sequence[Sequence[NDArray[Any]]],
    labels: Sequence[str],
    gradient_labels: Sequence[str],
    threads: int,
    first_blocks: Sequence[int],
) -> WorkList:
    """The arrays of one kernel, laid out for the backends."""
    return WorkList(kernel, params, states, labels, gradient_labels, threads, first_blocks)


def check_together(works: Sequence[WorkList]) -> None:
    """Nothing: all of host memory is one."""


def settle(works: Sequence[WorkList]) -> None:
    """Nothing: a step on the host has read all when it returns."""
