"""Backends by name: what is there, what `auto` picks, and why. A backend is imported when it is first asked for.

Most work on arrays in host memory, one on arrays in device memory. A backend is a module with `unavailable`, `thread_count` and
`prepare` (see `Backend`); what `prepare` returns runs steps (see `Runner`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache as once
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.kernel import Kernel
from fastopt.memory import Memory, host
from fastopt.slots import Slot

__all__ = ["HOST", "NAMES", "Backend", "Runner", "available_backends", "choose", "default", "load", "on_host", "pick"]

HOST = host.backends
"""Those that work in host memory."""

NAMES = (*HOST, "cuda")
CHOICES = ("auto", *NAMES)


class Runner(Protocol):
    """Steps of one kernel over one work list.

    Attributes
    ----------
    at_once
        `at_once(turn, turn.at_once, gradients, scalars, gradient_factor, decay, before, step, remembered)` takes the gradients, makes the
        step and counts it in one call, where there is one slot. Answers whether it did; if not, nothing was written. None where the
        runner has no such call.
    around
        Of what has to hold while the calls of `ready` are made, a context manager; None where nothing has to.
    """

    at_once: Callable[..., bool] | None
    around: Callable[[], AbstractContextManager[Any]] | None

    def ready(self, gradients: list[Any], slots: Sequence[Slot], grad_scale: float, clip: float) -> list[Callable[[], Any]]:
        """The calls that make a step (`fastopt.uninterrupted`), on gradients that the work list was refreshed with.

        The gradients are divided by `grad_scale` and multiplied by `clip`. Whatever can fail has been done by then, and nothing is written
        before the calls are made.
        """

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite. Only in host memory: optimizers of device arrays never ask."""

    def squares(self, gradients: list[Any], sums: NDArray[np.float64]) -> None:
        """Writes the sums of the gradients' squares over blocks of 256 elements, each to its place among all. Only in host memory."""


class Backend(Protocol):
    """The functions of a backend's module."""

    def unavailable(self) -> str | None:
        """Why this backend cannot be used, or None if it can."""

    def thread_count(self, num_threads: int | None) -> int:
        """How many threads a step may use. Raises ValueError for a number that cannot be honoured."""

    def kernel_address(self, kernel: Kernel) -> int | None:
        """The entry point of a kernel for the compiled launcher, or None where this backend goes without it."""

    def prepare(self, kernel: Kernel, work: Any) -> Runner:
        """Gets a kernel ready for a work list of the memory that the backend works in."""


def load(name: str) -> Backend:
    """The backend of that name. Raises ValueError if there is none, RuntimeError if it cannot be used here."""
    arguments.choice(name, "backend", CHOICES)
    return _usable(name)


def _usable(name: str) -> Backend:
    backend = _module(name)
    reason = backend.unavailable()
    if reason is not None:
        raise RuntimeError(f"backend: {name!r} cannot be used: {reason}")
    return backend


def on_host() -> list[str]:
    """The backends for arrays in host memory that can be used here."""
    return [name for name in HOST if _module(name).unavailable() is None]


@once
def _module(name: str) -> Backend:
    return cast(Backend, import_module(f"fastopt.backends.{name}_backend"))


def available_backends() -> dict[str, bool | str]:
    """For each backend True, or in words why it cannot be used here.

    >>> fastopt.available_backends()
    {'numpy': True, 'numba': True, 'cython': True, 'cuda': 'the NVIDIA driver was not found (DynamicLibNotFoundError)'}
    """
    found: dict[str, bool | str] = {}
    for name in NAMES:
        reason = _module(name).unavailable()
        found[name] = True if reason is None else reason
    return found


def pick(*kernels: Kernel) -> tuple[str, str]:
    """The backend that `auto` takes for these kernels, and why.

    The order comes from cost. A step costs the same in cython and numba; to build an optimizer and make the first step
    in a new process takes 10 ms in cython and 0.4 to 0.8 s in numba (import, compilation): so cython, as long as it has
    the kernels compiled. One that it has not (a rule from outside the package, narrow storage) would have to go through a C compiler
    first, which takes seconds: numba. NumPy takes 8 times longer at 1,000 parameters and 10 to 20 times at a million. `fastopt info`
    measures all of these on the machine at hand.
    """
    cython: Any = _module("cython")
    no_cython = cython.unavailable()
    if no_cython is None:
        missing = next((kernel for kernel in kernels if not cython.has_kernel(kernel)), None)
        if missing is None:
            return "cython", "compiled ahead: the cheapest first step, and no slower after it"
        no_cython = f"kernel {missing.name!r} is not in the built extension"
    no_numba = _module("numba").unavailable()
    if no_numba is None:
        return "numba", f"compiled when first used; not cython: {no_cython}"
    return "numpy", f"not cython: {no_cython}; not numba: {no_numba}"


def default() -> str:
    """What FASTOPT_BACKEND says, or "auto". Raises ValueError if it is no backend's name."""
    named = os.environ.get("FASTOPT_BACKEND") or "auto"
    if named not in CHOICES:
        raise ValueError(f"FASTOPT_BACKEND: expected one of {', '.join(('auto', *NAMES))}; received {named!r}")
    return named


def choose(backend: str, kernels: Iterable[Kernel], memory: Memory = host) -> tuple[str, Backend]:
    """The backend for an argument `backend=`: by name, by FASTOPT_BACKEND where it is "auto", or by cost.

    Raises ValueError for one that cannot work in the memory that the arrays lie in.
    """
    arguments.choice(backend, "backend", CHOICES)
    argument = "backend"
    if backend == "auto":
        argument, backend = "FASTOPT_BACKEND", default()
    if backend == "auto":
        backend = pick(*kernels)[0] if memory is host else memory.backends[0]
    elif backend not in memory.backends:
        expected = " or ".join(map(repr, ("auto", *memory.backends)))
        raise ValueError(f"{argument}: expected {expected} for arrays in {memory.name}, received {backend!r}")
    return backend, _usable(backend)
