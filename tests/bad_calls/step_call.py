"""An entry in the table of calls of `step`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bad_calls.arrays import Array
from tests.bad_calls.situation import Situation


@dataclass(frozen=True)
class StepCall:
    """One call of step. `words` is None where it works; `after` then looks at the result, or a good step would be the same."""

    id: str
    kind: str
    grads: Callable[[Situation], Any]
    error: type[Exception] | None = None
    words: str = ""
    grad_scale: Any = 1.0
    options: tuple[tuple[str, Any], ...] = ()
    spoil: Callable[[Situation], Callable[[], None] | None] | None = None
    """Does something to the parameters before the call; returns what undoes it, or None if that cannot be undone."""


def first(make: Callable[[Array], Any]) -> Callable[[Situation], Any]:
    """Good gradients with the first one, of shape (3, 4) and float32 in a sequence, made into something else."""
    return lambda s: s.with_gradient(0, make(s.gradients()[0]))


def second(make: Callable[[Array], Any]) -> Callable[[Situation], Any]:
    return lambda s: s.with_gradient(1, make(s.gradients()[1]))


def third(make: Callable[[Array], Any]) -> Callable[[Situation], Any]:
    return lambda s: s.with_gradient(2, make(s.gradients()[2]))


def step_calls(kind: str, error: type[Exception] | None, *entries: tuple[str, Callable[[Situation], Any], str]) -> list[StepCall]:
    return [StepCall(f"{kind}: {name}", kind, grads, error, words) for name, grads, words in entries]
