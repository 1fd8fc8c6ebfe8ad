"""An interrupt at every place where the interpreter may run a signal handler, one run after the other: no timing, nothing left out."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any

__all__ = ["Interrupted", "interrupted_at"]


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


def _place(frame: FrameType, before: int) -> bool:
    """Whether a handler may run between an instruction and the next one, and what it raises can be raised in the next one's place."""
    code = frame.f_code
    return _looks_for_signals(dis.opname[code.co_code[before]]) and _handler(code, before) == _handler(code, frame.f_lasti)


def interrupted_at(place: int, work: Callable[[], Any]) -> bool:
    """Does some work, and is interrupted at the place of that number, counted from 0; False if it was done before that."""
    left = place
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if "fastopt" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            before = last.get(frame)
            if before is not None and _place(frame, before):
                if left == 0:
                    sys.settrace(None)
                    raise Interrupted
                left -= 1
            last[frame] = frame.f_lasti
        elif event in ("return", "exception"):
            last.pop(frame, None)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False
