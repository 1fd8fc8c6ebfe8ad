"""A clock that only the contenders move: what they take is planted, to the last bit and without noise."""

from __future__ import annotations

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
