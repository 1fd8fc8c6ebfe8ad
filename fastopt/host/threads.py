"""How many threads a step may use."""

from __future__ import annotations

import os

from fastopt import arguments

__all__ = ["at_most", "available", "forked", "only_one", "resolve"]

MOST = 1024
"""Threads that may be asked for; the pool of `pool.h` has room for as many."""

_forked = False


def _after_fork_in_child() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def forked() -> bool:
    """Whether this process is a fork of one that had fastopt imported.

    Numba's threads do not survive a fork: with OpenMP under it, Numba ends the process at the next parallel call. So where
    they are used (no compiled launcher), a forked child makes its steps in one thread. The launcher's own pool starts anew.
    """
    return _forked


def available() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve(num_threads: int | None) -> int:
    """The number of threads: the argument, or FASTOPT_NUM_THREADS, or one for every core. Raises TypeError or ValueError."""
    if num_threads is not None:
        number = arguments.whole_number(num_threads, "num_threads", 1)
        if number > MOST:
            raise ValueError(f"num_threads: expected an integer from 1 to {MOST}, received {number}")
        return number
    text = os.environ.get("FASTOPT_NUM_THREADS")
    if not text:
        return available()
    if not text.isdecimal() or len(text) > len(str(MOST)) or not 1 <= int(text) <= MOST:
        raise ValueError(f"FASTOPT_NUM_THREADS: expected an integer from 1 to {MOST}, received {text!r}")
    return int(text)


def at_most(others: int, number: int) -> int:
    """That number of threads, or as many as the library has whose work is done between steps; what FASTOPT_NUM_THREADS says is left."""
    return number if os.environ.get("FASTOPT_NUM_THREADS") else min(number, others)


def only_one(num_threads: int | None, why: str) -> int:
    """1, for a backend that runs in one thread. Raises ValueError, saying why, if the argument asks for more."""
    if num_threads is not None and arguments.whole_number(num_threads, "num_threads", 1) > 1:
        raise ValueError(f"num_threads: expected None or 1 ({why}), received {num_threads}")
    return 1
