"""What the decays do to the loss of one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastopt

from ..arrays import Array
from ..workloads import digits, steps_per_epoch
from .decays import DECAYS, EPOCHS, FIRST, Decay, panels, start, turn
from .runs import SEED, epochs_of, whole_loss

__all__ = ["TITLE", "draw", "losses", "minimum"]

TITLE = "What the decays do to the loss"

BATCH, L2 = 64, 1e-3


def losses(decay: Decay, epochs: int) -> Array:
    """The loss of all digits, with its penalty, before the first epoch and after each: a softmax of the pixels with weight decay."""
    workload = digits()
    network = workload.network(())
    params = network.initial_params(SEED)
    optimizer = fastopt.SGD(params, lr=start(decay), weight_decay=L2)
    run = epochs_of(network, params, optimizer, workload, batch_size=BATCH, epochs=epochs, l2=L2)
    found = [next(run)]
    for epoch in range(epochs):
        turn(decay, optimizer, epoch)
        found.append(next(run))
    return np.array(found)


def minimum(steps: int) -> list[Array]:
    """The parameters at which that loss, which is convex, is lowest: by full-batch descent with Nesterov's momentum, in float64."""
    workload = digits()
    network = workload.network(())
    params = network.initial_params(SEED, np.float64)
    optimizer = fastopt.SGD(params, lr=1.0, momentum=0.95, nesterov=True, weight_decay=L2)
    for _ in range(steps):
        _, gradients = network.loss_and_gradients(params, workload.x, workload.y)
        optimizer.step(gradients)
    return params


def draw(path: Path, epochs: int = EPOCHS, steps: int = 600) -> str:
    """Draws a panel for each, with the constant rate in grey behind it."""
    workload = digits()
    n = steps_per_epoch(workload.samples, BATCH)
    floor = whole_loss(workload.network(()), minimum(steps), workload, L2)
    lines = {name: losses(decay(n), epochs) - floor for name, decay in DECAYS.items()}
    panels(path, lines, "loss above its minimum (nats)", lambda name: ["constant"], yscale="log")
    ends = sorted((float(np.median(line[-5:])), name) for name, line in lines.items())
    return (
        f"The same softmax regression on the digits (SGD, rate {FIRST:g} at first, mini-batches of {BATCH}, weight decay {L2:g}) under "
        f"each of these schedules: how far the loss of all digits is above its minimum, {floor:.4f}. Grey is the constant rate, which "
        "keeps jumping about the minimum at a distance that the rate decides on. Medians of the last five epochs, the lowest first: "
        f"{'; '.join(f'{name} {value:.2g}' for value, name in ends)}."
    )
