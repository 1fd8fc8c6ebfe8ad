"""Kernels known by their address, whoever compiled them: called once a step through the compiled launcher."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any

from fastopt import threads
from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.worklist import PIECES, WorkList

try:
    import fastopt.backends._launch as _launch
except ImportError as error:
    _launch = None
    why_not = str(error)

__all__ = ["PARALLEL_FROM", "WAKE_FROM", "LaunchedRunner", "launcher", "round_trip", "step_once", "thread_count"]

PARALLEL_FROM = 300_000
"""Bytes of traffic from which helpers that are awake are called (see CONTRIBUTING, "Threads")."""

WAKE_FROM = 1_500_000
"""Bytes of traffic from which helpers that sleep are worth waking."""


def launcher() -> Any:
    """The compiled module that calls kernels by address, or None where it was not built."""
    return _launch


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use. Raises ValueError if several are asked for and the launcher was built without."""
    if not _launch.HAS_THREADS:
        return threads.only_one(num_threads, "the launcher of compiled kernels was built without threads")
    return threads.resolve(num_threads)


def step_once(address: int, rule: Rule, arrays: tuple[Any, ...], threads: int, step: int, settings: Settings, grad_scale: float) -> bool:
    """One step of one tensor by the kernel at an address, with nothing laid out before; `arrays` are p, g and the states.

    False, and nothing was written, if they are not all plain arrays that can be used as they lie.
    """
    p = arrays[0]
    several, large = _help(rule, p.size, p.itemsize, threads)
    scalars = rule.scalars(step, settings.lr, **settings.hyperparameters)
    prologue = settings.direction / grad_scale, settings.decay
    return bool(_launch.step_once(address, p.dtype.num, arrays, scalars, *prologue, threads if several else 1, PIECES, large))


def _help(rule: Rule, elements: int, itemsize: int, threads: int) -> tuple[bool, bool]:
    """Whether a step gets help, and whether it is worth waking somebody for."""
    traffic = elements * rule.bytes_per_parameter(itemsize)
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
    """Steps of one rule over one work list.

    `update` is the address of a C function with the signature of `fastopt_kernel` in `pool.h`; `finite` finds or compiles
    the one that looks for non-finite gradients, which most runs never ask for.
    """

    def __init__(self, rule: Rule, work: WorkList, update: int, finite: Callable[[], int]) -> None:
        self.rule, self.work, self.finite = rule, work, finite
        self.settings: Settings | None = None
        self.several, self.large = _help(rule, work.elements, work.dtype.itemsize, work.threads)
        self.update = self._bound(update)

    def _bound(self, address: int) -> Any:
        work = self.work
        pieces, threads = (work.pieces, work.threads) if self.several else (work.serial, 1)
        return _launch.Launcher(address, work.addresses, work.rows, pieces, threads, self.large, work.dtype.itemsize == 8)

    def run(self, gradients: list[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients that the work list was refreshed with."""
        if settings is not self.settings:
            # in this order: another thread that steps the same optimizer must not take the old scalars for the new settings'
            self.scalars = self.rule.scalars_with(settings.hyperparameters)
            self.settings = settings
        self.update(self.scalars(step, settings.lr), settings.direction / grad_scale, settings.decay)

    @cached_property
    def _find_nonfinite(self) -> Any:
        return self._bound(self.finite())

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return not self._find_nonfinite((), 1.0, 1.0)
