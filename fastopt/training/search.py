"""A random search over hyperparameters, coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastopt import arguments
from fastopt.rules.domain import Interval, describe
from fastopt.training.progress import tracked
from fastopt.training.spaces import Choice, Distribution
from fastopt.training.table import table

__all__ = ["Search", "Trial", "random_search"]


@dataclass(frozen=True)
class Trial:
    """One choice of hyperparameters and what came of it.

    `number` counts from 0, over all rounds; `round` is 0 for the coarse search. `failure` says why there is no loss, which is a NaN then.
    """

    number: int
    round: int
    params: dict[str, Any]
    loss: float
    failure: str | None = None


@dataclass(frozen=True)
class Search:
    """What a random search has found.

    Attributes
    ----------
    trials
        All of them, in the order in which they were made.
    spaces
        What each round drew from.
    """

    trials: list[Trial]
    spaces: list[dict[str, Any]]

    @property
    def ranked(self) -> list[Trial]:
        """The trials by their loss, the lowest first; those that failed come last."""
        return sorted(self.trials, key=lambda trial: (trial.failure is not None, trial.loss if trial.failure is None else 0.0))

    @property
    def best(self) -> Trial:
        """The trial of the lowest loss. Raises ValueError, with the first failure, if all failed."""
        best = self.ranked[0]
        if best.failure is not None:
            raise ValueError(
                f"best: expected a trial with a loss, received {len(self.trials)} that failed; the first: {self.trials[0].failure}"
            )
        return best

    def table(self) -> str:
        """The ranked trials as text: loss, round, hyperparameters, failures."""
        names = list(self.spaces[0])
        rows = [
            [f"{trial.loss:.6g}", str(trial.round), *(_text(trial.params[name]) for name in names), trial.failure or ""]
            for trial in self.ranked
        ]
        return table(["loss", "round", *names, "failure"], rows)

    def __str__(self) -> str:
        return self.table()


def random_search(
    objective: Callable[..., float],
    space: Mapping[str, Any],
    trials: int,
    *,
    seed: int = 0,
    refine: int = 0,
    keep: float = 0.25,
    done: Sequence[Trial] = (),
    on_trial: Callable[[Trial], Any] | None = None,
    progress: bool = True,
) -> Search:
    """Tries hyperparameters drawn at random, and then more of them where the best ones were.

    Parameters
    ----------
    objective
        Called with a keyword argument for each hyperparameter; answers the loss, lower is better.
    space
        Name to what it is drawn from: `LogUniform`, `Uniform`, `OneMinusLogUniform`, `Choice`, a list or tuple of values, or whatever else
        has `rvs(random_state=...)`, as the distributions of scipy.stats (of which the ranges stay as they are when others are narrowed).
    trials
        How many in each round, >= 1.
    seed
        >= 0. Trial n draws from a generator of its own (`SeedSequence(seed, spawn_key=(n,))`): the same seed tries the same.
    refine
        How many finer rounds follow the coarse one, each in the ranges that the best trials so far span, and a little beyond.
    keep
        The share of a round's number of trials that counts as the best, in (0, 1]; two at least.
    done
        Trials of the same search that were made before (`on_trial`): they are not made again. So a search that was cut off goes on.
    on_trial
        Called with each new trial when it is made.
    progress
        Show how far it has come (`tracked`).

    A trial fails where the objective raises an Exception, or answers a NaN or an infinity: it is kept, and its `failure` says why. Raises
    TypeError or ValueError for arguments that cannot be used, for an objective that answers no number, and for `done` that the search would
    not have tried.

    Source: J. Bergstra and Y. Bengio, Random search for hyper-parameter optimization, JMLR 2012.

    Examples
    --------
    >>> from fastopt import training
    >>> def objective(lr, momentum):
    ...     return (math.log10(lr) + 2.0) ** 2 + (momentum - 0.9) ** 2
    >>> space = {"lr": training.LogUniform(1e-5, 1.0), "momentum": training.OneMinusLogUniform(0.5, 0.999)}
    >>> found = training.random_search(objective, space, trials=20, refine=1)
    >>> found.best.loss < 0.01
    True
    """
    if not callable(objective):
        raise TypeError(f"objective: expected a function of hyperparameters, received {describe(objective)}")
    current = _space(space)
    trials, seed = arguments.whole_number(trials, "trials", 1), arguments.whole_number(seed, "seed", 0)
    rounds = 1 + arguments.whole_number(refine, "refine", 0)
    share = arguments.number(keep, "keep", Interval(0.0, 1.0, high_included=True))
    if share == 0.0:
        raise ValueError("keep: expected a number in (0, 1], received 0.0")
    if len(done) > trials * rounds:
        raise ValueError(f"done: expected at most {trials * rounds} trials, as the search makes; received {len(done)}")
    made: list[Trial] = []
    spaces: list[dict[str, Any]] = []
    for number in tracked(range(trials * rounds), "random search", show=progress):
        round_, first = divmod(number, trials)
        if first == 0:
            if round_ > 0:
                current = _narrowed(current, made, max(2, math.ceil(share * trials)))
            spaces.append(current)
        params = _drawn(current, seed, number)
        if number < len(done):
            made.append(_again(done[number], number, round_, params))
            continue
        made.append(_tried(objective, number, round_, params))
        if on_trial is not None:
            on_trial(made[-1])
    return Search(made, spaces)


def _space(space: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(space, Mapping) or not space:
        raise TypeError(f"space: expected a mapping from names to what they are drawn from, received {describe(space)}")
    found: dict[str, Any] = {}
    for name, given in space.items():
        if not isinstance(name, str):
            raise TypeError(f"space: expected names that are strings, received {describe(name)}")
        if isinstance(given, list | tuple):
            given = Choice(given)
        if not callable(getattr(given, "rvs", None)):
            raise TypeError(f"space[{name!r}]: expected a distribution (with `rvs`), a list or a tuple; received {describe(given)}")
        found[name] = given
    return found


def _drawn(space: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Any]:
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))
    return {name: own.rvs(random_state=generator) for name, own in space.items()}


def _narrowed(space: Mapping[str, Any], made: Sequence[Trial], count: int) -> dict[str, Any]:
    best = [trial for trial in Search(list(made), []).ranked[:count] if trial.failure is None]
    if not best:
        return dict(space)
    return {name: own.narrowed([trial.params[name] for trial in best]) if hasattr(own, "narrowed") else own for name, own in space.items()}


def _tried(objective: Callable[..., float], number: int, round_: int, params: dict[str, Any]) -> Trial:
    try:
        answer: Any = objective(**params)
    except Exception as error:  # whatever a training raises, the other trials go on
        return Trial(number, round_, params, math.nan, f"{type(error).__name__}: {error}")
    loss = arguments.any_number(answer, "objective")
    return Trial(number, round_, params, *((loss, None) if math.isfinite(loss) else (math.nan, f"the loss is {loss}")))


def _again(trial: Trial, number: int, round_: int, params: dict[str, Any]) -> Trial:
    if (trial.number, trial.round, trial.params) != (number, round_, params):
        raise ValueError(f"done[{number}]: expected trial {number} of this search, {params}; received {describe(trial)}")
    return trial


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
