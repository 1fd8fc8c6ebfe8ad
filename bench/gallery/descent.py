"""Batch, mini-batch and stochastic descent: their ways over two parameters, and the loss over passes through the data."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import fastopt
from fastopt.training import Batches

from ..arrays import Array
from ..drawing import GREY, INK, LETTERS, WIDTH, contours, figure, looks, path_on
from ..losses import mean_squared_error
from .runs import SEED

__all__ = ["KINDS", "TITLE", "Descent", "descend", "draw", "loss_of", "regression"]

TITLE = "Batch, mini-batch and stochastic descent"

SAMPLES, LR = 442, 0.05
START = (-0.75, 0.95)
X, Y = (-1.1, 1.3), (-0.7, 1.5)

KINDS: dict[str, tuple[int | None, float]] = {"full batch": (None, 40), "mini-batches of 64": (64, 10), "one by one": (1, 1)}
"""Samples of a step, and how many passes of the path are drawn."""


class Descent(NamedTuple):
    """A run."""

    points: Array
    """The parameters before the first step and after each, of shape (steps + 1, 2)."""

    losses: Array
    """Of all samples at each of them."""

    passes: Array
    """How many times the data had been gone through at each."""

    seconds: float
    """What a pass took, without that loss."""


def regression() -> tuple[Array, Array]:
    """Two features of scikit-learn's 442 diabetes patients, body mass and a blood serum value, and how far the disease went in a year.

    All have mean 0 and variance 1. (Efron et al., Least angle regression, 2004.)
    """
    from sklearn.datasets import load_diabetes

    data, target = load_diabetes(return_X_y=True)
    columns = np.column_stack([data[:, 2], data[:, 8], target])
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    return np.ascontiguousarray(columns[:, :2]), np.ascontiguousarray(columns[:, 2])


def descend(batch_size: int | None, epochs: int) -> Descent:
    """SGD on the mean squared error; None is all samples at once."""
    x, y = regression()
    w = np.array(START)
    optimizer = fastopt.SGD(w, lr=LR)
    batches = Batches(x, y, batch_size=batch_size or len(x), seed=SEED)
    points, passes, took = [w.copy()], [0.0], 0.0
    for epoch in range(epochs):
        seen = 0
        start = time.perf_counter()
        for own_x, own_y in batches.epoch(epoch):
            _, delta = mean_squared_error(own_x @ w, own_y)
            optimizer.step(own_x.T @ delta)
            seen += len(own_x)
            points.append(w.copy())
            passes.append(epoch + seen / len(x))
        took += time.perf_counter() - start
    found = np.array(points)
    losses = np.square(found @ x.T - y).mean(axis=1)
    return Descent(found, losses, np.array(passes), took / epochs)


def loss_of(x: Array, y: Array) -> tuple[Array, float, Callable[[Array, Array], Array]]:
    """Where the loss is lowest, how low it is there, and the loss of all samples as a function of the two weights."""
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    least = float(np.square(x @ best - y).mean())
    products = x.T @ x / len(x)

    def loss(a: Array, b: Array) -> Array:
        u, v = a - best[0], b - best[1]
        found: Array = least + products[0, 0] * u * u + 2.0 * products[0, 1] * u * v + products[1, 1] * v * v
        return found

    return best, least, loss


def draw(path: Path, epochs: int = 40) -> str:
    """Draws a path for each, and the losses of all."""
    best, least, loss = loss_of(*regression())
    runs = {name: descend(size, epochs) for name, (size, _) in KINDS.items()}
    with figure(path, WIDTH, 6.4, 2, size=LETTERS, rows=2) as axes:
        for axis, (name, look) in zip(axes, looks(KINDS).items(), strict=False):
            run, shown = runs[name], KINDS[name][1]
            contours(axis, loss, X, Y, [least + (0.12 * k) ** 2 for k in range(1, 14)])
            path_on(axis, run.points[run.passes <= shown], {**look, "marker": "."}, ms=3)
            axis.plot(*best, "+", ms=12, mew=2, color=INK, zorder=6)
            axis.set(xlabel="weight of body mass", ylabel="weight of serum", xticks=[-1, 0, 1], yticks=[0, 1])
            axis.set_title(f"{name},\n{np.count_nonzero(run.passes <= shown) - 1} steps", loc="left", fontsize="medium")
        axis = axes[-1]
        for name, look in reversed(looks(KINDS).items()):  # the widest below the others
            run = runs[name]
            every = max(1, len(run.losses) // 2000)
            above = run.losses - least
            axis.plot(run.passes[1::every], above[1::every], color=look["color"], lw=0.8 if name == "one by one" else 2.5)
            size = KINDS[name][0] or SAMPLES
            axis.annotate(f"{size}", (run.passes[1], above[1]), xytext=(0, 5), textcoords="offset points", color=look["color"], ha="center")
        axis.set(xscale="log", yscale="log", xlabel="passes through the data", ylabel="loss - minimum", ylim=(None, 10))
        axis.set_title("all three,\nby samples a step", loc="left", fontsize="medium")
        axis.axvline(1, color=GREY, lw=1, ls=":")
    times = ", ".join(f"{name} {run.seconds * 1e3:.2g} ms" for name, run in runs.items())
    return (
        f"A linear regression with two weights on scikit-learn's diabetes data (442 patients, all standardized), `fastopt.SGD` with a "
        f"learning rate of {LR} each time. Ring: start; square: end of what is drawn; +: the least squares solution; the loss is the mean "
        "squared error, in variances of the target. At the dotted line, after one pass, the stochastic run has made 442 steps and the "
        "full batch one; but one by one it never settles, and the full batch goes smoothly. A pass took, on the machine that drew this: "
        f"{times}."
    )
