"""Moving averages and sums in bfloat16, rounded to nearest: they stand still."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastopt

from ..arrays import Array
from ..drawing import GREY, LETTERS, WIDTH, figure
from .effort import Effort
from .noise import COUNT, DROP, dropping, normal, optimizer, root_mean, watched
from .storages import FLOAT32, Given, here, look_of, numbers_of, said

__all__ = ["TITLE", "draw", "farthest", "roots", "sums", "times"]

TITLE = "A second moment that stands still"

POINTS = 100


def roots(given: Given, steps: int, beta2: float = 0.999) -> tuple[Array, Array]:
    """The root of the mean of Adam's v, under gradients that become ten times smaller on the way."""
    made = optimizer(fastopt.Adam, given, betas=(0.9, beta2))
    return watched(made, dropping(steps), max(1, steps // POINTS), lambda: root_mean(numbers_of(made, "v")[0]))


def sums(given: Given, steps: int) -> tuple[Array, Array]:
    """The mean of AdaGrad's sums, under normal gradients."""
    made = optimizer(fastopt.AdaGrad, given)
    return watched(made, normal(steps), max(1, steps // POINTS), lambda: root_mean(numbers_of(made, "h")[0]) ** 2)


def times(found: dict[str, tuple[Array, Array]]) -> str:
    """What each storage comes to in the end, times float32."""
    last = {name: float(values[-1]) for name, (_, values) in found.items()}
    return "; ".join(f"{name} {value / last[FLOAT32.label]:.3g}" for name, value in last.items() if name != FLOAT32.label)


def farthest(found: dict[str, tuple[Array, Array]]) -> str:
    """The factor by which each storage is the farthest from float32 on the way."""
    _, beside = found[FLOAT32.label]
    factors = {name: np.exp(np.abs(np.log(values / beside)).max()) for name, (_, values) in found.items() if name != FLOAT32.label}
    return "; ".join(f"{name} {factor:.3g}" for name, factor in factors.items())


def draw(path: Path, effort: Effort) -> str:
    """Draws both."""
    of_adam = {given.label: roots(given, effort.steps) for given in here()}
    quicker = {given.label: roots(given, effort.steps, beta2=0.95) for given in here()}
    of_adagrad = {given.label: sums(given, effort.steps) for given in here()}
    with figure(path, WIDTH, 8.6, size=LETTERS, rows=2) as (above, below):
        for axis, found in ((above, of_adam), (below, of_adagrad)):
            for k, (name, (steps, values)) in enumerate(found.items()):
                if name == FLOAT32.label:
                    axis.plot(steps, values, color="#bbbbbb", lw=9, solid_capstyle="round", label=name)
                else:
                    axis.plot(steps, values, "-", lw=2, ms=7, markevery=(2 * k, 12), label=name, **look_of(name))
        above.axvline(DROP * effort.steps, color=GREY, lw=1, ls=":")
        above.set(yscale="log", ylabel="root of v", xlabel="step", ylim=(0.08, 1.6), yticks=[0.1, 1.0], yticklabels=["0.1", "1"])
        above.set_title("Adam, β₂ = 0.999; smaller gradients from the dots on", loc="left", fontsize="medium")
        below.set(ylabel="sum of squares", xlabel="step")
        below.set_title("AdaGrad, the same gradients all along", loc="left", fontsize="medium")
        above.figure.legend(*above.get_legend_handles_labels(), frameon=False, loc="outside upper left", ncols=2)
    return (
        f"{COUNT:,} elements under normal gradients of size 1, and the mean of their states over {effort.steps:,} steps of the package's "
        "own optimizers. Rounded to nearest, a change of less than half a unit in the last place is lost, which in bfloat16 is 0.2 to "
        "0.4 %. At β₂ = 0.999 a step hardly ever has more: v follows its gradients neither up nor down, and updates stay as small as the "
        f"large gradients had made them. The root of v in the end, times float32's: {times(of_adam)}. At β₂ = 0.95 it is "
        f"{times(quicker)}. AdaGrad's sum loses every square that is less than half a unit of it; in the end it is, times float32's: "
        f"{times(of_adagrad)}.{said()}"
    )
