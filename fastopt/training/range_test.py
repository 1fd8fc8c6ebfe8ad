"""The learning-rate range test: the rate is raised from step to step, and the loss says which rates are of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.rules.domain import UNIT, describe
from fastopt.training.average import ExponentialAverage, smoothed
from fastopt.training.divergence import DivergenceDetector
from fastopt.training.drawing import axes
from fastopt.training.progress import tracked
from fastopt.training.snapshot import Snapshot
from fastopt.training.verdict import Verdict

__all__ = ["RangeTest", "learning_rate_range_test"]

LEAST = 5
"""Fewer losses have no slope to speak of."""

UNSETTLED = 10
"""The first tenth of the steps have a loss that is hardly smoothed; none is suggested from there."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test has found.

    Attributes
    ----------
    rates, losses
        The learning rate of each step, and the loss it answered (the loss before its update, as a rule).
    smoothed
        The average of the losses so far, at each step.
    beta
        Of that average.
    stopped
        Why it ended before the highest rate; None if it did not.

    `smoothed` lags behind the losses, by beta / (1 - beta) steps: nine for 0.9, in which the rate grows five times in the default range.
    So what is suggested comes from an average that does not (`fastopt.training.smoothed`, centred), of the losses up to where `smoothed`
    is lowest: those after it may explode, and a centred average would have them in it before they come.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    beta: float
    stopped: Verdict | None

    @property
    def minimum(self) -> float | None:
        """The rate at which the loss was lowest: too high to train with. None if it never fell."""
        centred = self._centred
        return None if centred is None else float(self.rates[centred.argmin()])

    @property
    def tenth_of_minimum(self) -> float | None:
        """A tenth of `minimum`, the rule of thumb."""
        return None if self.minimum is None else self.minimum / 10.0

    @property
    def steepest(self) -> float | None:
        """The rate at which the loss fell the most for a step of the rate's logarithm. None if it never fell."""
        centred = self._centred
        if centred is None:
            return None
        slopes = np.gradient(centred, np.log(self.rates[: len(centred)]))
        start = min(len(self.rates) // UNSETTLED, len(centred) - 2)
        return float(self.rates[start + int(np.argmin(slopes[start:]))])

    @property
    def suggestion(self) -> float | None:
        """The lower one of `steepest` and `tenth_of_minimum`: a rate to begin with. None if the loss never fell."""
        if self.steepest is None or self.tenth_of_minimum is None:
            return None
        return min(self.steepest, self.tenth_of_minimum)

    @property
    def _centred(self) -> NDArray[np.float64] | None:
        """The losses up to the lowest average, averaged without a lag; None where there is no descent in them."""
        if len(self.rates) < LEAST:
            return None
        lowest = int(np.argmin(self.smoothed))
        centred = smoothed(self.losses[: lowest + 1], self.beta, centred=True)
        return centred if centred.argmin() > 0 else None

    def plot(self, ax: Any = None) -> Any:
        """Draws losses, smoothed losses and the suggestions on matplotlib's axes (new ones if none are given); answers the axes."""
        ax = axes(ax, "learning rate", "loss")
        ax.plot(self.rates, self.losses, linewidth=0.5, label="loss")
        ax.plot(self.rates, self.smoothed, label="smoothed")
        for name, rate, style in (("steepest", self.steepest, "--"), ("minimum / 10", self.tenth_of_minimum, ":")):
            if rate is not None:
                ax.axvline(rate, linestyle=style, color="grey", label=f"{name}: {rate:.2g}")
        ax.legend()
        return ax


def learning_rate_range_test(
    step: Callable[[float], float],
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    *,
    beta: float = 0.9,
    stop_factor: float = 4.0,
    optimizer: Any = None,
    progress: bool = True,
) -> RangeTest:
    """Raises the learning rate from `low` to `high`, a step at each, and records the losses.

        lr_i = low (high / low)^(i / (steps - 1)),   i = 0, ..., steps - 1

    Parameters
    ----------
    step
        Makes one training step at the rate it is given, on a mini-batch of its own, and answers the loss of it.
    low, high
        0 < low < high.
    steps
        >= 5.
    beta
        Of the average of the losses (`ExponentialAverage`), in [0, 1).
    stop_factor
        It ends where the averaged loss is above the best by more than so many times the best (or a tenth of the first, if that is more),
        and where a loss is not finite.
    optimizer
        An optimizer of fastopt's or PyTorch's, or arrays: parameters, states, step count and arguments are put back as they were before,
        whatever happens. None: `step` changes what it changes, and it is left so.
    progress
        Show how far it has come (`tracked`).

    Raises TypeError or ValueError before the first step, or for a step that answers no number.

    Sources: L. N. Smith, Cyclical learning rates for training neural networks, WACV 2017 (arXiv 2015), section 3.3, raises the rate
    linearly; exponentially, and to the end of stability, is how fast.ai made it known.

    Examples
    --------
    >>> w = np.array([3.0, 2.0])
    >>> opt = fastopt.SGD(w, lr=1.0)
    >>> def step(lr):
    ...     opt.lr = lr
    ...     loss = float(w @ w)
    ...     opt.step(2.0 * w)
    ...     return loss
    >>> found = fastopt.training.learning_rate_range_test(step, optimizer=opt)
    >>> opt.lr = found.suggestion
    >>> w, 0.001 < opt.lr < 1.0
    (array([3., 2.]), True)
    """
    if not callable(step):
        raise TypeError(f"step: expected a function of a learning rate, received {describe(step)}")
    low = arguments.positive(low, "low")
    high = arguments.positive(high, "high", low)
    steps = arguments.whole_number(steps, "steps", LEAST)
    average = ExponentialAverage(arguments.number(beta, "beta", UNIT))
    detector = DivergenceDetector(arguments.positive(stop_factor, "stop_factor"), window=None)
    before = None if optimizer is None else Snapshot(optimizer, "optimizer")
    rates, losses, averages, stopped = np.geomspace(low, high, steps), list[float](), list[float](), None
    try:
        for rate in tracked(rates.tolist(), "learning-rate range test", show=progress):
            loss = arguments.any_number(step(rate), "step")
            if np.isfinite(loss):
                losses.append(loss)
                averages.append(average.update(loss).value)
            stopped = detector.check(averages[-1] if np.isfinite(loss) else loss)
            if stopped is not None:
                break
    finally:
        if before is not None:
            before.put_back()
    made = np.array(losses)
    return RangeTest(rates[: len(made)], made, np.array(averages), average.beta, stopped)
