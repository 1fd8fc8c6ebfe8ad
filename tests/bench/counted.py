"""A clock that only the contenders move: what they take is planted, to the last bit and without noise."""

from __future__ import annotations

from typing import Any

from bench.interleave import Contender


class Counted:
    """Seconds, counted."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """What the clock reads."""
        return self.seconds

    def contender(self, takes: float) -> Contender:
        """One whose steps take so long."""

        def step() -> None:
            self.seconds += takes

        return Contender(step, now=self.now)

    def prepared(self, takes: float, made: list[str], **options: Any) -> Contender:
        """One that half a second of preparing goes before; `made` gets what it did, in order."""

        def did(what: str, seconds: float) -> None:
            made.append(what)
            self.seconds += seconds

        return Contender(lambda: did("step", takes), lambda: did("prepared", 0.5), now=self.now, **options)
