"""Schedules that fall for as long as training runs: in inverse time, exponentially, by an inverse root, or in stairs.

t is the number of steps made before, or of epochs inside of `ByEpoch`: so each falls by the batch as it is, and by the epoch there.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Annotated, Any

from fastopt.rules.domain import FLAG, NON_NEGATIVE
from fastopt.schedules.schedule import OrNone, Schedule, Several, Steps, Value, Whole, power

__all__ = ["Exponential", "InverseSqrt", "InverseTime", "MultiStep", "Staircase", "StepDecay"]


@dataclass(frozen=True, repr=False)
class InverseTime(Schedule):
    """initial / (1 + decay t / steps), with t / steps rounded down if `staircase`.

    `ByEpoch(InverseTime(a, decay), n)` is a / (1 + decay epoch), epochs counted from 0 (from 1 with first=1).

    As keras.optimizers.schedules.InverseTimeDecay (initial_learning_rate, decay_rate, decay_steps, staircase).
    """

    initial: Value
    decay: Value
    steps: Steps = 1
    staircase: Annotated[bool, FLAG] = False

    def at(self, step: int) -> float:
        return self.initial / (1.0 + self.decay * (step // self.steps if self.staircase else step / self.steps))


@dataclass(frozen=True, repr=False)
class Exponential(Schedule):
    """initial rate^(t / steps), with t / steps rounded down if `staircase`; no further than `end`, where there is one.

    `ByEpoch(Exponential(a, 0.95), n)` is 0.95^epoch a. As torch's ExponentialLR (gamma) and optax.exponential_decay (decay_rate,
    transition_steps, staircase, end_value; its transition_begin is a `Chain` with a number first).
    """

    initial: Value
    rate: Value
    steps: Steps = 1
    staircase: Annotated[bool, FLAG] = False
    end: Annotated[float | None, OrNone(NON_NEGATIVE)] = None

    def at(self, step: int) -> float:
        value = self.initial * power(self.rate, step // self.steps if self.staircase else step / self.steps)
        if self.end is None:
            return value
        return max(value, self.end) if self.rate < 1.0 else min(value, self.end)


@dataclass(frozen=True, repr=False)
class InverseSqrt(Schedule):
    """k initial / sqrt(t + offset), with `offset` >= 1.

    As it is, k a / sqrt(batch number), and `ByEpoch(InverseSqrt(a, k), n)` is k a / sqrt(epoch). The offset makes either count from 1, so
    `first` stays 0 there.
    `Warmup(w, InverseSqrt(a, k=sqrt(w), offset=w))` is a sqrt(w / t) after w steps, as A. Vaswani et al. (Attention is all you need,
    NeurIPS 2017) have it.
    """

    initial: Value
    k: Value = 1.0
    offset: Steps = 1

    def at(self, step: int) -> float:
        return self.k * self.initial / math.sqrt(step + self.offset)


@dataclass(frozen=True, repr=False)
class Staircase(Schedule):
    """initial factor^floor(t / every): halved at every stair, if nothing else is said. As torch's StepLR (step_size, gamma)."""

    initial: Value
    every: Steps
    factor: Value = 0.5

    def at(self, step: int) -> float:
        return self.initial * power(self.factor, step // self.every)


@dataclass(frozen=True, repr=False)
class StepDecay(Staircase):
    """A `Staircase` with stairs of 0.1, as torch's StepLR has them: x 0.1 every 30 epochs is `ByEpoch(StepDecay(a, 30), n)`."""

    factor: Value = 0.1


class _Factors:
    """A number, or one for each milestone."""

    def checked(self, value: Any, name: str) -> float | tuple[float, ...]:
        return Several(NON_NEGATIVE).checked(value, name) if isinstance(value, list | tuple) else NON_NEGATIVE.checked(value, name)


@dataclass(frozen=True, repr=False)
class MultiStep(Schedule):
    """initial, times `factor` from each milestone on: x 0.1 at epochs 30, 60 and 90 is `ByEpoch(MultiStep(a, (30, 60, 90)), n)`.

    As torch's MultiStepLR (milestones, gamma); with a factor for each milestone as optax.piecewise_constant_schedule
    (boundaries_and_scales).
    """

    initial: Value
    milestones: Annotated[tuple[int, ...], Several(Whole(0), rising=True)]
    factor: Annotated[float | tuple[float, ...], _Factors()] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.factor, tuple) and len(self.factor) != len(self.milestones):
            raise ValueError(
                f"MultiStep.factor: expected one, or {len(self.milestones)} as there are milestones; received {len(self.factor)}"
            )

    def at(self, step: int) -> float:
        passed = bisect_right(self.milestones, step)
        return self.initial * (math.prod(self.factor[:passed]) if isinstance(self.factor, tuple) else power(self.factor, passed))
