"""Anchors: a few steps of a rule worked out by hand, which no other code in the repository had a part in.

The numbers are chosen so that roots and most quotients come out as short binary fractions. Every hyperparameter is
neither 0 nor its default, and the learning rate changes between the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST
from fastopt.rules.entry import COPY, FLAG, RULES
from tests.conftest import needed

TOLERANCE = 2e-15
"""Relative: a few roundings in float64; the bias corrections move through scalars in another order than on paper."""

BACKENDS = HOST


@dataclass(frozen=True)
class Anchor:
    """What stands on paper: before and after each of the steps."""

    rule: str
    lrs: tuple[float, ...]
    gradients: tuple[float, ...]
    p: tuple[float, ...]
    """The parameter before the first step and after each."""
    states: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Each state after each step."""
    hyperparameters: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        flags = {name: value for name, value in self.hyperparameters.items() if RULES[self.rule].hyperparameters[name].domain is FLAG}
        return ", ".join([self.rule, *(name if value is True else f"{name}={value}" for name, value in flags.items() if value)])

    def is_worth_its_name(self) -> None:
        """Nothing at a default or at 0, or the anchor would hold for a wrong formula too."""
        rule = RULES[self.rule]
        assert set(self.hyperparameters) == set(rule.hyperparameters)
        assert set(self.states) == set(rule.states)
        for name, value in self.hyperparameters.items():
            pairs = zip(np.atleast_1d(value), np.atleast_1d(rule.defaults[name]), strict=True)  # type: ignore[call-overload]
            flag = rule.hyperparameters[name].domain is FLAG  # of two values neither is worth more: there are anchors for both
            assert flag or all(own not in (0.0, default) for own, default in pairs), name

    def holds_for_floats(self) -> None:
        """The scalar function, called with Python floats."""
        rule = RULES[self.rule]
        p, states, memory = self.p[0], self._before(), tuple(rule.memory.values())
        for i, (lr, g) in enumerate(zip(self.lrs, self.gradients, strict=True)):
            scalars = rule.scalars(i + 1, lr, *memory, **self.hyperparameters)
            if memory:
                scalars, memory = scalars
            p, *states = rule(p, g, *states, *scalars)
            assert isinstance(p, float)
            self._holds(i, p, dict(zip(rule.states, states, strict=True)))

    def holds_for(self, backend: str) -> None:
        """The optimizer on several float64 elements at once, and the function that leaves the state to the caller."""
        needed(backend)
        rule = RULES[self.rule]
        p = np.full(19, self.p[0])
        optimizer = fastopt.Optimizer(p, rule, backend=backend, **self.hyperparameters)  # type: ignore[arg-type]
        alone, *states = (np.full((), value) for value in (self.p[0], *self._before()))
        memory: dict[str, float] = {}
        for i, (lr, g) in enumerate(zip(self.lrs, self.gradients, strict=True)):
            optimizer.lr = lr
            optimizer.step(np.full(19, g))
            assert (p == p[0]).all(), "elements of one array went different ways"
            own = optimizer.state_dict()["state"]
            self._holds(i, p[0], {name: own[name][0] for name in rule.states})
            step_function = getattr(fastopt.functional, self.rule)
            given = {**self.hyperparameters, **memory}
            memory = step_function(alone, np.full((), g), *states, step=i + 1, lr=lr, backend=backend, **given) or {}
            self._holds(i, alone[()], dict(zip(rule.states, states, strict=True)))

    def _before(self) -> list[float]:
        """The states before the first step."""
        rule = RULES[self.rule]
        initial = [rule.initial(name, self.hyperparameters) for name in rule.states]  # type: ignore[arg-type]
        return [self.p[0] if value is COPY else value for value in initial]

    def _holds(self, i: int, p: float, states: dict[str, float]) -> None:
        assert p == pytest.approx(self.p[i + 1], rel=TOLERANCE, abs=0), f"p after step {i + 1}"
        for name, value in states.items():
            assert float(value) == pytest.approx(self.states[name][i], rel=TOLERANCE, abs=0), f"{name} after step {i + 1}"
