"""Timing several things against each other, in turns, in one process.

A machine drifts, most of all a shared one, so a ratio of two times of different moments says little. Here every round
times a block of steps of each contender, and a ratio is the median of the rounds' own ratios, with a bootstrap interval.
A block is long enough to be a sample (the loop lies inside the timed region), and short enough for many rounds.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Contender", "Rounds", "in_turns", "interleave", "without_collector"]

BLOCK = 0.004
"""Seconds that a timed block lasts at the least: a thousand times what the clock and the call around it cost."""

LONG = 0.03
"""Seconds a step from which no other one goes before a timed block."""

SETTLE = 0.012
"""Seconds of rest after a contender whose threads go on polling: OpenMP's do for some milliseconds, and the next contender
would be timed with a core less."""

MOST_ROUNDS, FEWEST_ROUNDS = 30, 3


@dataclass
class Contender:
    """Something that can be stepped.

    `prepare`, if given, runs untimed before each step (a new gradient, say), or before as many as `burst` says; `polls` says that
    it leaves threads behind that poll, `settle` for how long they are waited for. A block has as many steps as make it long enough,
    or `steps` where preparing takes much longer than they do. A call of `step` makes `makes` steps, or a part of one. `lead_in` is how
    many seconds of steps go before a block where it is to begin amid a loop of them. `now` is the clock, in seconds.
    """

    step: Callable[[], object]
    prepare: Callable[[], object] | None = None
    polls: bool = False
    settle: float = SETTLE
    steps: int | None = None
    makes: float = 1
    burst: int = 1
    lead_in: float = 0.0
    now: Callable[[], float] = time.perf_counter
    takes: float = 0.0
    preparing: float = 0.0

    def block(self, steps: int) -> float:
        """Makes some steps and returns the seconds they took together.

        One step goes before that is not timed, to wake caches and threads, or as many as `lead_in` asks for; none where a step is
        long enough to do so.
        """
        if self.takes < LONG:
            start = self.now()
            while True:
                if self.prepare is not None:
                    self.prepare()
                self.step()
                if self.now() - start >= self.lead_in:
                    break
        if self.prepare is None:
            calls = math.ceil(steps / self.makes)
            start = self.now()
            for _ in range(calls):
                self.step()
            return (self.now() - start) * (steps / (calls * self.makes))
        total = 0.0
        begun = self.now()
        for _ in range(0, steps, self.burst):
            self.prepare()
            start = self.now()
            for _ in range(self.burst):
                self.step()
            total += self.now() - start
        self.preparing = (self.now() - begun - total) / steps
        return total

    def rest(self) -> None:
        """Waits until its threads are asleep, if it has any that poll."""
        if self.polls:
            time.sleep(self.settle)

    def steps_for(self, seconds: float) -> int:
        """How many steps make a block of that length; the calls it takes to find out are the warm-up."""
        steps = self.steps or 1
        took = self.block(steps)
        if took < LONG:  # once more: what the first steps wait for would make one of them a block by itself
            took = self.block(steps)
        while took < seconds and self.steps is None:
            steps = max(steps + 1, min(10 * steps, math.ceil(1.2 * seconds * steps / max(took, 1e-9))))
            took = self.block(steps)
        self.takes = took / steps
        return steps


@dataclass(frozen=True)
class Rounds:
    """What was timed: seconds a step of every contender, one value a round, and the steps that each of them is the mean of."""

    seconds: dict[str, list[float]]
    steps: dict[str, int]


def interleave(contenders: Mapping[str, Contender], budget: float) -> Rounds:
    """Times contenders in rounds for about `budget` seconds; at least three rounds, however long they take."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    steps: dict[str, int] = {}
    with without_collector():
        for name, contender in contenders.items():
            steps[name] = contender.steps_for(BLOCK)
            contender.rest()
        round_takes = sum(steps[name] * (c.takes + c.preparing) + c.lead_in + c.settle * c.polls for name, c in contenders.items())
        rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(budget / max(round_takes, 1e-9))))
        for name in in_turns(list(contenders), rounds):
            seconds[name].append(contenders[name].block(steps[name]) / steps[name])
            contenders[name].rest()
    return Rounds(seconds, steps)


def in_turns(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Every name once a round, and each of them first in its turn."""
    for turn in range(rounds):
        first = turn % len(names)
        yield from (*names[first:], *names[:first])


@contextmanager
def without_collector() -> Iterator[None]:
    """No pause of Python's garbage collector inside of a block."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
