"""A multi-layer perceptron as NumPy textbooks write it: what an optimizer step is one part of.

    h = x;   z = h W + b;   h = relu(z) in every layer but the last;   loss(z of the last layer, y)

Parameters are a list of arrays [W1, b1, W2, b2, ...], W of shape (inputs, outputs). Gradients are new arrays at every
step, as NumPy's operators make them; nothing is reused between steps. Everything is computed in the parameters' dtype.

It has what every perceptron has and nothing to switch on: `bench.layered` is the one with batch normalization, dropout and the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from .arrays import Array
from .initial import initial_weights
from .losses import LOSSES, LossName

__all__ = ["Network"]


@dataclass(frozen=True)
class Network:
    """A perceptron with layers of the given sizes (inputs, hidden ..., outputs), rectified between them.

    `loss` is "cross_entropy" (classification, y holds integer labels) or "squared_error" (regression).
    """

    sizes: tuple[int, ...]
    loss: LossName

    def initial_params(self, seed: int, dtype: DTypeLike = np.float32) -> list[Array]:
        """[W1, b1, W2, b2, ...]: the same values for the same seed, biases zero.

        Weights are normal, He's before a rectifier and Xavier's in the last layer, which has none (`bench.initial`).
        """
        generator = np.random.default_rng(seed)
        params: list[Array] = []
        for layer, shape in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            rectified = layer < len(self.sizes) - 2
            params += [initial_weights(generator, shape, "he" if rectified else "xavier", dtype=dtype), np.zeros(shape[1], dtype)]
        return params

    def loss_and_gradients(self, params: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
        """The loss of a mini-batch and its gradients, in the order of `params`; x has shape (samples, inputs)."""
        weights, biases = params[0::2], params[1::2]

        inputs = [x]  # of every layer
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            z = inputs[-1] @ w + b
            inputs.append(np.maximum(z, 0.0))
        loss, delta = LOSSES[self.loss](inputs[-1] @ weights[-1] + biases[-1], y)

        gradients: list[Array] = []
        for layer in reversed(range(len(weights))):
            h = inputs[layer]
            gradients[:0] = [h.T @ delta, delta.sum(axis=0)]
            if layer > 0:
                delta = delta @ weights[layer].T
                delta *= h > 0.0
        return loss, gradients
