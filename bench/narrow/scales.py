"""Blocks of eight-bit codes whose scales are narrow themselves: then the scales stand still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ..arrays import Array
from ..drawing import GREY, LETTERS, WIDTH, figure
from .effort import Effort
from .models import LOOKS, Blocks, ModelAdam
from .noise import COUNT, DROP, dropping, root_mean, watched
from .standing import farthest, roots, times
from .storages import FLOAT32, STORAGES, here, look_of

__all__ = ["SCALES", "TITLE", "draw", "modelled"]

TITLE = "The scale of a block has to be float32"

SCALES: dict[str, Any] = {
    "model, float32 scales": np.float32,
    "model, bfloat16 scales": ml_dtypes.bfloat16,
    "model, float16 scales": np.float16,
}

POINTS = 100


def modelled(scale: Any, steps: int, beta2: float = 0.999) -> tuple[Array, Array]:
    """The root of the mean of v in blocks of 32 whose scales are of a dtype, under gradients that become ten times smaller on the way."""
    made = ModelAdam(np.zeros(COUNT, np.float32), Blocks(scale), beta2=beta2)
    return watched(made, dropping(steps), max(1, steps // POINTS), lambda: root_mean(made.v))


def draw(path: Path, effort: Effort) -> str:
    """Draws a line for each, beside the package's own blocks."""
    own = [given for given in here() if given is FLOAT32 or given is STORAGES[-1]]
    found = {given.label: roots(given, effort.steps) for given in own}
    found |= {name: modelled(scale, effort.steps) for name, scale in SCALES.items()}
    slower = {FLOAT32.label: roots(FLOAT32, effort.steps, 0.9999)}
    slower |= {name: modelled(scale, effort.steps, 0.9999) for name, scale in SCALES.items()}
    with figure(path, WIDTH, 5.4, size=LETTERS) as (axis,):
        model_looks = iter(LOOKS)
        for k, (name, (steps, values)) in enumerate(found.items()):
            if name == FLOAT32.label:
                axis.plot(steps, values, color="#bbbbbb", lw=9, solid_capstyle="round", label=name)
                continue
            look = next(model_looks) if name in SCALES else look_of(name)
            axis.plot(steps, values, "-" if name not in SCALES else "--", lw=2, ms=7, markevery=(5 + k, 12), label=name, **look)
        axis.axvline(DROP * effort.steps, color=GREY, lw=1, ls=":")
        axis.set(yscale="log", ylabel="root of v", xlabel="step", ylim=(0.08, 1.6), yticks=[0.1, 1.0], yticklabels=["0.1", "1"])
        axis.figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    return (
        "The first run of the picture above once more, with v in eight bits an element and a scale for each block of 32, by a model in "
        "NumPy (`bench/narrow/models.py`): the package has no such scales. A scale is the largest root of its block, and so a moving "
        f"average like any other, which stands still in few bits. The root of v in the end, times float32's: {times(found)}. At β₂ = "
        f"0.9999 the farthest on the way, either way: {farthest(slower)}. The codes are coarser than a bfloat16, and follow all the same "
        "as long as their scale has the bits of a float32. That costs an eighth of a byte a parameter in blocks of 32, and a 64th in "
        "blocks of 256."
    )
