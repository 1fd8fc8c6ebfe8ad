"""The best rate for each batch size: of a made-up training whose best rates are known, and of a real one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastopt.training import BatchSizeResult, BatchSizeStudy, Diverged, Verdict, study_batch_sizes
from tests.training.models import train_softmax


def made_up(exponent: float) -> Any:
    """A loss that is lowest at a rate of 0.01 batch^exponent, and diverges at a hundred times that."""

    def train(batch_size: int, lr: float) -> float:
        best = 0.01 * batch_size**exponent
        if lr > 100.0 * best:
            raise Diverged(Verdict("diverges", "far too high"))
        return math.log(lr / best) ** 2 + 1.0 / batch_size

    return train


@pytest.mark.parametrize("exponent", [0.5, 1.0, 0.0])
def test_a_known_slope(exponent: float) -> None:
    study = study_batch_sizes(made_up(exponent), [4, 16, 64], low=1e-3, high=10.0, points=7, refine=12)
    for result in study.results:
        assert result.lr == pytest.approx(0.01 * result.batch_size**exponent, rel=0.02)
        assert result.loss == pytest.approx(1.0 / result.batch_size, abs=1e-3)
        assert len(result.trials) == 19
        assert [lr for lr, _ in result.trials] == sorted(lr for lr, _ in result.trials)
        assert all(1e-3 <= lr <= 10.0 * (1 + 1e-12) for lr, _ in result.trials)
        assert not result.at_edge
    assert study.slope == pytest.approx(exponent, abs=0.02)


def test_the_search_is_golden() -> None:
    """Between the grid's neighbours of the best, each evaluation leaves 0.618 of the bracket."""
    asked: list[float] = []

    def train(batch_size: int, lr: float) -> float:
        asked.append(math.log10(lr))
        return (asked[-1] - 0.1) ** 2

    study_batch_sizes(train, [1], low=1e-2, high=1e2, points=5, refine=4)
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    first, second = 1.0 - 2.0 * golden, -1.0 + 2.0 * golden
    # 0.236 is nearer than -0.236, so that the bracket begins there next; 0.528 is not, and the bracket ends there
    third = first + golden * (1.0 - first)
    assert asked == pytest.approx([-2, -1, 0, 1, 2, first, second, third, third - golden * (third - first)], abs=1e-9)


def test_a_grid_alone_and_few_more() -> None:
    for refine in (0, 1, 2):
        (result,) = study_batch_sizes(made_up(0.0), [1], low=1e-3, high=1.0, points=4, refine=refine).results
        assert len(result.trials) == 4 + refine


def test_best_rates_at_an_edge_are_marked_and_left_out_of_the_slope() -> None:
    study = study_batch_sizes(made_up(1.0), [1, 2, 4, 1000], low=0.01, high=1.0, points=5, refine=3)
    assert [result.at_edge for result in study.results] == [True, False, False, True]
    assert study.slope == pytest.approx(1.0, abs=0.3)
    assert [line.endswith("at the edge of the range") for line in study.table().splitlines()[1:]] == [True, False, False, True]


@pytest.mark.parametrize("answer", [math.nan, math.inf, "overflow", "floating"])
def test_where_every_rate_diverges(answer: Any) -> None:
    def train(batch_size: int, lr: float) -> float:
        if answer == "overflow":
            raise OverflowError
        if answer == "floating":
            raise FloatingPointError
        return float(answer)

    study = study_batch_sizes(train, [8, 16], points=3, refine=1)
    assert all(math.isnan(result.lr) and math.isnan(result.loss) for result in study.results)
    assert all(loss == math.inf for _, loss in study.results[0].trials)
    assert study.slope is None
    assert "every rate diverged" in str(study)


def test_other_errors_are_the_trainings() -> None:
    def train(batch_size: int, lr: float) -> float:
        raise KeyError("w")

    with pytest.raises(KeyError):
        study_batch_sizes(train, [8])


def test_slopes() -> None:
    def of(*pairs: tuple[int, float]) -> float | None:
        return BatchSizeStudy([BatchSizeResult(size, lr, 1.0, [(lr, 1.0)], False) for size, lr in pairs]).slope

    assert of((4, 0.1), (16, 0.2)) == pytest.approx(0.5)
    assert of((2, 0.1), (4, 0.1), (8, 0.4)) == pytest.approx(1.0)
    assert of((4, 0.1)) is None
    assert of((4, 0.1), (8, math.nan)) is None


def test_table() -> None:
    rows = [BatchSizeResult(8, 0.125, 0.5, [(0.125, 0.5)] * 3, False), BatchSizeResult(512, 1.0, 0.25, [(1.0, 0.25)], True)]
    assert BatchSizeStudy(rows).table().splitlines() == [
        "batch size  best rate  loss  trials  note",
        "8           0.125      0.5   3",
        "512         1          0.25  1       at the edge of the range",
    ]


def test_larger_batches_take_larger_rates() -> None:
    """A softmax of digits, two epochs whatever the batch size: 16 to 256 samples."""
    with np.errstate(over="ignore"):
        study = study_batch_sizes(lambda size, lr: train_softmax(lr, size, 2)[-1], [16, 64, 256], low=0.03, high=30.0, points=5, refine=3)
    rates = [result.lr for result in study.results]
    assert rates == sorted(rates)
    assert rates[-1] > 2.0 * rates[0]
    assert study.slope is not None
    assert 0.2 < study.slope < 1.2


def test_plot() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    study = study_batch_sizes(made_up(1.0), [1, 10], low=1e-3, high=10.0, points=5, refine=1)
    ax = study.plot()
    assert ax.get_xscale() == "log"
    assert [line.get_label() for line in ax.get_lines()][::2] == ["batch 1", "batch 10"]
    assert ax.get_lines()[1].get_xdata()[0] == study.results[0].lr
    assert len(ax.get_lines()[0].get_xdata()) < 6  # without those that diverged
    assert study.plot(ax) is ax
    none = study_batch_sizes(lambda size, lr: math.nan, [1], points=3, refine=0)
    assert len(none.plot().get_lines()) == 1


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"train": None}, TypeError, r"^train: expected a function of a batch size and a learning rate, received None$"),
        ({"batch_sizes": []}, TypeError, r"^batch_sizes: expected a sequence of at least one integer, received \[\] \(list\)$"),
        ({"batch_sizes": 8}, TypeError, r"^batch_sizes: expected a sequence of at least one integer, received 8 \(int\)$"),
        ({"batch_sizes": [8, 0]}, ValueError, r"^batch_sizes\[1\]: expected an integer >= 1, received 0$"),
        ({"batch_sizes": [8, 8]}, ValueError, r"^batch_sizes: expected each once, received \[8, 8\] \(list\)$"),
        ({"low": 0.0}, ValueError, r"^low: expected a finite number > 0, received 0\.0$"),
        ({"low": 2.0, "high": 1.0}, ValueError, r"^high: expected a finite number > 2, received 1\.0$"),
        ({"points": 2}, ValueError, r"^points: expected an integer >= 3, received 2$"),
        ({"refine": -1}, ValueError, r"^refine: expected an integer >= 0, received -1$"),
        ({"train": lambda size, lr: "x"}, TypeError, r"^train: expected a number, received 'x' \(str\)$"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments: dict[str, Any] = {"train": lambda size, lr: lr, "batch_sizes": [1, 2], **changes}
    with pytest.raises(error, match=words):
        study_batch_sizes(arguments.pop("train"), arguments.pop("batch_sizes"), **arguments)
