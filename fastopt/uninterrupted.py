"""Changes that are made as a whole: no signal handler runs in the middle of them, nor another Python thread.

The interpreter looks for signals (Ctrl-C) and for other threads that want to run while it runs Python code: when a function begins,
at a backward jump, after a call. Calls of functions written in C, made one after the other by functions written in C, are not interrupted;
a handler runs when they are done. So whatever can fail, or is Python code, comes first, and makes a list of calls; then they are made
in one go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from operator import call
from typing import Any

__all__ = ["uninterrupted"]


def uninterrupted(calls: Iterable[Callable[[], Any]], around: Callable[[], AbstractContextManager[Any]] | None = None) -> None:
    """Makes the calls, in order, within a context that is entered before the first one, where there is one.

    Each has to be one of a function in C (a `functools.partial` of one is), and must not fail.
    """
    made = list(calls)
    if around is None:
        deque(map(call, made), maxlen=0)
    else:
        with around():
            deque(map(call, made), maxlen=0)
