"""The regimes of the learning rate: one network at four rates, named by what `fastopt.training.regimes_of` reads from the losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fastopt
from fastopt.training import regimes_of

from ..drawing import LETTERS, WIDTH, figure, looks
from ..workloads import digits
from .runs import SEED, epochs_of

__all__ = ["RATES", "TITLE", "draw", "losses"]

TITLE = "Four learning rates: very high, high, good, low"

RATES = (30.0, 2.0, 0.1, 0.01)
HIDDEN, BATCH = (32, 32), 64


def losses(rates: Sequence[float], epochs: int) -> dict[float, list[float]]:
    """The losses of all digits along a run at each rate, from the same start over the same mini-batches."""
    workload, found = digits(), {}
    for rate in rates:
        network = workload.network(HIDDEN)
        params = network.initial_params(SEED)
        run = epochs_of(network, params, fastopt.SGD(params, lr=rate), workload, batch_size=BATCH, epochs=epochs)
        found[rate] = list(run)
    return found


def draw(path: Path, epochs: int = 30) -> str:
    """Draws the four, and their verdicts."""
    histories = losses(RATES, epochs)
    verdicts = regimes_of(histories)
    with figure(path, WIDTH, 5.4, size=LETTERS) as (axis,):
        for rate, look in zip(histories, looks(map(str, histories)).values(), strict=True):
            every = max(1, epochs // 6)
            axis.plot(histories[rate], label=f"{rate:g}: {verdicts[rate].regime}", lw=2.2, ms=8, markevery=every, **look)
        axis.set(xlabel="epoch (29 steps of 64 digits)", ylabel="loss of all digits (nats)", yscale="log")
        axis.figure.legend(title="learning rate: verdict", frameon=False, loc="outside upper left", ncols=2, alignment="left")
    said = "; ".join(f"**{rate:g}** {verdicts[rate].regime}: {verdicts[rate].cause}" for rate in RATES)
    return (
        "A perceptron of two hidden layers of 32 on scikit-learn's digits, `fastopt.SGD`, mini-batches of 64. The names are not given: "
        f"`fastopt.training.regimes_of` reads them from the losses. What it says: {said}."
    )
