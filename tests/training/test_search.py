"""Random search: what is tried, that it is the same again, coarse to fine, failures, and going on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.training import Choice, LogUniform, OneMinusLogUniform, Search, Trial, Uniform, random_search
from tests.training.models import quadratic

SPACE = {"lr": LogUniform(1e-5, 10.0), "momentum": OneMinusLogUniform(0.5, 0.999)}


def bowl(lr: float, momentum: float) -> float:
    """Lowest at a rate of 1e-2 and a momentum of 0.9."""
    return (math.log10(lr) + 2.0) ** 2 + (math.log10(1.0 - momentum) + 1.0) ** 2


def test_the_same_seed_tries_the_same() -> None:
    first, again, other = (random_search(bowl, SPACE, 8, seed=seed, refine=1) for seed in (3, 3, 4))
    assert first == again
    assert [trial.params for trial in first.trials] != [trial.params for trial in other.trials]
    assert [(trial.number, trial.round) for trial in first.trials] == [(n, n // 8) for n in range(16)]
    assert all(trial.loss == bowl(**trial.params) for trial in first.trials)


def test_a_trial_draws_the_same_however_many_there_are() -> None:
    few, many = (random_search(bowl, SPACE, trials) for trials in (3, 9))
    assert many.trials[:3] == few.trials


def test_coarse_to_fine() -> None:
    """Each round draws from where the best quarter was, so that the fine rounds are better on average, and come near."""
    found = random_search(bowl, SPACE, 20, refine=2)
    rounds = [[trial for trial in found.trials if trial.round == k] for k in range(3)]
    means = [np.mean([trial.loss for trial in of]) for of in rounds]
    assert means[0] > 3.0 * means[1] > 6.0 * means[2]
    assert found.best.loss < 0.01
    assert found.best == min(found.trials, key=lambda trial: trial.loss)
    assert found.spaces[0] == SPACE
    for k in (1, 2):
        before = sorted((t for t in found.trials if t.round < k), key=lambda t: t.loss)[:5]
        for name, own in found.spaces[k].items():
            assert found.spaces[k - 1][name].low <= own.low < own.high <= found.spaces[k - 1][name].high
            assert own == found.spaces[k - 1][name].narrowed([t.params[name] for t in before])
            assert all(own.low <= t.params[name] <= own.high for t in rounds[k])


def test_the_share_that_is_kept() -> None:
    """Of ten trials, a share of 0.5 spans five of the best, and 0.01 two."""
    for keep, count in ((0.5, 5), (0.01, 2), (1.0, 10)):
        found = random_search(bowl, {"lr": SPACE["lr"], "momentum": [0.9]}, 10, refine=1, keep=keep)
        best = sorted(found.trials[:10], key=lambda trial: trial.loss)[:count]
        assert found.spaces[1]["lr"] == SPACE["lr"].narrowed([trial.params["lr"] for trial in best])


def test_failures_are_kept_and_named() -> None:
    def objective(n: int) -> float:
        if n == 1:
            raise RuntimeError("out of memory")
        return {2: math.nan, 3: math.inf, 4: 0.5}[n]

    found = random_search(objective, {"n": [1, 2, 3, 4]}, 24)
    reasons = {trial.params["n"]: trial.failure for trial in found.trials}
    assert reasons == {1: "RuntimeError: out of memory", 2: "the loss is nan", 3: "the loss is inf", 4: None}
    assert all(math.isnan(trial.loss) == (trial.failure is not None) for trial in found.trials)
    failed = [trial.failure is not None for trial in found.ranked]
    assert failed == sorted(failed)
    assert found.best.params == {"n": 4}


def test_where_all_fail() -> None:
    """The fine round draws from the whole space again, and there is no best."""
    found = random_search(lambda lr: math.nan, {"lr": LogUniform(1e-3, 1.0)}, 2, refine=1)
    assert found.spaces[0] == found.spaces[1]
    with pytest.raises(ValueError, match=r"^best: expected a trial with a loss, received 4 that failed; the first: the loss is nan$"):
        _ = found.best


def test_an_interrupt_ends_it() -> None:
    made: list[Trial] = []

    def objective(lr: float) -> float:
        if len(made) == 3:
            raise KeyboardInterrupt
        return lr

    with pytest.raises(KeyboardInterrupt):
        random_search(objective, {"lr": LogUniform(1e-3, 1.0)}, 5, on_trial=made.append)
    assert [trial.number for trial in made] == [0, 1, 2]


def test_going_on() -> None:
    """With the trials that were made before, a search that was cut off makes the others alone, and ends as the whole one."""
    whole = random_search(bowl, SPACE, 6, seed=1, refine=1)
    calls: list[dict[str, float]] = []

    def counted(**params: float) -> float:
        calls.append(params)
        return bowl(**params)

    assert random_search(counted, SPACE, 6, seed=1, refine=1, done=whole.trials[:8]) == whole
    assert calls == [trial.params for trial in whole.trials[8:]]
    with pytest.raises(ValueError, match=r"^done\[0\]: expected trial 0 of this search, \{'lr': .*; received Trial\("):
        random_search(bowl, SPACE, 6, seed=2, done=whole.trials[:1])
    with pytest.raises(ValueError, match=r"^done: expected at most 6 trials, as the search makes; received 8$"):
        random_search(bowl, SPACE, 6, seed=1, done=whole.trials[:8])


def test_scipys_distributions_beside_ours() -> None:
    stats = pytest.importorskip("scipy.stats")
    space = {"lr": stats.loguniform(1e-4, 1e-1), "momentum": (0.5, 0.9)}
    found = random_search(bowl, space, 6, refine=1)
    assert found.spaces[1]["lr"] is space["lr"]
    assert all(1e-4 <= trial.params["lr"] <= 1e-1 for trial in found.trials)
    assert found == random_search(bowl, space, 6, refine=1)


def test_real_training() -> None:
    """Gradient descent on the quadratic: the best rate lies below 1, where it diverges, and the search finds one near."""

    def objective(lr: float) -> float:
        w = np.array([-7.0, 2.0])
        opt = fastopt.SGD(w, lr=lr)
        for _ in range(20):
            opt.step(quadratic(w)[1])
        return quadratic(w)[0]

    found = random_search(objective, {"lr": LogUniform(1e-4, 100.0)}, 12, refine=1)
    assert 0.5 < found.best.params["lr"] < 1.0
    assert found.best.loss < 0.2


def test_table() -> None:
    trials = [Trial(0, 0, {"lr": 0.25, "kind": "a"}, 2.0), Trial(1, 0, {"lr": 1e-3, "kind": "bc"}, math.nan, "the loss is nan")]
    trials.append(Trial(2, 1, {"lr": 12345678.0, "kind": "a"}, 0.123456789))
    found = Search(trials, [{"lr": LogUniform(1e-3, 1e8), "kind": Choice(["a", "bc"])}])
    assert str(found) == found.table()
    assert found.table().splitlines() == [
        "loss      round  lr           kind  failure",
        "0.123457  1      1.23457e+07  a",
        "2         0      0.25         a",
        "nan       0      0.001        bc    the loss is nan",
    ]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"objective": 3}, TypeError, r"^objective: expected a function of hyperparameters, received 3 \(int\)$"),
        ({"space": {}}, TypeError, r"^space: expected a mapping from names to what they are drawn from, received \{\} \(dict\)$"),
        ({"space": {1: [2]}}, TypeError, r"^space: expected names that are strings, received 1 \(int\)$"),
        ({"space": {"lr": 0.1}}, TypeError, r"^space\['lr'\]: expected a distribution \(with `rvs`\), a list or a tuple; received 0\.1"),
        ({"space": {"lr": []}}, TypeError, r"^values: expected a sequence of at least one"),
        ({"trials": 0}, ValueError, r"^trials: expected an integer >= 1, received 0$"),
        ({"seed": -1}, ValueError, r"^seed: expected an integer >= 0, received -1$"),
        ({"refine": 0.5}, TypeError, r"^refine: expected an integer >= 0"),
        ({"keep": 0.0}, ValueError, r"^keep: expected a number in \(0, 1\], received 0\.0$"),
        ({"keep": 1.5}, ValueError, r"^keep: expected a number in \[0, 1\], received 1\.5$"),
        ({"objective": lambda lr: None}, TypeError, r"^objective: expected a number, received None$"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments: dict[str, Any] = {"objective": lambda lr: lr, "space": {"lr": Uniform(0.0, 1.0)}, "trials": 2, **changes}
    with pytest.raises(error, match=words):
        random_search(arguments.pop("objective"), arguments.pop("space"), arguments.pop("trials"), **arguments)
