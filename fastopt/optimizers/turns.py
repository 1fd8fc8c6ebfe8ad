"""One at a time: a thread that steps, changes or saves an optimizer has it for itself, and others wait for it.

A step reads and writes through addresses with the interpreter's lock released, so another thread could rewrite them meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from weakref import WeakSet

try:
    from fastopt.host._turn import Turn
except ImportError:  # no compiler at hand when fastopt was installed
    Turn = None

__all__ = ["in_turn", "new_turn"]


class _Turn:
    """Whose turn it is to work on an optimizer, and what a step looks at and changes while it has it; `host/_turn.pyx` is the same.

    Attributes
    ----------
    lock
        A context manager, held by the thread that has the turn. It may take it again: who else should find out that it has it already?
    taken
        Whether something is half done. To be asked about with the lock held: by the thread that does it then, from a signal handler or a
        rule's own functions, or by a forked child, whose parent's other thread was at it (`forked`).
    at_once
        The plan's (`fastopt.plan.Plan`).
    steps
        How many were made.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.taken, self.forked, self.at_once, self.steps = False, False, None, 0

    def after_fork(self) -> bool:
        """In a child: whether this was the turn of a thread that does not live there. It is nobody's then."""
        if self.lock.acquire(blocking=False):
            self.lock.release()
            return False
        self.lock = threading.RLock()
        return True


if Turn is None:
    Turn = _Turn
_turns: WeakSet[Any] = WeakSet()


def new_turn() -> Any:
    """A turn that is nobody's."""
    turn = Turn()
    _turns.add(turn)
    return turn


def _after_fork_in_child() -> None:
    for turn in list(_turns):
        if turn.after_fork():
            turn.taken = turn.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _HasTurn(Protocol):
    _turn: Any


S = TypeVar("S", bound=_HasTurn)
P = ParamSpec("P")
R = TypeVar("R")


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that waits until no other thread is in one. Raises RuntimeError where the calling thread is in one itself."""

    @wraps(method)
    def alone(self: S, /, *arguments: P.args, **options: P.kwargs) -> R:
        turn = self._turn
        with turn.lock:
            taken = turn.taken
            try:  # in this order: an interrupt may come at any line
                turn.taken = True
                if taken:
                    _refuse(method.__name__.strip("_"), forked=turn.forked)
                return method(self, *arguments, **options)
            finally:
                turn.taken = taken

    return alone


def _refuse(what: str, *, forked: bool) -> None:
    if forked:
        why = "this process was forked while another thread was at it, so what it holds may be half done"
    else:
        why = "it was called in the middle of another call on the same optimizer, by a signal handler or by a rule's function"
    raise RuntimeError(f"{what}: expected an optimizer that nobody else works on; {why}")
