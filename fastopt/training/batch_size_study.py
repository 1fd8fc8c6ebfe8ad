"""The best learning rate for each batch size: larger batches take larger rates, and this measures how much larger."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastopt import arguments
from fastopt.rules.domain import describe
from fastopt.training.drawing import axes
from fastopt.training.progress import tracked
from fastopt.training.table import table

__all__ = ["BatchSizeResult", "BatchSizeStudy", "study_batch_sizes"]

GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class BatchSizeResult:
    """What was found for one batch size.

    Attributes
    ----------
    batch_size
        Samples in a mini-batch.
    lr, loss
        The rate of the lowest loss, and that loss; NaN if no rate had one.
    trials
        Every rate that was tried and its loss, by rate; a loss is infinite where training diverged.
    at_edge
        Whether it is the lowest or the highest rate of the range: the best one may lie beyond.
    """

    batch_size: int
    lr: float
    loss: float
    trials: list[tuple[float, float]]
    at_edge: bool


@dataclass(frozen=True)
class BatchSizeStudy:
    """What was found for all batch sizes."""

    results: list[BatchSizeResult]

    @property
    def slope(self) -> float | None:
        """The slope of log(best rate) on log(batch size), by least squares; None for fewer than two batch sizes with a best rate.

        1 is a rate proportional to the batch size (Goyal et al., Accurate, large minibatch SGD, 2017), 1/2 one to its root (Krizhevsky, One
        weird trick, 2014). Results at an edge of the range are left out: their best rates are not known.
        """
        points = [(math.log(own.batch_size), math.log(own.lr)) for own in self.results if not math.isnan(own.lr) and not own.at_edge]
        if len({x for x, _ in points}) < 2:
            return None
        x, y = np.array(points).T
        return float(np.dot(x - x.mean(), y - y.mean()) / np.dot(x - x.mean(), x - x.mean()))

    def table(self) -> str:
        """A row for each batch size, as text."""
        rows = [[str(own.batch_size), f"{own.lr:.4g}", f"{own.loss:.6g}", str(len(own.trials)), self._note(own)] for own in self.results]
        return table(["batch size", "best rate", "loss", "trials", "note"], rows)

    @staticmethod
    def _note(own: BatchSizeResult) -> str:
        if math.isnan(own.lr):
            return "every rate diverged"
        return "at the edge of the range" if own.at_edge else ""

    def __str__(self) -> str:
        return self.table()

    def plot(self, ax: Any = None) -> Any:
        """Draws loss over learning rate, a line for each batch size with its best rate marked; answers the axes."""
        ax = axes(ax, "learning rate", "loss")
        for own in self.results:
            finite = [(lr, loss) for lr, loss in own.trials if math.isfinite(loss)]
            (line,) = ax.plot(*np.array(finite).reshape(-1, 2).T, marker=".", label=f"batch {own.batch_size}")
            if not math.isnan(own.lr):
                ax.plot([own.lr], [own.loss], marker="o", color=line.get_color())
        ax.legend()
        return ax


def study_batch_sizes(
    train: Callable[[int, float], float],
    batch_sizes: Sequence[int],
    *,
    low: float = 1e-4,
    high: float = 10.0,
    points: int = 6,
    refine: int = 4,
    progress: bool = True,
) -> BatchSizeStudy:
    """Finds the best learning rate for each batch size.

    First a grid of rates, evenly apart on the log scale; then a golden-section search on that scale between the neighbours of the grid's
    best.

    Parameters
    ----------
    train
        Trains anew with a batch size and a learning rate, and answers the loss in the end. It has to go through the same number of
        samples whatever the batch size (a fixed number of epochs), and begin with the same parameters: else batch sizes are not compared.
        An ArithmeticError (`Diverged`, FloatingPointError, OverflowError) and a loss that is not finite both count as a rate that diverges.
    batch_sizes
        At least one, each >= 1 and once.
    low, high
        The range of rates, 0 < low < high.
    points
        Rates of the grid, >= 3.
    refine
        Rates of the search after it; 0 is the grid alone.
    progress
        Show how far it has come (`tracked`).

    `train` is called `points + refine` times for each batch size. Raises TypeError or ValueError for arguments that cannot be used, and for
    a `train` that answers no number.
    """
    if not callable(train):
        raise TypeError(f"train: expected a function of a batch size and a learning rate, received {describe(train)}")
    if isinstance(batch_sizes, str | bytes) or not isinstance(batch_sizes, Sequence | np.ndarray) or len(batch_sizes) == 0:
        raise TypeError(f"batch_sizes: expected a sequence of at least one integer, received {describe(batch_sizes)}")
    sizes = [arguments.whole_number(size, f"batch_sizes[{i}]", 1) for i, size in enumerate(batch_sizes)]
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"batch_sizes: expected each once, received {describe(batch_sizes)}")
    low = arguments.positive(low, "low")
    high = arguments.positive(high, "high", low)
    points, refine = arguments.whole_number(points, "points", 3), arguments.whole_number(refine, "refine", 0)
    grid = np.geomspace(low, high, points).tolist()
    runs = iter(tracked(range(len(sizes) * (points + refine)), "batch-size study", show=progress))

    def loss_at(size: int, lr: float) -> float:
        next(runs)
        try:
            loss = arguments.any_number(train(size, lr), "train")
        except ArithmeticError:
            return math.inf
        return loss if math.isfinite(loss) else math.inf

    results = [_studied(size, grid, refine, loss_at) for size in sizes]
    next(runs, None)  # so that the bar is closed
    return BatchSizeStudy(results)


def _studied(size: int, grid: list[float], refine: int, loss_at: Callable[[int, float], float]) -> BatchSizeResult:
    trials = [(lr, loss_at(size, lr)) for lr in grid]
    losses = [loss for _, loss in trials]
    best = losses.index(min(losses))
    ends = math.log(grid[max(best - 1, 0)]), math.log(grid[min(best + 1, len(grid) - 1)])
    trials += _golden(*ends, refine, lambda scaled: loss_at(size, math.exp(scaled)))
    trials.sort()
    lr, loss = min(trials, key=lambda trial: trial[1])
    if math.isinf(loss):
        lr = loss = math.nan
    return BatchSizeResult(size, lr, loss, trials, lr in (grid[0], grid[-1]))


def _golden(low: float, high: float, steps: int, loss_at: Callable[[float], float]) -> list[tuple[float, float]]:
    """Golden-section search (Kiefer 1953): the rates of so many evaluations and their losses."""
    tried: list[tuple[float, float]] = []

    def at(scaled: float) -> float:
        tried.append((math.exp(scaled), loss_at(scaled)))
        return tried[-1][1]

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left = at(left) if steps > 0 else math.nan
    at_right = at(right) if steps > 1 else math.nan
    while len(tried) < steps:
        # of two that diverge, the lower rate is nearer to the good ones
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = at(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = at(right)
    return tried
