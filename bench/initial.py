"""Initial weights: random, and so large that what goes through a layer is as large behind it as before it.

    normal:   W ~ N(0, variance)
    uniform:  W ~ U(-limit, limit),   limit = sqrt(3 variance)      (which has that variance)

    "xavier"  variance = 2 / (inputs + outputs)   X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward
                                                  neural networks, AISTATS 2010, eq. 12 and 16: between what keeps the activations'
                                                  variance, 1 / inputs, and what keeps the gradients', 1 / outputs
    "he"      variance = 2 / inputs               K. He et al., Delving deep into rectifiers, ICCV 2015, eq. 10: a rectifier drops half

He et al. draw normal weights, Glorot and Bengio uniform ones; both have either form here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .arrays import Array

__all__ = ["DISTRIBUTIONS", "VARIANCES", "Distribution", "Initial", "initial_weights"]

Initial: TypeAlias = Literal["he", "xavier"]
Distribution: TypeAlias = Literal["normal", "uniform"]

VARIANCES = {
    "he": lambda inputs, outputs: 2.0 / inputs,
    "xavier": lambda inputs, outputs: 2.0 / (inputs + outputs),
}
DISTRIBUTIONS = {
    "normal": lambda generator, variance, shape: generator.standard_normal(shape) * np.sqrt(variance),
    "uniform": lambda generator, variance, shape: generator.uniform(-np.sqrt(3.0 * variance), np.sqrt(3.0 * variance), shape),
}


def initial_weights(
    generator: np.random.Generator,
    shape: tuple[int, int],
    initial: Initial,
    distribution: Distribution = "normal",
    dtype: DTypeLike = np.float32,
) -> Array:
    """Weights of shape (inputs, outputs); drawn in float64, so that every dtype gets the same values but for rounding."""
    weights: Array = DISTRIBUTIONS[distribution](generator, VARIANCES[initial](*shape), shape)
    return weights.astype(dtype)
