"""Exponentially weighted averages of a noisy series, with and without bias correction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastopt
from fastopt.training import Batches, ExponentialAverage

from ..arrays import Array
from ..drawing import COLOURS, GREY, LETTERS, WIDTH, figure
from ..workloads import digits
from .runs import SEED, steps_of

__all__ = ["BETAS", "TITLE", "averaged", "draw", "series"]

TITLE = "Exponentially weighted averages, and their bias correction"

BETAS = (0.5, 0.9, 0.98)
BATCH = 8


def series(steps: int) -> Array:
    """The losses of so many mini-batches of 8 digits, of a softmax regression while it is trained."""
    workload = digits()
    network = workload.network(())
    params = network.initial_params(SEED)
    batches = Batches(workload.x, workload.y, batch_size=BATCH, seed=SEED)
    run = steps_of(network, params, fastopt.SGD(params, lr=0.05), batches, epochs=-(-steps // len(batches)))
    return np.array([loss for loss, _ in zip(run, range(steps), strict=False)])


def averaged(values: Array, beta: float, bias_correction: bool) -> Array:
    """The average after each value."""
    average = ExponentialAverage(beta, bias_correction)
    return np.array([average.update(float(value)).value for value in values])


def draw(path: Path, steps: int = 200) -> str:
    """Draws a panel for each beta."""
    values = series(steps)
    ratios = []
    with figure(path, WIDTH, 8.0, 1, size=LETTERS, rows=3, shared=True) as axes:
        for axis, beta in zip(axes, BETAS, strict=True):
            corrected, plain = averaged(values, beta, True), averaged(values, beta, False)
            axis.plot(values, ".", color=GREY, ms=5, alpha=0.8, label="loss of a mini-batch")
            axis.plot(plain, "--", color=COLOURS[1], lw=2.5, label="without correction")
            axis.plot(corrected, color=COLOURS[0], lw=2.5, label="with bias correction")
            axis.set_title(f"β = {beta:g}: window 1 / (1 - β) = {ExponentialAverage(beta).window:.0f} steps", loc="left", fontsize="medium")
            axis.set(ylabel="loss (nats)", ylim=(0, 1.05 * float(values.max())))
            ratios.append(f"{plain[0] / corrected[0]:.2g} of it for β = {beta:g}")
        axes[-1].set(xlabel="step")
        axes[0].figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    return (
        f"The losses of {steps} mini-batches of {BATCH} digits, and their averages by `fastopt.training.ExponentialAverage`. Without the "
        f"correction an average begins at 0: of the first loss it shows {', '.join(ratios)}, and it takes some windows to come to the "
        "level of the series. The longer the window, the smoother, and the later."
    )
