"""A multi-layer perceptron as NumPy textbooks write it: what an optimizer step is one part of.

    h = x;   z = h W + b;   h = relu(z) in every layer but the last;   loss(z of the last layer, y)

Parameters are a list of arrays [W1, b1, W2, b2, ...], W of shape (inputs, outputs). Gradients are new arrays at every
step, as NumPy's operators make them; nothing is reused between steps. Everything is computed in the parameters' dtype.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Array", "LossName", "Network", "mean_squared_error", "softmax_cross_entropy"]

Array: TypeAlias = NDArray[Any]
LossName: TypeAlias = Literal["cross_entropy", "squared_error"]


def softmax_cross_entropy(logits: Array, labels: Array) -> tuple[float, Array]:
    """The mean of -log(softmax(logits)[label]) over the samples, and its gradient (softmax - one-hot) / samples.

    `logits` has shape (samples, classes), `labels` are integers of shape (samples,). The largest logit of each sample
    is taken off first, so no exponential overflows and no logarithm meets zero.
    """
    samples = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(totals[:, 0]) - shifted[samples, labels])
    gradient = exponentials / totals
    gradient[samples, labels] -= 1.0
    gradient /= len(labels)
    return float(loss), gradient


def mean_squared_error(outputs: Array, targets: Array) -> tuple[float, Array]:
    """The mean of (outputs - targets)^2 over all elements, and its gradient 2 (outputs - targets) / elements."""
    errors = outputs - targets
    loss = np.mean(errors * errors)
    return float(loss), errors * (2.0 / errors.size)


LOSSES = {"cross_entropy": softmax_cross_entropy, "squared_error": mean_squared_error}


@dataclass(frozen=True)
class Network:
    """A perceptron with layers of the given sizes (inputs, hidden ..., outputs), rectified between them.

    `loss` is "cross_entropy" (classification, y holds integer labels) or "squared_error" (regression).
    """

    sizes: tuple[int, ...]
    loss: LossName

    def initial_params(self, seed: int, dtype: DTypeLike = np.float32) -> list[Array]:
        """[W1, b1, W2, b2, ...]: the same values for the same seed, biases zero.

        Weights are normal with variance 2 / inputs before a rectifier (He et al., ICCV 2015) and
        2 / (inputs + outputs) in the last layer, which has none (Glorot and Bengio, AISTATS 2010: "Xavier").
        """
        generator = np.random.default_rng(seed)
        params: list[Array] = []
        for layer, (inputs, outputs) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            rectified = layer < len(self.sizes) - 2
            variance = 2.0 / inputs if rectified else 2.0 / (inputs + outputs)
            weights = generator.standard_normal((inputs, outputs)) * np.sqrt(variance)
            params += [weights.astype(dtype), np.zeros(outputs, dtype)]
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
