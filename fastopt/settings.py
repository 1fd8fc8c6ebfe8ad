"""What a step needs to know besides the arrays: the learning rate, the hyperparameters, and the common options."""

from __future__ import annotations

from dataclasses import dataclass

from fastopt.rules.entry import HyperparameterValue, Rule

__all__ = ["Settings"]


@dataclass(slots=True)
class Settings:
    """Checked values (`fastopt.arguments.settings` makes them).

    `weight_decay` is coupled (L2, added to the gradient) unless `decoupled` (taken off the parameter, times lr).
    """

    lr: float
    hyperparameters: dict[str, HyperparameterValue]
    weight_decay: float = 0.0
    decoupled: bool = False
    maximize: bool = False

    @property
    def coupled(self) -> bool:
        """Whether the kernel with the decay in the gradient is the one to run."""
        return self.weight_decay != 0.0 and not self.decoupled

    def scalars(self, rule: Rule, step: int, grad_scale: float) -> tuple[float, ...]:
        """The scalars of a compiled kernel, in float64: the rule's, then the prologue's (see `fastopt.rules.prologue`)."""
        if self.weight_decay == 0.0:
            decay = 1.0
        elif self.decoupled:
            decay = 1.0 - self.lr * self.weight_decay
        else:
            decay = self.weight_decay
        gradient_factor = (-1.0 if self.maximize else 1.0) / grad_scale
        return (*rule.scalars(step, self.lr, **self.hyperparameters), gradient_factor, decay)
