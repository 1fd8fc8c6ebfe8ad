"""What a network is trained to make small: two losses with their gradients, and the penalty on large weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np

from .arrays import Array

__all__ = ["LOSSES", "LossName", "l2_penalty", "mean_squared_error", "softmax_cross_entropy"]

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


def l2_penalty(weights: Iterable[Array], l2: float) -> float:
    """l2 / 2 times the sum of all squares; its gradient is l2 W.

    For SGD and its momentum that is what `weight_decay=l2` on the same arrays is. So is Adam's coupled weight decay; its decoupled
    one (AdamW) is not: there the decay does not go through the moments, which would divide it by the root of the second one
    (I. Loshchilov and F. Hutter, Decoupled weight decay regularization, ICLR 2019).
    """
    return 0.5 * l2 * sum(float(np.sum(w * w)) for w in weights)
