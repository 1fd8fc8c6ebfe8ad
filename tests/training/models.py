"""Small real problems for the tests of fastopt/training: the lectures' quadratic, and a softmax of scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastopt
from fastopt.training import Batches, History

Array = NDArray[Any]


def quadratic(w: Array) -> tuple[float, Array]:
    """f(x, y) = x^2/20 + y^2 and its gradient: curvatures 1/10 and 2, so that gradient descent diverges above a rate of 1."""
    return float(w[0] ** 2 / 20.0 + w[1] ** 2), np.array([w[0] / 10.0, 2.0 * w[1]])


def descend(make: Callable[..., Any], lr: float, steps: int = 60, **arguments: Any) -> History:
    """A run on the quadratic from (-7, 2), as it is recorded."""
    w = np.array([-7.0, 2.0])
    opt = make(w, lr=lr, **arguments)
    history = History(opt)
    for _ in range(steps):
        loss, gradient = quadratic(w)
        history.observe(loss, gradient)
        opt.step(gradient)
    return history


@cache
def digits() -> tuple[Array, Array]:
    """1,797 digits: pixels from 0 to 1 and a column of ones, and labels."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    return np.column_stack([data.data / 16.0, np.ones(len(data.data))]), data.target


def softmax(w: Array, x: Array, labels: Array) -> tuple[float, Array]:
    """The mean cross-entropy of the softmax of x w, and its gradient; w has shape (features, classes)."""
    logits = x @ w
    logits -= logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    totals = exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = float(np.mean(np.log(totals[:, 0]) - logits[rows, labels]))
    errors = exponentials / totals
    errors[rows, labels] -= 1.0
    return loss, x.T @ errors / len(x)


def train_softmax(lr: float, batch_size: int, epochs: int, make: Callable[..., Any] = fastopt.SGD, count: int = 1792) -> list[float]:
    """The loss of all samples (1,792, so that no mini-batch is a small one) before the first epoch and after each."""
    x, labels = (part[:count] for part in digits())
    # every fifth label is made up, so that no weights suit all samples, and the noise of mini-batches holds high rates up
    labels = np.where(np.arange(count) % 5 == 0, np.arange(count) // 5 % 10, labels)
    w = np.zeros((x.shape[1], 10))
    opt = make(w, lr=lr)
    batches = Batches(x, labels, batch_size=batch_size, seed=1)
    losses = [softmax(w, x, labels)[0]]
    for epoch in range(epochs):
        for some, theirs in batches.epoch(epoch):
            opt.step(softmax(w, some, theirs)[1])
        losses.append(softmax(w, x, labels)[0])
    return losses
