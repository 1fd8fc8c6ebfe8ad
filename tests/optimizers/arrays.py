"""Parameters and gradients of several shapes, and all that an optimizer has written to, for the tests of steps and of what is held."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastopt.optimizers.base import Optimizer

Array = np.ndarray[Any, Any]
SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (300,), (), (0, 7), (2, 1, 5))


def arrays(seed: int, dtypes: tuple[Any, ...] = (np.float32,)) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)).astype(dtypes[i % len(dtypes)]) for i, shape in enumerate(SHAPES)]


def bits(optimizer: Optimizer) -> list[bytes]:
    """Parameters and states."""
    return [a.tobytes() for a in optimizer._params] + [a.tobytes() for own in optimizer._states for a in own]
