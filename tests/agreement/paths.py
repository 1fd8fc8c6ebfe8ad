"""The path that a parameter takes in 100 steps, and how far two paths are apart.

Gradients are random, some elements small and some large, where eps and decay show differs; the learning rate changes on the way. What is
compared is the whole path and the states at its end, element by element.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import fastopt

__all__ = ["STEPS", "TOLERANCE", "Walk", "apart", "constant", "gradients", "learning_rate", "ours", "start"]

Array = np.ndarray[Any, Any]
STEPS, SIZE = 100, 257
TOLERANCE = 1e-12


class Walk:
    """Where a parameter was after each step, and the states at the end, by our names."""

    def __init__(self, ends: list[Array], states: Mapping[str, Array]) -> None:
        self.ends, self.states = ends, dict(states)


def learning_rate(step: int) -> float:
    return 0.02 / (1.0 + 0.1 * step) + (0.01 if step % 7 == 0 else 0.0)


def constant(step: int) -> float:
    return 0.02


def gradients(step: int) -> Array:
    rng = np.random.default_rng(100 + step)
    return rng.standard_normal(SIZE) * np.logspace(-6, 2, SIZE)


def start() -> Array:
    return np.random.default_rng(0).standard_normal(SIZE) + 3.0


def ours(make: Any, options: Mapping[str, Any], rates: Any = learning_rate) -> Walk:
    """The path of one of fastopt's optimizers."""
    optimizer: fastopt.Optimizer = make(start(), backend="numpy", **{"lr": rates(0), **options})
    ends = []
    for step in range(STEPS):
        optimizer.lr = rates(step)
        optimizer.step(gradients(step))
        ends.append(optimizer.params.copy())
    return Walk(ends, {name: values[0] for name, values in optimizer.flat_state().items()})


def apart(own: Walk, theirs: Walk, names: Mapping[str, str]) -> float:
    """The largest relative difference of parameters and of those states that the framework keeps too (`names`: ours -> theirs)."""
    assert len(own.ends) == len(theirs.ends) == STEPS
    worst = 0.0
    for a, b in zip(own.ends, theirs.ends, strict=True):
        # a parameter that passes through 0 loses its own scale: the scale is then that of what it has moved
        scale = np.maximum(np.abs(b), np.abs(b - start()))
        worst = max(worst, float((np.abs(a - b) / np.maximum(scale, 1e-300)).max()))
    assert np.abs(own.ends[-1] - start()).max() > 0, "nothing moved"
    sizes = np.max([np.abs(gradients(step)) for step in range(STEPS)], axis=0)
    for name, values in own.states.items():
        if name in names:
            b = theirs.states[names[name]]
            # what cancels in a mean of both signs loses its own scale: it is then that of what is averaged, or moved
            scale = np.abs(b) if (b >= 0).all() else np.maximum(np.abs(b), np.minimum(sizes, np.abs(values).max()))
            worst = max(worst, float((np.abs(values - b) / np.maximum(scale, 1e-300)).max()))
    return worst
