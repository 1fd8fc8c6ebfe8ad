"""The learning-rate range test, with what it suggests."""

from __future__ import annotations

from pathlib import Path

import fastopt
from fastopt.training import Batches, RangeTest, learning_rate_range_test

from ..drawing import COLOURS, GREY, INK, LETTERS, WIDTH, figure
from ..workloads import digits
from .runs import SEED, steps_of

__all__ = ["TITLE", "draw", "found"]

TITLE = "The learning-rate range test"

HIDDEN, BATCH = (32, 32), 64
LOW, HIGH = 1e-4, 30.0


def found(steps: int) -> RangeTest:
    """The test of the network of `regimes`, with momentum-free SGD."""
    workload = digits()
    network = workload.network(HIDDEN)
    params = network.initial_params(SEED)
    optimizer = fastopt.SGD(params, lr=LOW)
    batches = Batches(workload.x, workload.y, batch_size=BATCH, seed=SEED)
    losses = steps_of(network, params, optimizer, batches, epochs=steps)  # of which it takes so many steps

    def step(rate: float) -> float:
        optimizer.lr = rate
        return next(losses)

    return learning_rate_range_test(step, LOW, HIGH, steps, optimizer=optimizer, progress=False)


def draw(path: Path, steps: int = 200) -> str:
    """Draws losses over the rates."""
    test = found(steps)
    with figure(path, WIDTH, 5.4, size=LETTERS) as (axis,):
        axis.plot(test.rates, test.losses, ".", color=GREY, ms=5, label="loss of a mini-batch")
        axis.plot(test.rates, test.smoothed, color=COLOURS[0], lw=2.5, label=f"average of the last {1 / (1 - test.beta):.0f}")
        marks = (
            ("steepest descent", test.steepest, "--"),
            ("a tenth of the lowest", test.tenth_of_minimum, ":"),
            ("lowest", test.minimum, "-"),
        )
        for (name, rate, style), colour in zip(marks, (COLOURS[1], COLOURS[2], INK), strict=True):
            if rate is not None:
                axis.axvline(rate, ls=style, color=colour, lw=2.5, label=f"{name}: {rate:.2g}")
        axis.set(xlabel="learning rate", ylabel="loss (nats)", xscale="log", ylim=(0, 1.6 * float(test.losses[0])))
        axis.figure.legend(frameon=False, loc="outside upper left", ncols=2, columnspacing=1)
    stop = "It ran to the highest rate." if test.stopped is None else f"It stopped there: {test.stopped}."
    suggestion = "none" if test.suggestion is None else f"{test.suggestion:.2g}"
    return (
        f"`fastopt.training.learning_rate_range_test` on the network of the picture above: a step of SGD at each rate from {LOW:g} on, "
        f"up to {HIGH:g} in {steps} steps. Its suggestion, the lower one of the first two lines: {suggestion}. {stop}"
    )
