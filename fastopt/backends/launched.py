"""Kernels known by their address, whoever compiled them: called once a step through the compiled launcher."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from fastopt import threads
from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.worklist import WorkList

try:
    from fastopt.backends import _launch
except ImportError as error:
    _launch = None
    why_not = str(error)

__all__ = ["PARALLEL_FROM", "LaunchedRunner", "launcher"]

PARALLEL_FROM = 300_000
"""Bytes of traffic from which several threads are faster than one: where the two curves cross (see CONTRIBUTING, "Threads")."""


def launcher() -> Any:
    """The compiled module that calls kernels by address, or None where it was not built."""
    return _launch


class LaunchedRunner:
    """Steps of one rule over one work list.

    `update` is the address of a C function with the signature of `kernel_function` in `_launch.pyx`; `finite` finds or
    compiles the one that looks for non-finite gradients, which most runs never ask for.
    """

    def __init__(self, rule: Rule, work: WorkList, update: int, finite: Callable[[], int]) -> None:
        self.rule, self.work, self.finite = rule, work, finite
        traffic = work.elements * rule.bytes_per_parameter(work.dtype.itemsize)
        self.several = work.threads > 1 and traffic >= PARALLEL_FROM
        self.update_serially = self._bound(update, several=False)
        self.update = self._bound(update, self.several)

    def _bound(self, address: int, several: bool) -> Any:
        work = self.work
        bounds = work.parallel if several else work.serial
        return _launch.Launcher(address, work.addresses, work.rows, bounds, work.dtype.itemsize == 8)

    def run(self, gradients: list[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients that the work list was refreshed with."""
        launch = self.update_serially if threads.forked() else self.update
        launch(settings.scalars(self.rule, step, grad_scale))

    @cached_property
    def _find_nonfinite(self) -> tuple[Any, Any]:
        address = self.finite()
        return self._bound(address, several=False), self._bound(address, self.several)

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        serially, shared_out = self._find_nonfinite
        return not (serially if threads.forked() else shared_out)(())
