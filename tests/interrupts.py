"""An interrupt at every place where the interpreter may run a signal handler, one run after the other: no timing, nothing left out."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

__all__ = ["Interrupted", "Place", "interrupted_at", "places_of"]


class Interrupted(BaseException):
    """What the handler raises; like KeyboardInterrupt no Exception."""


def _looks_for_signals(opname: str) -> bool:
    """Whether the interpreter looks for signals when an instruction is done: where a function begins, after calls, at backward jumps."""
    return opname.startswith(("RESUME", "CALL", "JUMP_BACKWARD"))


@cache
def _handlers(code: CodeType) -> list[tuple[int, int, int]]:
    """From where to where which handler is there for exceptions."""
    return [(entry.start, entry.end, entry.target) for entry in dis._parse_exception_table(code)]  # type: ignore[attr-defined]


def _handler(code: CodeType, at: int) -> int | None:
    return next((target for start, end, target in _handlers(code) if start <= at < end), None)


@cache
def _place(code: CodeType, before: int, now: int) -> bool:
    """Whether a handler may run between an instruction and the next one, and what it raises can be raised in the next one's place."""
    return _looks_for_signals(dis.opname[code.co_code[before]]) and _handler(code, before) == _handler(code, now)


@cache
def _is_ours(path: str) -> bool:
    return "fastopt" in path and "tests" not in path


class Place(NamedTuple):
    """A place: of which call of a function of ours, and which of the places there are in that call."""

    call: int
    number: int


def interrupted_at(place: int | Place, work: Callable[[], Any]) -> bool:
    """Does some work, and is interrupted at that place, or at the one of that number among all; False if it was done before that.

    To look at every instruction takes much longer than the work; where a `Place` says of which call it is, others are not looked at.
    """
    return _Tracer(place).does(work)


def places_of(work: Callable[[], Any]) -> list[Place]:
    """Does some work, and tells the places there are in it."""
    tracer = _Tracer(None)
    tracer.does(work)
    return tracer.seen


class _Tracer:
    def __init__(self, wanted: int | Place | None) -> None:
        self.wanted, self.calls, self.seen = wanted, -1, list[Place]()
        self.last: dict[FrameType, tuple[int, int, int]] = {}
        """Of each frame that is looked at: the number of its call, of places in it so far, and its last instruction."""

    def does(self, work: Callable[[], Any]) -> bool:
        """Whether it was interrupted."""
        before = sys.gettrace()
        sys.settrace(self.called)
        try:
            work()
        except Interrupted:
            return True
        finally:
            sys.settrace(before)
        return False

    def called(self, frame: FrameType, event: str, _: Any) -> Any:
        if not _is_ours(frame.f_code.co_filename):
            return None
        self.calls += 1
        if isinstance(self.wanted, Place) and self.wanted.call != self.calls:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.last[frame] = self.calls, 0, -1
        return self.within

    def within(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            call, number, before = self.last.get(frame, (self.calls, 0, -1))
            now = frame.f_lasti
            if before >= 0 and _place(frame.f_code, before, now):
                place = Place(call, number)
                if self.wanted in (place, len(self.seen)):
                    sys.settrace(None)
                    raise Interrupted
                self.seen.append(place)
                number += 1
            self.last[frame] = call, number, now
        elif event in ("return", "exception"):
            call, number, _last = self.last.pop(frame, (self.calls, 0, -1))
            if event == "exception":  # a handler of the frame itself may go on
                self.last[frame] = call, number, -1
        return self.within
