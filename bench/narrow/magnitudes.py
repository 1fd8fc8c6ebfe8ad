"""The sizes of gradients that a storage of Adam's states can do with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastopt

from ..arrays import Array
from ..drawing import LETTERS, WIDTH, figure
from .effort import Effort
from .noise import normal, optimizer, root_mean
from .storages import FLOAT32, Given, here, look_of, said

__all__ = ["SIZES", "TITLE", "draw", "updates"]

TITLE = "The range of gradients"

SIZES = 10.0 ** np.arange(-7, 7.5, 0.5)
"""Standard deviations of the gradients."""

LR, STEPS = 1e-3, 100

TIMES = 2.0
"""How many times larger or smaller than float32's an update is that is no longer told right."""


def updates(given: Given, steps: int) -> Array:
    """The root mean square of the last step's update over the learning rate, for each size of gradients."""
    found = []
    for size in SIZES:
        made = optimizer(fastopt.Adam, given, lr=LR)
        with np.errstate(all="ignore"):
            for gradient in normal(steps, size):
                before = made.params.copy()
                made.step(gradient)
            found.append(root_mean(np.square((made.params - before) / LR)))
    return np.array(found)


def draw(path: Path, effort: Effort) -> str:
    """Draws a line for each storage."""
    steps = min(STEPS, effort.steps)
    lines = {given.label: updates(given, steps) for given in here()}
    beside = lines[FLOAT32.label]
    ranges = []
    with figure(path, WIDTH, 5.6, size=LETTERS) as (axis,):
        for k, (name, values) in enumerate(lines.items()):
            if name == FLOAT32.label:
                axis.plot(SIZES, values, color="#bbbbbb", lw=9, solid_capstyle="round", label=name)
                continue
            shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
            axis.plot(SIZES, shown, "-", lw=2, ms=7, markevery=(k, 4), label=name, **look_of(name))
            with np.errstate(all="ignore"):
                right = np.abs(np.log(values / beside)) < np.log(TIMES)
            ranges.append(f"{name} {_ranges(right)}")
        axis.set(xscale="log", yscale="log", xlabel="size of the gradients", ylabel="update over learning rate")
        axis.figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    return (
        f"Adam's update at step {steps} (root mean square, in learning rates; eps 1e-8) over the size of the gradients, on which it "
        f"should hardly depend. v is a square and needs twice the range that gradients have. Within {TIMES:g} times of float32, of "
        f"{SIZES[0]:.0e} to {SIZES[-1]:.0e}: {'; '.join(ranges)}. Below its range a float16 is 0, and m is divided by eps alone; beyond "
        f"it v is infinite and nothing moves, where the line ends, and at last m is infinite too, and no number is left.{said()}"
    )


def _ranges(right: Array) -> str:
    """From the first to the last size that is all right."""
    if right.all():
        return "all"
    return f"{SIZES[right].min():.0e} to {SIZES[right].max():.0e}" if right.any() else "none"
