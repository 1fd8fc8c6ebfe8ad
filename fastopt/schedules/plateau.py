"""`Plateau`: the schedule that goes by the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from fastopt.rules.domain import NON_NEGATIVE, UNIT, Choice, Interval, describe
from fastopt.schedules.schedule import Count, OrNone, Schedule, Value

__all__ = ["Plateau", "loss_of"]

MIN, MAX = "min", "max"
RELATIVE, ABSOLUTE = "rel", "abs"


def loss_of(value: Any) -> float:
    """A loss as a float: a number, or an array of one. Raises TypeError."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"loss: expected a number, received {describe(value)}") from None


@dataclass(frozen=True, repr=False)
class Plateau(Schedule):
    """`initial`, times `factor` whenever the loss did not get better for more than `patience` times in a row.

    It is no function of the step: it depends on the losses that it was told. What it remembers of them are arguments too (`now`, `best`,
    `bad`, `cooling`), so it is saved with them. `observe` gives the schedule after a loss, and an optimizer that was
    given one has a method of that name, for all its schedules:

    >>> opt = fastopt.Adam(w, lr=Plateau(1e-3))
    >>> opt.observe(validation_loss)  # after each epoch, say

    Better is lower, or higher with mode="max", by more than `threshold`: a share of the best one so far, or with threshold_mode="abs" an
    amount. After each reduction, `cooldown` losses are not counted. It is not reduced below `end`, nor by `eps` or less. A loss that is
    not finite is never better. As torch's ReduceLROnPlateau (whose min_lr is `end`).
    """

    initial: Value
    factor: Annotated[float, UNIT] = 0.1
    patience: Count = 10
    mode: Annotated[str, Choice((MIN, MAX))] = MIN
    threshold: Value = 1e-4
    threshold_mode: Annotated[str, Choice((RELATIVE, ABSOLUTE))] = RELATIVE
    cooldown: Count = 0
    end: Value = 0.0
    eps: Value = 1e-8
    now: Annotated[float | None, OrNone(NON_NEGATIVE)] = None
    best: Annotated[float | None, OrNone(Interval(-math.inf, math.inf))] = None
    bad: Count = 0
    cooling: Count = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == MIN and self.threshold_mode == RELATIVE and self.threshold >= 1.0:
            raise ValueError(f"Plateau.threshold: expected a share below 1 of what the loss is to fall by, received {self.threshold!r}")

    def at(self, step: int) -> float:
        return self.initial if self.now is None else self.now

    @property
    def observes(self) -> bool:
        return True

    def observe(self, loss: float) -> Self:
        loss = loss_of(loss)
        better = self._better(loss)
        cooling = self.cooling > 0
        bad = 0 if better or cooling else self.bad + 1
        told = replace(self, best=loss if better else self.best, bad=bad, cooling=self.cooling - cooling)
        if bad <= self.patience:
            return told
        before = self.at(0)
        reduced = max(before * self.factor, self.end)
        return replace(told, now=reduced if before - reduced > self.eps else before, bad=0, cooling=self.cooldown)

    def _better(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return False
        sign = 1.0 if self.mode == MIN else -1.0
        if self.best is None:
            return True
        bar = self.best * (1.0 - sign * self.threshold) if self.threshold_mode == RELATIVE else self.best - sign * self.threshold
        return sign * loss < sign * bar
