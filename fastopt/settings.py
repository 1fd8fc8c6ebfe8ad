"""What a step needs to know besides the arrays: the learning rate, the hyperparameters, and the common options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING

from fastopt.stages import COUPLED, FLUSHING, PLAIN, ZEROING, Stages

if TYPE_CHECKING:  # families, which rules/ holds, make settings
    from fastopt.rules.domain import HyperparameterValue
    from fastopt.rules.update import Rule

__all__ = ["Settings"]


@dataclass(slots=True)
class Settings:
    """Checked values (`fastopt.rules.family` makes them).

    `weight_decay` is coupled (L2, added to the gradient) unless `decoupled` (taken off the parameter, times lr).

    What a kernel needs of them is kept ready for the next step: `stages`, which it has around its rule, and `beside`, their scalars;
    for the prologue (`fastopt.rules.prologue`) `direction`, -1 to maximize, and `decay`, its last scalar.
    """

    lr: float
    hyperparameters: dict[str, HyperparameterValue]
    weight_decay: float = 0.0
    decoupled: bool = False
    maximize: bool = False
    clip_value: float | None = None
    ema_decay: float | None = None
    flush_denormals: bool = False
    zero_grads: bool = False
    stages: Stages = field(init=False, repr=False)
    beside: tuple[float, ...] = field(init=False, repr=False)
    direction: float = field(init=False, repr=False)
    decay: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.direction = -1.0 if self.maximize else 1.0
        self.decay = self.decay_at(self.lr)
        self.stages = COUPLED if self.weight_decay != 0.0 and not self.decoupled else PLAIN
        self.beside = ()
        if self.clip_value is not None:
            self.stages = self.stages._replace(limited=True)
            self.beside += (self.clip_value,)
        if self.ema_decay is not None:
            self.stages = self.stages._replace(averaged=True)
            self.beside += (self.ema_decay, 1.0 - self.ema_decay)
        if self.flush_denormals:
            self.stages = self.stages._replace(flushed=True)
            self.beside += FLUSHING
        if self.zero_grads:
            self.stages = self.stages._replace(zeroed=True)
            self.beside += ZEROING

    def decay_at(self, lr: float) -> float:
        """The prologue's last scalar at a learning rate."""
        if self.weight_decay == 0.0:
            return 1.0
        return 1.0 - lr * self.weight_decay if self.decoupled else self.weight_decay

    def learning_at(self, lr: float) -> list[Callable[[], None]]:
        """The calls that change the learning rate (`fastopt.uninterrupted`)."""
        return [partial(setattr, self, "lr", lr), partial(setattr, self, "decay", self.decay_at(lr))]

    def becoming(self, other: Settings) -> list[Callable[[], None]]:
        """The calls that make these the same as others. What slots have bound of the hyperparameters has to be bound anew after them."""
        names = [own.name for own in fields(self)]
        return [partial(setattr, self, name, getattr(other, name)) for name in names]

    def scalars(self, rule: Rule, step: int, grad_scale: float) -> tuple[float, ...]:
        """The scalars of a compiled kernel, in float64: the rule's, those of the stages, then the prologue's."""
        return (*rule.scalars(step, self.lr, **self.hyperparameters), *self.beside, self.direction / grad_scale, self.decay)
