"""Gradients that are drawn, and what Adam's states and updates come to under them: what the failures are shown on.

A storage is seen beside float32 under the very same gradients; no network stands between the cause and what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arrays import Array
from .storages import Given, built

__all__ = ["COUNT", "DROP", "SEED", "dropping", "normal", "optimizer", "root_mean", "watched"]

COUNT = 4_096
"""Elements: so many that no storage takes them for too few to be kept narrow."""

DROP = 0.3
"""The share of a run after which gradients are a tenth of what they were."""

SEED = 0


def normal(steps: int, size: Array | float = 1.0) -> Iterator[Array]:
    """Normal gradients of standard deviation `size`, which may be one for each element."""
    generator = np.random.default_rng(SEED)
    for _ in range(steps):
        yield (size * generator.standard_normal(COUNT)).astype(np.float32)


def dropping(steps: int) -> Iterator[Array]:
    """Normal gradients of standard deviation 1, and 0.1 from `DROP` of the steps on."""
    for step, gradient in enumerate(normal(steps)):
        yield gradient if step < DROP * steps else gradient * np.float32(0.1)


def optimizer(kind: Callable[..., Any], given: Given, **arguments: Any) -> Any:
    """One of the package's over parameters that begin at 0, its states stored so."""
    return built(kind, np.zeros(COUNT, np.float32), given, num_threads=1, **arguments)


def watched(made: Any, gradients: Iterator[Array], every: int, look: Callable[[], float]) -> tuple[Array, Array]:
    """Makes a step with each gradient; the numbers of steps after which `look` was called, and what it answered."""
    steps, seen = [], []
    for step, gradient in enumerate(gradients, 1):
        made.step(gradient)
        if step % every == 0:
            steps.append(step)
            seen.append(look())
    return np.array(steps), np.array(seen)


def root_mean(squares: Array) -> float:
    """The root of the mean, in float64."""
    return float(np.sqrt(np.mean(squares, dtype=np.float64)))
