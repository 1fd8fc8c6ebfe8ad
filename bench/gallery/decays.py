"""The learning rates that the lectures' decays give, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import fastopt
from fastopt import schedules
from fastopt.schedules import Schedule

from ..arrays import Array
from ..drawing import COLOURS, LETTERS, WIDTH, figure

__all__ = ["DECAYS", "EPOCHS", "FIRST", "TITLE", "Decay", "Hand", "draw", "panels", "rates", "start", "turn"]

TITLE = "Decays of the learning rate"

FIRST, EPOCHS = 2.0, 100
"""The learning rate that all begin with, alpha, and how many epochs there are."""

Hand = Mapping[int, float]
"""Learning rates that are set by hand, each before the epoch that stands there."""

Decay = Schedule | Hand

DECAYS: dict[str, Callable[[int], Decay]] = {
    "constant": lambda n: schedules.Constant(FIRST),
    "1 / (1 + 0.1 e)": lambda n: schedules.ByEpoch(schedules.InverseTime(FIRST, 0.1), n),
    "0.95^e": lambda n: schedules.ByEpoch(schedules.Exponential(FIRST, 0.95), n),
    "1 / √epoch": lambda n: schedules.ByEpoch(schedules.InverseSqrt(FIRST), n),
    "4 / √batch": lambda n: schedules.InverseSqrt(FIRST, k=4.0, offset=16),
    "halved": lambda n: schedules.ByEpoch(schedules.Staircase(FIRST, 20), n),
    "x 0.1, thrice": lambda n: schedules.ByEpoch(schedules.MultiStep(FIRST, (30, 60, 90)), n),
    "linear": lambda n: schedules.Linear(FIRST, EPOCHS * n),
    "cosine": lambda n: schedules.Cosine(FIRST, EPOCHS * n),
    "warm, cosine": lambda n: schedules.Warmup(10 * n, schedules.Cosine(FIRST, (EPOCHS - 10) * n)),
    "warm, 1 / √": lambda n: schedules.Warmup(10 * n, schedules.ByEpoch(schedules.InverseSqrt(FIRST), n)),
    "by hand": lambda n: {0: FIRST, 40: 0.5, 70: 0.05},
}
"""What each panel is called, and what it is where an epoch has n steps; e is the number of the epoch, counted from 0."""


def start(decay: Decay) -> Any:
    """What an optimizer is given as its `lr` in the beginning."""
    return decay if isinstance(decay, Schedule) else decay[0]


def turn(decay: Decay, optimizer: Any, epoch: int) -> None:
    """Sets the rate where it is done by hand, and then."""
    if not isinstance(decay, Schedule) and epoch in decay:
        optimizer.lr = decay[epoch]


def rates(decay: Decay, epochs: int, steps: int) -> Array:
    """The rate of each epoch's first step, as an optimizer has it that makes `steps` steps an epoch."""
    nothing = np.zeros(1)
    optimizer = fastopt.SGD(np.zeros(1), lr=start(decay))
    found = []
    for epoch in range(epochs):
        turn(decay, optimizer, epoch)
        found.append(float(optimizer.lr))
        for _ in range(steps):
            optimizer.step(nothing)
    return np.array(found)


def panels(path: Path, lines: Mapping[str, Array], ylabel: str, pale: Callable[[str], list[str]], **scale: Any) -> None:
    """A panel for each of twelve lines over the epochs, with others that it is to be compared with in grey behind it."""
    with figure(path, WIDTH, 9.0, 3, size=LETTERS, rows=4, shared=True) as axes:
        for k, (axis, (name, line)) in enumerate(zip(axes, lines.items(), strict=True)):
            for other in pale(name):
                axis.plot(lines[other], color="#bbbbbb", lw=1.2)
            axis.plot(line, color=COLOURS[0], lw=3)
            axis.set_title(name, loc="left", fontsize="medium")
            axis.set(xlabel="epoch" if k >= 9 else "", **scale)
            axis.margins(x=0.02)
        axes[0].figure.supylabel(ylabel, fontsize=LETTERS)


def draw(path: Path, epochs: int = EPOCHS, steps: int = 29) -> str:
    """Draws a panel for each, with the others in grey behind it."""
    lines = {name: rates(decay(steps), epochs, steps) for name, decay in DECAYS.items()}
    panels(path, lines, "learning rate", lambda name: [other for other in lines if other != name], ylim=(0, 1.06 * FIRST))
    return (
        f"Schedules of `fastopt.schedules` over {epochs} epochs of {steps} steps, as an optimizer has them, each in blue before all "
        f"others in grey. All are times {FIRST:g}, and e is the epoch, from 0 on: `InverseTime`, `Exponential`, `InverseSqrt` by epoch and "
        "by batch (4 / √(t + 16), t steps made), `Staircase` (halved every 20 epochs), `MultiStep` (x 0.1 at epochs 30, 60 and 90), "
        "`Linear`, `Cosine`, two of them after a `Warmup` of 10 epochs; and numbers that are set by hand while training runs "
        "(`opt.lr = 0.5` at epoch 40, 0.05 at epoch 70)."
    )
