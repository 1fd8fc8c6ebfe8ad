"""The best learning rate for each batch size, and the slope of the one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import fastopt
from fastopt.training import BatchSizeStudy, study_batch_sizes

from ..drawing import INK, LETTERS, WIDTH, figure, looks
from ..workloads import digits
from .runs import SEED, epochs_of

__all__ = ["SIZES", "TITLE", "draw", "loss_at", "study"]

TITLE = "The best learning rate over the batch size"

SIZES = (4, 16, 64, 256, 1024)
EPOCHS, L2 = 5, 1e-2
"""With the weight decay there is a minimum at a distance, so that neither the smallest nor the largest rates can be of use."""

LOW, HIGH = 1e-3, 10.0


def loss_at(batch_size: int, rate: float) -> float:
    """The loss of all digits, with its penalty, after five epochs of SGD on a softmax regression with weight decay."""
    workload = digits()
    network = workload.network(())
    params = network.initial_params(SEED)
    optimizer = fastopt.SGD(params, lr=rate, weight_decay=L2)
    *_, last = epochs_of(network, params, optimizer, workload, batch_size=batch_size, epochs=EPOCHS, l2=L2)
    return last


def study(sizes: Sequence[int], points: int, refine: int) -> BatchSizeStudy:
    """The search for each size."""
    return study_batch_sizes(loss_at, sizes, low=LOW, high=HIGH, points=points, refine=refine, progress=False)


def draw(path: Path, sizes: Sequence[int] = SIZES, points: int = 9, refine: int = 4) -> str:
    """Draws the losses of all that was tried, and the best rates with their slope."""
    found = study(sizes, points, refine)
    styles = looks(str(size) for size in sizes)
    with figure(path, WIDTH, 8.4, 1, size=LETTERS, rows=2) as (above, below):
        for own, look in zip(found.results, styles.values(), strict=True):
            rates, losses = np.array(own.trials).T
            above.plot(rates, losses, "-", lw=2, ms=6, label=f"{own.batch_size:,}", **look)
            above.plot(own.lr, own.loss, "o", ms=15, mfc="none", mec=look["color"], mew=2)
            below.plot(own.batch_size, own.lr, ls="", ms=11, zorder=3, **look)
        above.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="loss after 5 epochs (nats)")
        above.figure.legend(
            title="batch size (samples); a ring is the best", frameon=False, loc="outside upper left", ncols=5, columnspacing=1
        )
        best = [(own.batch_size, own.lr) for own in found.results if not own.at_edge and np.isfinite(own.lr)]
        if found.slope is not None:
            at = np.array([float(size) for size, _ in best])
            middle = np.exp(np.mean(np.log([rate for _, rate in best])) - found.slope * np.mean(np.log(at)))
            below.plot(at, middle * at**found.slope, "--", color=INK, lw=2, label=f"best rate ~ size to the {found.slope:.2f}")
            below.legend(frameon=False, loc="upper left")
        below.set(xscale="log", yscale="log", xlabel="batch size (samples)", ylabel="best learning rate")
        below.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
        below.set_xticks([], minor=True)
    listed = ", ".join(f"{own.batch_size:,}: {own.lr:.2g}" for own in found.results)
    slope = (
        ""
        if found.slope is None
        else (f" On log scales the slope is {found.slope:.2f}: a rate proportional to the batch size would have 1, one to its root 0.5.")
    )
    return (
        f"`fastopt.training.study_batch_sizes`: a softmax regression on the digits (weight decay {L2:g}) is trained anew for {EPOCHS} "
        f"epochs with SGD at each of {points + refine} rates for each batch size; so a larger batch makes fewer steps. "
        f"Best rates: {listed}.{slope}"
    )
