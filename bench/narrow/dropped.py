"""Weight decay that a narrow kernel drops, as it takes the gradient from memory once more after it was added."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastopt

from ..arrays import Array
from ..drawing import LETTERS, WIDTH, figure
from .effort import Effort
from .models import LOOKS, ModelRMSProp
from .noise import COUNT, normal, watched
from .storages import FLOAT32, Given, built, here, look_of, said

__all__ = ["DECAY", "LR", "MODELS", "TITLE", "draw", "modelled", "stored"]

TITLE = "Decay has to go through the same pass"

LR, DECAY = 1e-3, 1.0

MODELS = {"model, gradient read again": True, "model, read once": False}

POINTS = 100


def stored(given: Given, steps: int) -> tuple[Array, Array]:
    """The mean of parameters that begin at 1, under the package's RMSProp with weight decay and normal gradients."""
    made = built(fastopt.RMSProp, np.ones(COUNT, np.float32), given, lr=LR, weight_decay=DECAY, num_threads=1)
    return watched(made, normal(steps), max(1, steps // POINTS), lambda: float(made.params.mean()))


def modelled(again: bool, steps: int) -> tuple[Array, Array]:
    """The same under a model's."""
    made = ModelRMSProp(np.ones(COUNT, np.float32), LR, DECAY, again)
    return watched(made, normal(steps), max(1, steps // POINTS), lambda: float(made.p.mean()))


def draw(path: Path, effort: Effort) -> str:
    """Draws a line for each."""
    found = {given.label: stored(given, effort.steps) for given in here()}
    found |= {name: modelled(again, effort.steps) for name, again in MODELS.items()}
    drawn = dict(zip(MODELS, LOOKS, strict=False))
    with figure(path, WIDTH, 5.8, size=LETTERS) as (axis,):
        for k, (name, (steps, means)) in enumerate(found.items()):
            if name == FLOAT32.label:
                axis.plot(steps, means, color="#bbbbbb", lw=9, solid_capstyle="round", label=name)
                continue
            look = drawn.get(name) or look_of(name)
            axis.plot(steps, means, "--" if name in MODELS else "-", lw=2, ms=7, markevery=(5 + 2 * k, 20), label=name, **look)
        axis.set(xlabel="step", ylabel="mean of the parameters", ylim=(-0.05, 1.25))
        axis.figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    last = "; ".join(f"{name} {means[-1]:.2g}" for name, (_, means) in found.items())
    return (
        f"RMSProp with a weight decay of {DECAY:g} in the gradient, a rate of {LR:g} and normal gradients of size 1, over parameters that "
        "begin at 1. A kernel that decodes states in one loop and updates in another is easily written so that the second takes the "
        "gradient from memory again: the decay is gone then, as clipping would be, and nothing else tells of it (bitsandbytes' 8-bit "
        f"RMSProp drops it). The package's kernels read a gradient once, whatever the storage. Means in the end: {last}.{said()}"
    )
