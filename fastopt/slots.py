"""What tensors that are stepped alike have in common: a slot. A row of the work list takes the scalars of its tensor's slot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.storage.noise import step_scalars

__all__ = ["Slot"]


class Slot:
    """The settings of a group, how many steps its tensors made, and what the scalars of its rule remember from step to step.

    Attributes
    ----------
    rule, settings
        Those of the group.
    steps
        Made so far.
    memory
        Host scalars that a rule keeps from step to step (`Rule.memory`), after that many steps.
    coming
        The same after the step whose scalars were asked for last.
    bound, bound_for
        The `scalars` of a rule without a memory, with the hyperparameters and the stages of these settings.
    """

    __slots__ = ("bound", "bound_for", "coming", "memory", "rule", "settings", "steps")

    def __init__(self, rule: Rule, settings: Settings, steps: int = 0, memory: tuple[float, ...] | None = None) -> None:
        self.rule, self.settings, self.steps = rule, settings, steps
        self.memory = tuple(rule.memory.values()) if memory is None else memory
        self.bound_for: Settings | None = None
        self.bound: Callable[..., Any] = rule.scalars
        self.coming = self.memory

    def scalars(self) -> tuple[float, ...]:
        """The rule's scalars of the coming step, in float64, and those of the stages."""
        settings = self.settings
        if self.memory:
            found, self.coming = self.ahead()
            return found
        if settings is not self.bound_for:
            # in this order: another thread that steps the same optimizer must not take the old scalars for the new settings'
            bound_now = self.rule.scalars_with(settings.hyperparameters)
            self.bound = self._with_those_beside(bound_now, settings.beside) if settings.beside else bound_now
            self.bound_for = settings
        bound: tuple[float, ...] = self.bound(self.steps + 1, settings.lr)
        return bound

    def _with_those_beside(self, own: Callable[..., Any], beside: tuple[float, ...]) -> Callable[..., tuple[float, ...]]:
        """The rule's scalars and those of the stages, of a step and a learning rate."""
        expected = len(self.rule.scalar_names)

        def scalars(step: int, lr: float) -> tuple[float, ...]:
            found = own(step, lr)
            if len(found) != expected:
                self._of_rule(found)
            return (*found, *beside)

        return scalars

    def _of_rule(self, found: tuple[float, ...]) -> tuple[float, ...]:
        """The rule's scalars, as many as its text takes: what comes behind them would be taken for one that is missing."""
        if len(found) != len(self.rule.scalar_names):
            raise ValueError(f"scalars: expected {len(self.rule.scalar_names)} of the rule, received {len(found)}")
        return found

    def ahead(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The scalars of the coming step, and what they remember after it: without a word to others, who may be asking too."""
        if self.memory:
            return self._remembering(self.settings.lr)
        return self.scalars(), ()

    def ahead_at(self, lr: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The same at another learning rate than that of the settings."""
        if self.memory:
            return self._remembering(lr)
        if self.settings is not self.bound_for:
            self.scalars()
        return self.bound(self.steps + 1, lr), ()

    def _remembering(self, lr: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        settings = self.settings
        found: tuple[tuple[float, ...], tuple[float, ...]]
        found = self.rule.scalars(self.steps + 1, lr, *self.memory, **settings.hyperparameters)
        return ((*self._of_rule(found[0]), *settings.beside), found[1]) if settings.beside else found

    def scalars_once(self) -> tuple[float, ...]:
        """The same, for a slot that is made for one step: nothing is got ready for others."""
        if self.memory:
            return self.scalars()
        settings = self.settings
        found: tuple[float, ...] = self.rule.scalars(self.steps + 1, settings.lr, **settings.hyperparameters)
        return (*self._of_rule(found), *settings.beside) if settings.beside else found

    def of_kernel(self, draws: bool) -> tuple[float, ...]:
        """The rule's scalars and the stages', and behind them the step's number for a kernel that rounds stochastically."""
        return (*self.scalars(), *step_scalars(self.steps + 1)) if draws else self.scalars()

    def all_scalars(self, grad_scale: float, clip: float, draws: bool) -> tuple[float, ...]:
        """Those of a compiled kernel: `of_kernel`, then the prologue's."""
        return (*self.of_kernel(draws), self.settings.direction * clip / grad_scale, self.settings.decay)

    def advancing(self) -> list[Callable[[], None]]:
        """The calls that count a step (`fastopt.uninterrupted`)."""
        steps = partial(setattr, self, "steps", self.steps + 1)
        return [steps, partial(setattr, self, "memory", self.coming)] if self.memory else [steps]

    def apart(self) -> Slot:
        """Another slot that stands where this one does."""
        return Slot(self.rule, self.settings, self.steps, self.memory)
