"""Kernels known by their address, whoever compiled them: called once a step through the compiled launcher."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.host import threads
from fastopt.host.worklist import PIECES, WorkList, not_known
from fastopt.kernel import Kernel
from fastopt.slots import Slot

try:
    import fastopt.host._launch as _launch
except ImportError as error:
    _launch = None
    why_not = str(error)

__all__ = ["PARALLEL_FROM", "WAKE_FROM", "LaunchedRunner", "launcher", "round_trip", "step_once", "thread_count", "use_team"]

PARALLEL_FROM = 300_000
"""Bytes of traffic from which helpers that are awake are called (see CONTRIBUTING, "Threads")."""

WAKE_FROM = 1_500_000
"""Bytes of traffic from which helpers that sleep are worth waking."""


def launcher() -> Any:
    """The compiled module that calls kernels by address, or None where it was not built."""
    return _launch


def use_team(parallel: int, number: int) -> bool:
    """Has the threads of an OpenMP runtime do the large jobs of work lists that ask for it (`by_team`).

    The runtime is known by the addresses of its functions `GOMP_parallel` and `omp_get_thread_num`. False where there are no threads here.
    """
    if _launch is None or not _launch.HAS_THREADS:
        return False
    _launch.use_team(parallel, number)
    return True


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use. Raises ValueError if several are asked for and the launcher was built without."""
    if not _launch.HAS_THREADS:
        return threads.only_one(num_threads, "the launcher of compiled kernels was built without threads")
    return threads.resolve(num_threads)


def step_once(address: int, kernel: Kernel, arrays: tuple[Any, ...], threads: int, slot: Slot, grad_scale: float) -> bool:
    """One step of one tensor by the kernel at an address, with nothing laid out before; `arrays` are p, g and the states.

    False, and nothing was written, if they are not all plain arrays that can be used as they lie.
    """
    several, large = _help(kernel.bytes_per_parameter * arrays[0].size, threads)
    prologue = slot.settings.direction / grad_scale, slot.settings.decay
    count, is_double = kernel.scalar_count, kernel.compute == "float64"
    shared_by = threads if several else 1
    numbers = kernel.type_numbers
    writes, scalars = kernel.stages.zeroed, slot.scalars_once()
    return bool(_launch.step_once(address, numbers, writes, count, is_double, arrays, scalars, *prologue, shared_by, PIECES, large))


def _help(traffic: float, threads: int) -> tuple[bool, bool]:
    """Whether a step that moves so many bytes gets help, and whether it is worth waking somebody for."""
    return threads > 1 and traffic >= PARALLEL_FROM, traffic >= WAKE_FROM


def round_trip() -> float | None:
    """Nanoseconds in which a cache line goes between the first two CPUs of this process and back.

    At best of some short tries, in some of which others may have had a CPU. None where that cannot be found out. On a virtual machine it
    may change while a program runs, as the host moves its CPUs.
    """
    cpus = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    found = [_launch.round_trip(*cpus) for _ in range(10)] if _launch is not None and len(cpus) == 2 else []
    return min(filter(None, found), default=None)


class LaunchedRunner:
    """Steps of one kernel over one work list.

    `update` is the address of a C function with the signature of `fastopt_kernel` in `pool.h`; `named` finds or compiles
    those that look at gradients alone, which most runs never ask for.
    """

    around = None

    def __init__(self, kernel: Kernel, work: WorkList, update: int, named: Callable[[str], int]) -> None:
        self.kernel, self.work, self.named = kernel, work, named
        self.several, _ = _help(kernel.bytes_per_parameter * work.elements, work.threads)
        self.update = self._bound(update, kernel.scalar_count, kernel.bytes_per_parameter, kernel.draws)
        self.at_once = None if work.gather is not_known else self.update.step

    def _bound(self, address: int, scalar_count: int, bytes_each: float, draws: bool = False) -> Any:
        work = self.work
        several, large = _help(bytes_each * work.elements, work.threads)
        pieces, threads = (work.pieces, work.threads) if several else (work.serial, 1)
        is_double = self.kernel.compute == "float64"
        return _launch.Launcher(address, scalar_count, work.addresses, work.rows, pieces, threads, large, is_double, work.by_team, draws)

    def ready(self, gradients: list[Any], slots: Sequence[Slot], grad_scale: float, clip: float) -> list[Callable[[], Any]]:
        """The calls that make a step, on the gradients that the work list was refreshed with."""
        draws = self.kernel.draws
        rows = [(slot.of_kernel(draws), slot.settings.direction * clip / grad_scale, slot.settings.decay) for slot in slots]
        return [partial(self.update.over, self.update.table(rows))]

    @cached_property
    def _find_nonfinite(self) -> Any:
        gradient = self.kernel.gradient
        return self._bound(self.named(f"all_finite_{gradient.name}"), 2, gradient.itemsize)

    @cached_property
    def _square(self) -> Any:
        gradient = self.kernel.gradient
        return self._bound(self.named(f"squares_of_{gradient.name}"), 2, gradient.itemsize)

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return not self._find_nonfinite((), 1.0, 1.0)

    def squares(self, gradients: list[Any], sums: NDArray[np.float64]) -> None:
        """Writes the sums of the gradients' squares over blocks of 256 elements, each to its place among all blocks."""
        self._square.into(sums)
