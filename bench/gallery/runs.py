"""Training on a data set by mini-batches, and the loss along the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastopt.training import Batches

from ..arrays import Array
from ..losses import l2_penalty
from ..networks import Network
from ..workloads import Workload

__all__ = ["SEED", "epochs_of", "steps_of", "whole_loss"]

SEED = 0
"""Of initial parameters and of the order of the samples."""


def steps_of(network: Network, params: list[Array], optimizer: Any, batches: Batches, epochs: int) -> Iterator[float]:
    """Trains, and answers each mini-batch's loss before its step, when that is made.

    An overflow is no error here: what a run does that diverges is what is to be seen.
    """
    for epoch in range(epochs):
        for x, y in batches.epoch(epoch):
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                loss, gradients = network.loss_and_gradients(params, x, y)
                optimizer.step(gradients)
            yield loss


def epochs_of(
    network: Network, params: list[Array], optimizer: Any, workload: Workload, *, batch_size: int, epochs: int, l2: float = 0.0
) -> Iterator[float]:
    """Trains, and answers the loss of all samples before the first epoch and after each; `l2` is the optimizer's weight decay."""
    batches = Batches(workload.x, workload.y, batch_size=batch_size, seed=SEED)
    steps = steps_of(network, params, optimizer, batches, epochs)
    yield whole_loss(network, params, workload, l2)
    for _ in range(epochs):
        for _ in range(len(batches)):
            next(steps)
        yield whole_loss(network, params, workload, l2)


def whole_loss(network: Network, params: list[Array], workload: Workload, l2: float = 0.0) -> float:
    """The loss of all samples, and the penalty on all parameters."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        loss, _ = network.loss_and_gradients(params, workload.x, workload.y)
        return loss + (l2_penalty(params, l2) if l2 else 0.0)
