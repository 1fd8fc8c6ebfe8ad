"""The state of things before a bad call: an optimizer that has made a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastopt.optimizers.base import Optimizer
from tests.bad_calls.arrays import Array


@dataclass
class Situation:
    """An optimizer that has made a step, and what is needed to call it."""

    optimizer: Optimizer
    arrays: list[Array]
    structure: Callable[[list[Any]], Any]

    def gradients(self, seed: int = 5) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [np.asarray(rng.standard_normal(p.shape)).astype(p.dtype) for p in self.arrays]

    def good(self, seed: int = 5) -> Any:
        return self.structure(self.gradients(seed))

    def with_gradient(self, index: int, gradient: Any) -> Any:
        gradients = self.gradients()
        gradients[index] = gradient
        return self.structure(gradients)

    def bits(self) -> list[Any]:
        """Everything that a call that failed must have left alone."""
        state = self.optimizer.state_dict()
        arrays = [array for own in self.optimizer._states for array in own]
        return [
            [p.tobytes() for p in self.arrays],
            [s.tobytes() for s in arrays],
            state["steps"],
            state["groups"],
            state["slots"],
        ]


def build(kind: str, **options: Any) -> Situation:
    """A situation of one of the kinds that params come in; the same numbers every time."""
    rng = np.random.default_rng(3)

    def some(shape: tuple[int, ...], dtype: Any) -> Array:
        return np.asarray(rng.standard_normal(shape)).astype(dtype)

    structure: Callable[[list[Any]], Any] = list
    if kind == "array":
        arrays = [some((6,), np.float64)]
        structure = lambda gradients: gradients[0]  # noqa: E731
    elif kind == "sequence":
        arrays = [some((3, 4), np.float32), some((5,), np.float32), some((), np.float32), some((0, 7), np.float32)]
    elif kind == "mapping":
        arrays = [some((4, 3), np.float64), some((3,), np.float64)]
        structure = lambda gradients: dict(zip(("w", "b"), gradients, strict=True))  # noqa: E731
    elif kind == "mixed":
        arrays = [some((6,), np.float32), some((3,), np.float64)]
    else:
        assert kind == "views of one buffer"
        buffer = some((40,), np.float64)
        arrays = [buffer[0:10], buffer[20:30]]
    situation = Situation(Optimizer(structure(arrays), "adam", 0.1, **options), arrays, structure)
    situation.optimizer.step(situation.good(1))
    return situation
