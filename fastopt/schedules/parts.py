"""Schedules made of others: a warm-up before one, one after the other, one that counts epochs; and the one that stays where it is."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Annotated

from fastopt.schedules.schedule import Count, Part, Parts, Schedule, Several, Steps, Value, Whole

__all__ = ["ByEpoch", "Chain", "Constant", "Warmup"]


@dataclass(frozen=True, repr=False)
class Constant(Schedule):
    """The same value at every step. Wherever a schedule is a part of another one, a number stands for this."""

    value: Value

    def at(self, step: int) -> float:
        return self.value


@dataclass(frozen=True, repr=False)
class Warmup(Schedule):
    """A line from `start` to where another schedule begins, in `steps`; then that schedule, which counts its steps from there.

    The first step is made with `start`: 0 leaves the parameters alone. As torch's SequentialLR of a LinearLR and another one;
    with a `Cosine` of decay_steps - warmup_steps after it, optax.warmup_cosine_decay_schedule (init_value, warmup_steps).

    P. Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017.
    """

    steps: Steps
    then: Part
    start: Value = 0.0

    def at(self, step: int) -> float:
        if step >= self.steps:
            return self.then.at(step - self.steps)
        return self.start + (self.then.at(0) - self.start) * (step / self.steps)


@dataclass(frozen=True, repr=False)
class Chain(Schedule):
    """One schedule after the other: the next one begins at each of the steps `at_steps`, and counts from there.

    As torch's SequentialLR (milestones) and optax.join_schedules (boundaries).
    """

    schedules: Parts
    at_steps: Annotated[tuple[int, ...], Several(Whole(1), rising=True)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.at_steps) != len(self.schedules) - 1:
            raise ValueError(
                f"Chain.at_steps: expected {len(self.schedules) - 1}, one less than there are schedules; received {len(self.at_steps)}"
            )

    def at(self, step: int) -> float:
        k = bisect_right(self.at_steps, step)
        return self.schedules[k].at(step - (self.at_steps[k - 1] if k else 0))


@dataclass(frozen=True, repr=False)
class ByEpoch(Schedule):
    """Another schedule that is given the epoch in the place of the step: `first` for the first `steps_per_epoch` steps, then one more, and
    so on.

    Frameworks count epochs from 0. Who counts from 1, as lectures do, has first=1: a0 / (1 + decay epoch) then begins below a0.
    """

    schedule: Part
    steps_per_epoch: Steps
    first: Count = 0

    def at(self, step: int) -> float:
        return self.schedule.at(self.first + step // self.steps_per_epoch)
