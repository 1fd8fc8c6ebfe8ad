"""Timing several things against each other, in turns, in one process.

A machine drifts, most of all a shared one, so a ratio of two times of different moments says little. Here every round
times a block of steps of each contender, and a ratio is the median of the rounds' own ratios, with a bootstrap interval.
A block is long enough to be a sample (the loop lies inside the timed region), and short enough for many rounds.

The first contender is the subject: its blocks are the rounds of pytest-benchmark, in whose record they stand like any other
benchmark, the step before the clock starts and all. The others take their turns in the `setup` of each round. Seconds a
step of every contender, by its own clock, stand in `extra_info["seconds"]`: those are the figures to use.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Contender", "interleave", "per_step"]

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

    `prepare`, if given, runs untimed before each step (a new gradient, say); `polls` says that it leaves threads behind
    that poll.
    """

    step: Callable[[], object]
    prepare: Callable[[], object] | None = None
    polls: bool = False
    seconds: list[float] = field(default_factory=list)
    takes: float = 0.0

    def block(self, steps: int) -> float:
        """Makes some steps and returns the seconds they took together.

        One step goes before that is not timed, to wake caches and threads, except where a step is long enough to do so.
        """
        if self.takes < LONG:
            if self.prepare is not None:
                self.prepare()
            self.step()
        if self.prepare is None:
            start = time.perf_counter()
            for _ in range(steps):
                self.step()
            return time.perf_counter() - start
        total = 0.0
        for _ in range(steps):
            self.prepare()
            start = time.perf_counter()
            self.step()
            total += time.perf_counter() - start
        return total

    def steps_for(self, seconds: float) -> int:
        """How many steps make a block of that length; the calls it takes to find out are the warm-up."""
        steps = 1
        while (took := self.block(steps)) < seconds:
            steps = max(steps + 1, min(10 * steps, math.ceil(1.2 * seconds * steps / max(took, 1e-9))))
        self.takes = took / steps
        return steps


def interleave(benchmark: Any, contenders: Mapping[str, Contender], budget: float, **info: Any) -> dict[str, list[float]]:
    """Times contenders in rounds for about `budget` seconds; at least three rounds, however long they take.

    Returns seconds a step of every contender, one value a round. The same, with `info`, goes into the record.
    """
    names = list(contenders)
    subject = contenders[names[0]]

    def rest_after(contender: Contender) -> None:
        if contender.polls:
            time.sleep(SETTLE)

    steps = {name: contender.steps_for(BLOCK) for name, contender in contenders.items()}
    round_takes = sum(steps[name] * contender.takes + SETTLE * contender.polls for name, contender in contenders.items())
    rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(budget / max(round_takes, 1e-9))))

    def others() -> tuple[tuple[int], dict[str, Any]]:
        turn = len(contenders[names[-1]].seconds)
        order = names[1:]
        for name in order[turn % len(order) :] + order[: turn % len(order)] if order else []:
            contenders[name].seconds.append(contenders[name].block(steps[name]) / steps[name])
            rest_after(contenders[name])
        return (steps[names[0]],), {}

    def block(count: int) -> None:
        subject.seconds.append(subject.block(count) / count)

    benchmark.pedantic(block, setup=others, rounds=rounds, iterations=1, warmup_rounds=0)
    seconds = {name: contender.seconds for name, contender in contenders.items()}
    rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in seconds.items()}
    benchmark.extra_info.update(info, subject=names[0], steps_per_round=steps, seconds=rounded)
    return seconds


def per_step(seconds: Mapping[str, list[float]]) -> str:
    """A line for the console: the median of each contender."""
    medians = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
    return ", ".join(f"{name} {value * 1e6:,.1f} us" for name, value in medians.items())
