"""Schedules that lead from one value to another in so many steps, and stay there: along a line, a power of it, or a cosine.

t is the number of steps made before, or of epochs inside of `ByEpoch`; s = min(t, steps) / steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from fastopt.rules.domain import FLAG
from fastopt.schedules.schedule import Schedule, Steps, Value, power

__all__ = ["Cosine", "CosineRestarts", "Linear", "Polynomial"]


@dataclass(frozen=True, repr=False)
class Linear(Schedule):
    """initial + (end - initial) s.

    As optax.linear_schedule (init_value, end_value, transition_steps), and torch's LinearLR (total_iters), whose start_factor and
    end_factor are shares of its learning rate.
    """

    initial: Value
    steps: Steps
    end: Value = 0.0

    def at(self, step: int) -> float:
        return self.end if step >= self.steps else self.initial + (self.end - self.initial) * (step / self.steps)


@dataclass(frozen=True, repr=False)
class Polynomial(Schedule):
    """end + (initial - end) (1 - s)^power.

    As optax.polynomial_schedule (init_value, end_value, power, transition_steps; its transition_begin is a `Chain` with a number first),
    and torch's PolynomialLR (total_iters, power), which ends at 0.
    """

    initial: Value
    steps: Steps
    power: Value = 1.0
    end: Value = 0.0

    def at(self, step: int) -> float:
        return self.end if step >= self.steps else self.end + (self.initial - self.end) * power(1.0 - step / self.steps, self.power)


@dataclass(frozen=True, repr=False)
class Cosine(Schedule):
    """end + (initial - end) ((1 + cos(pi s)) / 2)^power: slow at first, fast in the middle, slow at last.

    As optax.cosine_decay_schedule (init_value, decay_steps, exponent; its alpha is end / initial). Torch's CosineAnnealingLR (T_max,
    eta_min) does not stay at the end, but goes up again as it came down, and so on: `swinging=True`, where s = t / steps.

    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.
    """

    initial: Value
    steps: Steps
    end: Value = 0.0
    power: Value = 1.0
    swinging: Annotated[bool, FLAG] = False

    def at(self, step: int) -> float:
        steps = self.steps
        if self.swinging:
            step %= 2 * steps
        elif step >= steps:
            return self.end
        height = (1.0 + math.cos(math.pi * step / steps)) / 2.0
        return self.end + (self.initial - self.end) * (height if self.power == 1.0 else power(height, self.power))


@dataclass(frozen=True, repr=False)
class CosineRestarts(Schedule):
    """A cosine from `initial` to `end` in `steps`, again and again, each `growth` times as long as the one before and from `decay` times
    as high.

    As torch's CosineAnnealingWarmRestarts (T_0, T_mult, eta_min), where decay is 1; optax.sgdr_schedule is a `Chain` of `Warmup`s before
    `Cosine`s.

    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.
    """

    initial: Value
    steps: Steps
    growth: Steps = 1
    end: Value = 0.0
    decay: Value = 1.0

    def at(self, step: int) -> float:
        length = self.steps
        if self.growth == 1:
            cycle, step = divmod(step, length)
        else:
            cycle = 0
            while step >= length:
                step, length, cycle = step - length, length * self.growth, cycle + 1
        initial = self.initial * power(self.decay, cycle)
        return self.end + (initial - self.end) * (1.0 + math.cos(math.pi * step / length)) / 2.0
