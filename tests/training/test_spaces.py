"""What hyperparameters are drawn from: ranges, scales, narrowing, and scikit-learn's and scipy's side of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastopt.training import Choice, LogUniform, OneMinusLogUniform, Uniform


def drawn(distribution: Any, count: int = 2_000, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    return [distribution.rvs(random_state=generator) for _ in range(count)]


@pytest.mark.parametrize(
    ("distribution", "scale"),
    [
        (Uniform(-2.0, 3.0), lambda x: x),
        (LogUniform(1e-5, 1.0), math.log10),
        (OneMinusLogUniform(0.9, 0.999), lambda x: math.log10(1.0 - x)),
    ],
)
def test_uniform_on_their_scale(distribution: Any, scale: Any) -> None:
    """On it each fifth of the range is drawn as often, within 5 standard deviations; every value lies in the range."""
    values = drawn(distribution)
    assert all(type(value) is float and distribution.low <= value <= distribution.high for value in values)
    ends = sorted([scale(distribution.low), scale(distribution.high)])
    counts, _ = np.histogram([scale(value) for value in values], bins=5, range=(ends[0], ends[1]))
    assert counts.sum() == 2_000
    assert np.abs(counts - 400).max() < 5.0 * math.sqrt(2_000 * 0.2 * 0.8)


def test_whole_numbers_up_to_both_ends() -> None:
    values = drawn(Uniform(2, 5, integer=True))
    assert all(type(value) is int for value in values)
    counts = [values.count(value) for value in (2, 3, 4, 5)]
    assert sum(counts) == 2_000
    assert max(abs(count - 500) for count in counts) < 100
    logarithmic = drawn(LogUniform(1, 512, integer=True))
    assert set(logarithmic) <= set(range(1, 513))
    assert {1, 2} < set(logarithmic)
    # from 1/2 to 2 1/2 of 1/2 to 512 1/2 on the log scale
    assert abs(sum(value <= 2 for value in logarithmic) / 2_000 - math.log(5.0) / math.log(1025.0)) < 0.05


def test_choices() -> None:
    values = drawn(Choice(["relu", None, 3]))
    assert [abs(values.count(value) - 667) < 110 for value in ("relu", None, 3)] == [True] * 3
    assert Choice(("relu", None, 3, 4)).narrowed([3, "relu", 3]).values == ("relu", 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([0, 1, 2, 3]))
def test_a_narrowed_range_holds_the_best_and_lies_within(seed: int, count: int, which: int) -> None:
    distribution: Any = (Uniform(-2.0, 3.0), LogUniform(1e-5, 1.0), OneMinusLogUniform(0.5, 0.9999), Uniform(1, 9, integer=True))[which]
    best = drawn(distribution, count, seed)
    narrow = distribution.narrowed(best)
    assert type(narrow) is type(distribution)
    assert narrow.integer == distribution.integer
    assert distribution.low <= narrow.low < narrow.high <= distribution.high
    slack = 1e-12
    assert all(narrow.low - slack <= value <= narrow.high + slack for value in best)
    assert all(narrow.low <= value <= narrow.high for value in drawn(narrow, 5, seed))


def test_narrowed_hand_computed() -> None:
    assert Uniform(0.0, 10.0).narrowed([4.0, 6.0, 5.0]) == Uniform(3.0, 7.0)
    assert Uniform(0.0, 10.0).narrowed([0.5, 2.5]) == Uniform(0.0, 4.5)
    assert Uniform(0.0, 8.0).narrowed([4.0]) == Uniform(3.0, 5.0)
    assert Uniform(0, 100, integer=True).narrowed([40, 60, 50]) == Uniform(30, 70, integer=True)
    narrow = LogUniform(1e-6, 1.0).narrowed([1e-3, 1e-2])
    assert (narrow.low, narrow.high) == pytest.approx((1e-4, 1e-1))
    momenta = OneMinusLogUniform(0.5, 0.99999).narrowed([0.99, 0.999])
    assert (momenta.low, momenta.high) == pytest.approx((0.9, 0.9999))


def test_scikit_learn_draws_from_them() -> None:
    """Its ParameterSampler hands them a RandomState; the same seed draws the same."""
    model_selection = pytest.importorskip("sklearn.model_selection")
    space = {"alpha": LogUniform(1e-5, 1e-1), "beta": OneMinusLogUniform(0.9, 0.999), "units": Uniform(1, 9, integer=True)}
    space["kind"] = Choice(["a", "b"])  # type: ignore[assignment]
    first, second = (list(model_selection.ParameterSampler(space, 5, random_state=3)) for _ in range(2))
    assert first == second
    assert len({row["alpha"] for row in first}) == 5
    assert all(1e-5 <= row["alpha"] <= 1e-1 and row["kind"] in ("a", "b") for row in first)


def test_without_a_generator() -> None:
    assert 0.0 <= Uniform(0.0, 1.0).rvs() <= 1.0
    assert Choice([7]).rvs() == 7


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Uniform(1.0, 1.0), ValueError, r"^high: expected a finite number > 1, received 1\.0$"),
        (lambda: Uniform("a", 1.0), TypeError, r"^low: expected .*, received 'a' \(str\)$"),
        (lambda: Uniform(0.0, math.inf), ValueError, r"^high: expected .*, received inf$"),
        (lambda: Uniform(0.5, 3, integer=True), ValueError, r"^integer: expected low and high to be whole numbers, received 0\.5 and 3$"),
        (lambda: LogUniform(0.0, 1.0), ValueError, r"^low: expected a finite number > 0, received 0\.0$"),
        (lambda: LogUniform(1.0, 0.5), ValueError, r"^high: expected a finite number > 1, received 0\.5$"),
        (lambda: OneMinusLogUniform(0.9, 1.0), ValueError, r"^high: expected a number < 1, received 1\.0$"),
        (lambda: OneMinusLogUniform(-3, 0, integer=True), ValueError, r"^integer: expected False, "),
        (lambda: Uniform(0, 1, integer=1), TypeError, r"^integer: expected True or False, received 1 \(int\)$"),
        (lambda: Choice([]), TypeError, r"^values: expected a sequence of at least one, received \[\] \(list\)$"),
        (lambda: Choice("abc"), TypeError, r"^values: expected a sequence of at least one, received 'abc' \(str\)$"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
