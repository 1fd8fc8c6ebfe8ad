"""How many threads a step may use."""

from __future__ import annotations

import os

from fastopt import arguments

__all__ = ["available", "forked", "only_one", "resolve"]

_forked = False


def _after_fork_in_child() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def forked() -> bool:
    """Whether this process is a fork of one that had fastopt imported.

    OpenMP's threads do not survive a fork: GNU's runtime then waits for them without end, and Numba ends the process.
    So a step in a forked child runs in one thread (and has the same bits). A spawned child is a new process.
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
        return arguments.whole_number(num_threads, "num_threads", 1)
    text = os.environ.get("FASTOPT_NUM_THREADS")
    if not text:
        return available()
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"FASTOPT_NUM_THREADS: expected an integer >= 1, received {text!r}")
    return int(text)


def only_one(num_threads: int | None, why: str) -> int:
    """1, for a backend that runs in one thread. Raises ValueError, saying why, if the argument asks for more."""
    if num_threads is not None and arguments.whole_number(num_threads, "num_threads", 1) > 1:
        raise ValueError(f"num_threads: expected None or 1 ({why}), received {num_threads}")
    return 1
