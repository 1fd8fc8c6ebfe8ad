"""What hyperparameters are drawn from: uniformly, on a log scale, on the log scale of 1 - x, or one of some values.

Each has `rvs(random_state=...)`, as scipy.stats' distributions do, so scikit-learn's RandomizedSearchCV takes them too; and those of
scipy.stats can stand beside them in a `random_search`. Only these here can be narrowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fastopt import arguments
from fastopt.rules.domain import FLAG, describe

__all__ = ["Choice", "Distribution", "LogUniform", "OneMinusLogUniform", "Uniform"]


class Distribution(Protocol):
    """What a random search draws from."""

    def rvs(self, *, random_state: Any = None) -> Any:
        """One value, drawn with a NumPy generator (or the older RandomState); None makes a generator from the system's entropy."""


@dataclass(frozen=True)
class Scaled:
    """Numbers from `low` to `high`, uniform on some scale. `integer` rounds them, so that both ends are drawn too."""

    low: float
    high: float
    integer: bool = False

    def __post_init__(self) -> None:
        self._check()
        FLAG.checked(self.integer, "integer")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError(f"integer: expected low and high to be whole numbers, received {self.low!r} and {self.high!r}")

    def _check(self) -> None:
        arguments.real(self.low, "low")
        if arguments.real(self.high, "high") <= self.low:
            raise ValueError(f"high: expected a finite number > {self.low:g}, received {self.high!r}")

    def _scale(self, value: float) -> float:
        return value

    def _back(self, scaled: float) -> float:
        return scaled

    def _ends(self) -> tuple[float, float]:
        """The lower and the upper end on the scale."""
        # an integer takes the half below and above it
        margin = 0.5 if self.integer else 0.0
        first, last = self._scale(self.low - margin), self._scale(self.high + margin)
        return min(first, last), max(first, last)

    def rvs(self, *, random_state: Any = None) -> float | int:
        """One value, drawn with a NumPy generator (or the older RandomState)."""
        generator = np.random.default_rng() if random_state is None else random_state
        low, high = self._ends()
        value = self._back(low + (high - low) * float(generator.uniform()))
        value = min(max(value, float(self.low)), float(self.high))
        return round(value) if self.integer else value

    def narrowed(self, values: Sequence[Any]) -> Scaled:
        """The range that these values span, a gap wider on either side than they lie apart on average, and within this one."""
        scaled = sorted(self._scale(float(value)) for value in values)
        low, high = self._ends()
        # one value alone leaves a quarter of the range
        gap = (scaled[-1] - scaled[0]) / (len(scaled) - 1) if scaled[-1] > scaled[0] else (high - low) / 8.0
        ends = sorted(self._back(min(max(end, low), high)) for end in (scaled[0] - gap, scaled[-1] + gap))
        least, most = max(ends[0], float(self.low)), min(ends[1], float(self.high))
        if self.integer:
            least, most = math.floor(least), math.ceil(most)
        return type(self)(least, most, self.integer) if least < most else self


@dataclass(frozen=True)
class Uniform(Scaled):
    """Numbers drawn uniformly from [low, high]; whole ones with `integer` (layers, units)."""


@dataclass(frozen=True)
class LogUniform(Scaled):
    """Numbers whose logarithm is uniform: powers of ten are drawn as often as each other. For learning rates and decays; low > 0."""

    def _check(self) -> None:
        arguments.positive(self.low, "low")
        arguments.positive(self.high, "high", self.low)

    def _scale(self, value: float) -> float:
        return math.log(value)

    def _back(self, scaled: float) -> float:
        return math.exp(scaled)


@dataclass(frozen=True)
class OneMinusLogUniform(Scaled):
    """Numbers x for which the logarithm of 1 - x is uniform: from 0.9 to 0.99 as often as from 0.99 to 0.999.

    For momenta and betas, whose window 1 / (1 - x) is what matters. low < high < 1.
    """

    def _check(self) -> None:
        super()._check()
        if self.high >= 1.0:
            raise ValueError(f"high: expected a number < 1, received {self.high!r}")
        if self.integer:
            raise ValueError("integer: expected False, as there is no whole number below 1 to draw on this scale; received True")

    def _scale(self, value: float) -> float:
        return math.log1p(-value)

    def _back(self, scaled: float) -> float:
        return -math.expm1(scaled)


@dataclass(frozen=True)
class Choice:
    """One of some values, each as often as the others."""

    values: tuple[Any, ...]

    def __init__(self, values: Sequence[Any]) -> None:
        if isinstance(values, str | bytes) or not isinstance(values, Sequence) or not values:
            raise TypeError(f"values: expected a sequence of at least one, received {describe(values)}")
        object.__setattr__(self, "values", tuple(values))

    def rvs(self, *, random_state: Any = None) -> Any:
        """One of the values."""
        generator = np.random.default_rng() if random_state is None else random_state
        return self.values[min(int(float(generator.uniform()) * len(self.values)), len(self.values) - 1)]

    def narrowed(self, values: Sequence[Any]) -> Choice:
        """Those that are among these, in their order."""
        return Choice([own for own in self.values if any(own is value or own == value for value in values)])
