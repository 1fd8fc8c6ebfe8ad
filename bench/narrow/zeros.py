"""A second moment that is rounded to zero, beside one coordinate of its block with much larger gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import fastopt

from ..arrays import Array
from ..drawing import LETTERS, WIDTH, figure
from .effort import Effort
from .models import LOOKS, Blocks, ModelAdam
from .noise import COUNT, normal, optimizer, root_mean
from .storages import FLOAT32, here, look_of, said

__all__ = ["CODES", "LR", "SIZE", "TITLE", "draw", "modelled", "stored", "updates"]

TITLE = "A second moment must not round to zero"

CODES = {"model, 0 is what rounds to it": Blocks(least=0), "model, 0 is an exact zero": Blocks(least=1)}

SIZE, LARGER, BLOCK, LR = 1e-4, 1_000.0, 32, 1e-3
"""Of the gradients, how many times larger they are at the first coordinate of each block, that block, and the learning rate."""

STEPS, POINTS = 300, 36
"""Steps, and the most points of a line."""


def updates(made: Any, p: Array, steps: int) -> Array:
    """The root mean square of each step's update over the learning rate, without the coordinates whose gradients are large."""
    sizes = np.full(COUNT, SIZE)
    sizes[::BLOCK] *= LARGER
    others = np.arange(COUNT) % BLOCK != 0
    found = []
    for gradient in normal(steps, sizes):
        before = p.copy()
        made.step(gradient)
        found.append(root_mean(np.square((p - before)[others] / LR)))
    return np.array(found)


def modelled(storage: Blocks, steps: int) -> Array:
    """Under a model's storage."""
    p = np.zeros(COUNT, np.float32)
    return updates(ModelAdam(p, storage, lr=LR), p, steps)


def stored(given: Any, steps: int) -> Array:
    """Under one of the package's."""
    made = optimizer(fastopt.Adam, given, lr=LR)
    return updates(made, made.params, steps)


def smoothed(values: Array) -> tuple[Array, Array]:
    """The root mean squares of stretches that become longer as steps do, and the steps that these end at."""
    ends = np.unique(np.geomspace(1, len(values), POINTS).round().astype(int))
    return ends, np.array([root_mean(np.square(part)) for part in np.split(values, ends[:-1])])


def draw(path: Path, effort: Effort) -> str:
    """Draws a line for each."""
    steps = min(STEPS, effort.steps)
    lines = {given.label: stored(given, steps) for given in here()} | {name: modelled(storage, steps) for name, storage in CODES.items()}
    drawn = dict(zip(CODES, LOOKS, strict=False))
    with figure(path, WIDTH, 6.2, size=LETTERS) as (axis,):
        for k, (name, values) in enumerate(lines.items()):
            at, values = smoothed(values)
            if name == FLOAT32.label:
                axis.plot(at, values, color="#bbbbbb", lw=9, solid_capstyle="round", label=name)
                continue
            style = "--" if name in CODES else "-"
            axis.plot(at, values, style, lw=2, ms=8, markevery=(3 + 2 * k, 8), label=name, **(drawn.get(name) or look_of(name)))
        axis.set(xscale="log", yscale="log", xlabel="step", ylabel="update over learning rate")
        axis.figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    last = "; ".join(f"{name} {np.median(values[-steps // 3 :]):.2g}" for name, values in lines.items())
    return (
        f"Adam (eps 1e-8) under normal gradients of size {SIZE:g}, which at one coordinate of {BLOCK} are {LARGER:,.0f} times as large. "
        "Drawn are the updates of all others, as root mean squares in learning rates. The root of their v is a thousandth of the "
        "largest, less than half of the smallest step that eight bits can make: where such a v becomes 0, m is divided by eps alone. "
        "Where code 0 stands for an exact zero, v is too large instead and the update too small, which is safe. Medians of the last "
        f"third: {last}. The models are NumPy's (`bench/narrow/models.py`), all else is the package's own. float16 does the same without "
        f"any block, as the squares of such gradients are below its smallest number.{said()}"
    )
