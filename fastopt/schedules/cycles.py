"""Schedules through given points: piecewise ones, and the one-cycle, which rises to a peak and falls far below where it began."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from fastopt import arguments
from fastopt.rules.domain import FLAG, NON_NEGATIVE, Choice, Interval, describe
from fastopt.schedules.schedule import OrNone, Schedule, Several, Steps, Value

__all__ = ["OneCycle", "Piecewise"]

COSINE, LINEAR = "cosine", "linear"
_SHAPE = Choice((COSINE, LINEAR))
Shape = Annotated[str, _SHAPE]


def _between(start: float, end: float, share: float, shape: str) -> float:
    """The value where that share of the way from one to the other was made."""
    if shape == COSINE:
        return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
    return start + (end - start) * share


class _Point:
    """A step and the value there."""

    def checked(self, value: Any, name: str) -> tuple[int, float]:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != 2:
            raise TypeError(f"{name}: expected a step and the value there, received {describe(value)}")
        return arguments.whole_number(value[0], f"{name}[0]", 0), NON_NEGATIVE.checked(value[1], f"{name}[1]")


@dataclass(frozen=True, repr=False)
class Piecewise(Schedule):
    """Through these points, each a step and the value there; along lines or cosines between two, and level before the first and after
    the last.

    As optax.piecewise_interpolate_schedule (interpolate_type), of whose one-cycles, which have their corners elsewhere than torch's,
    this is the form: cosine_onecycle_schedule(n, peak, pct_start, div_factor, final_div_factor) goes through (0, peak / div_factor),
    (int(pct_start n), peak) and (n, peak / (div_factor final_div_factor)), with shape="cosine".
    """

    points: Annotated[tuple[tuple[int, float], ...], Several(_Point())]
    shape: Shape = LINEAR

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = [step for step, _ in self.points]
        if any(b <= a for a, b in pairwise(steps)):
            raise ValueError(f"Piecewise.points: expected each at a later step than the one before, received those at {steps}")

    def at(self, step: int) -> float:
        after = bisect_right(self.points, step, key=lambda point: point[0])
        if after in (0, len(self.points)):
            return self.points[0 if after == 0 else -1][1]
        (begin, start), (finish, end) = self.points[after - 1 : after + 1]
        return _between(start, end, (step - begin) / (finish - begin), self.shape)


@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """From `initial` up to `peak` in the share `rise` of `steps`, and from there down to `end` by the last of them, where it stays.

    `initial` is peak / 25 and `end` is initial / 10,000 where none are given. With `three_phases` it comes down to `initial` as fast as it
    went up, and then goes on to `end`. Along cosines, or with shape="linear" along lines.

    The corners are torch's (OneCycleLR: max_lr, total_steps, pct_start, div_factor, final_div_factor, anneal_strategy, three_phase): the
    peak is at step rise steps - 1, which may lie between two, and the end at steps - 1. Momentum goes the other way, and is another one:

    >>> lr = OneCycle(0.1, steps=1000)
    >>> momentum = OneCycle(0.85, steps=1000, initial=0.95, end=0.95)
    >>> opt = fastopt.SGD(w, lr=lr, momentum=momentum)

    L. Smith and N. Topin, Super-convergence: very fast training of neural networks using large learning rates, 2019.
    """

    peak: Value
    steps: Steps
    rise: Annotated[float, Interval(0.0, 1.0, True)] = 0.3
    initial: Annotated[float | None, OrNone(NON_NEGATIVE)] = None
    end: Annotated[float | None, OrNone(NON_NEGATIVE)] = None
    shape: Shape = COSINE
    three_phases: Annotated[bool, FLAG] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.three_phases and self.rise > 0.5:
            raise ValueError(f"OneCycle.rise: expected at most 0.5 with three_phases, as the way down is as long; received {self.rise!r}")

    def at(self, step: int) -> float:
        initial = self.peak / 25.0 if self.initial is None else self.initial
        end = initial / 1e4 if self.end is None else self.end
        up = self.rise * self.steps
        corners = [(up - 1.0, self.peak), *([(2.0 * up - 2.0, initial)] if self.three_phases else []), (self.steps - 1.0, end)]
        before, value = 0.0, initial
        for corner, target in corners:
            if step <= corner:
                return _between(value, target, (step - before) / (corner - before) if corner > before else 1.0, self.shape)
            before, value = corner, target
        return end
