"""What a step needs to know besides the arrays: the learning rate, the hyperparameters, and the common options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # families, which rules/ holds, make settings
    from fastopt.rules.domain import HyperparameterValue
    from fastopt.rules.update import Rule

__all__ = ["Settings"]


@dataclass(slots=True)
class Settings:
    """Checked values (`fastopt.rules.family` makes them).

    `weight_decay` is coupled (L2, added to the gradient) unless `decoupled` (taken off the parameter, times lr).

    What the prologue needs of them is kept ready for the next step (see `fastopt.rules.prologue`): `direction`, -1 to maximize, and
    `decay`, its last scalar.
    """

    lr: float
    hyperparameters: dict[str, HyperparameterValue]
    weight_decay: float = 0.0
    decoupled: bool = False
    maximize: bool = False
    direction: float = field(init=False, repr=False)
    decay: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.direction = -1.0 if self.maximize else 1.0
        self.decay = self.decay_at(self.lr)

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

    @property
    def coupled(self) -> bool:
        """Whether the kernel with the decay in the gradient is the one to run."""
        return self.weight_decay != 0.0 and not self.decoupled

    def scalars(self, rule: Rule, step: int, grad_scale: float) -> tuple[float, ...]:
        """The scalars of a compiled kernel, in float64: the rule's, then the prologue's."""
        return (*rule.scalars(step, self.lr, **self.hyperparameters), self.direction / grad_scale, self.decay)
