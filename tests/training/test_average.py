"""Exponentially weighted averages: hand-computed values, windows, arrays in place, and going on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastopt.training import ExponentialAverage, smoothed


def test_hand_computed() -> None:
    """Beta 0.5 of 4, 8, 0: v = 2, 5, 2.5 and w = 1/2, 3/4, 7/8."""
    average = ExponentialAverage(0.5)
    plain = ExponentialAverage(0.5, bias_correction=False)
    found = [(average.update(x).value, plain.update(x).value) for x in (4.0, 8.0, 0.0)]
    assert found == [(4.0, 2.0), (5.0 / 0.75, 5.0), (2.5 / 0.875, 2.5)]
    assert (average.steps, average.beta, average.bias_correction, plain.bias_correction) == (3, 0.5, True, False)


@pytest.mark.parametrize(("beta", "window"), [(0.5, 2.0), (0.9, 10.0), (0.98, 50.0), (0.0, 1.0)])
def test_window(beta: float, window: float) -> None:
    """1 / (1 - beta); a value that lies as far back has 1/e of the newest one's weight, nearly."""
    assert ExponentialAverage(beta).window == pytest.approx(window, rel=1e-14)
    if window >= 10:
        assert beta**window == pytest.approx(math.exp(-1.0), rel=0.06)


def test_beta_of_0_is_the_last_value() -> None:
    average = ExponentialAverage(0.0)
    assert [average.update(x).value for x in (3.0, -1.0)] == [3.0, -1.0]


def test_the_correction_takes_the_pull_to_0_away() -> None:
    """Of a constant the corrected average is the constant from the first value on, also where beta is so near 1 that beta^t is inexact."""
    for beta in (0.98, 1.0 - 2.0**-40):
        average, plain = ExponentialAverage(beta), ExponentialAverage(beta, False)
        for _ in range(20):
            assert average.update(7.0).value == pytest.approx(7.0, rel=1e-15)
            assert plain.update(7.0).value < 7.0 * 21 * (1.0 - beta)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.sampled_from([0.5, 0.9, 0.98]))
def test_it_is_the_weighted_mean(values: list[float], beta: float) -> None:
    """Sum beta^(t-i) x_i / sum beta^(t-i), by the definition."""
    weights = beta ** np.arange(len(values))[::-1]
    average = ExponentialAverage(beta)
    for value in values:
        average.update(value)
    assert average.value == pytest.approx(np.dot(weights, values) / weights.sum(), rel=1e-12, abs=1e-6)
    assert min(values) - 1e-6 <= average.value <= max(values) + 1e-6


def test_numbers_are_averaged_in_float64() -> None:
    average = ExponentialAverage(0.9)
    for _ in range(3):
        average.update(np.float32(0.1))
    assert type(average.value) is float
    assert average.value == pytest.approx(float(np.float32(0.1)), rel=1e-15)


@pytest.mark.parametrize(
    ("dtype", "kept"), [(np.float32, np.float32), (np.float16, np.float32), (np.float64, np.float64), (np.int64, np.float64)]
)
def test_arrays(dtype: Any, kept: Any) -> None:
    """Elementwise the numbers' average, in one array that stays where it is; the values are only read."""
    values = [np.array([[1, 2], [3, 4]], dtype), np.array([[5, 6], [7, 9]], dtype)]
    before = [value.copy() for value in values]
    average = ExponentialAverage(0.5)
    average.update(values[0])
    own = average._average
    average.update(values[1])
    assert average._average is own
    assert average.value.dtype == kept
    assert np.array_equal(average.value, ((0.25 * values[0].astype(kept) + 0.5 * values[1].astype(kept)) / np.float64(0.75)).astype(kept))
    assert not np.shares_memory(average.value, own)
    assert all(np.array_equal(a, b) for a, b in zip(values, before, strict=True))
    plain = ExponentialAverage(0.5, False).update(values[0])
    plain.value[...] = 99
    assert np.array_equal(plain.value, values[0].astype(kept) / 2)


def test_float16_values_are_not_averaged_in_float16() -> None:
    average = ExponentialAverage(0.999, False)
    average.update(np.array([1.0], np.float16))
    assert average.value[0] == np.float32(1.0 - 0.999)


def test_infinities_stay() -> None:
    average = ExponentialAverage(0.5)
    assert average.update(math.inf).update(1.0).value == math.inf
    assert math.isnan(average.update(math.nan).update(1.0).value)


@pytest.mark.parametrize("values", [(1.0, 2.0, 5.0, -3.0), tuple(np.array([x, -x]) for x in (1.0, 2.0, 5.0, -3.0))])
def test_going_on(values: Any) -> None:
    """An average that takes over the state of another ends with the same bits, and shares nothing with it."""
    whole, first, second = ExponentialAverage(0.9), ExponentialAverage(0.9), ExponentialAverage(0.5, False)
    for value in values:
        whole.update(value)
    for value in values[:2]:
        first.update(value)
    state = first.state_dict()
    second.load_state_dict(state)
    first.update(values[0])
    for value in values[2:]:
        second.update(value)
    assert np.array_equal(second.value, whole.value)
    assert (second.beta, second.bias_correction, second.steps) == (0.9, True, 4)
    state = first.state_dict()
    second.load_state_dict(state)
    if isinstance(state["average"], np.ndarray):
        state["average"][...] = 99.0
    assert np.array_equal(second.value, first.value)
    fresh = ExponentialAverage(0.5)
    fresh.load_state_dict(ExponentialAverage(0.9).state_dict())
    assert (fresh.steps, fresh.beta) == (0, 0.9)


def test_a_state_may_have_another_shape() -> None:
    average = ExponentialAverage(0.5).update(np.ones(2))
    average.load_state_dict(ExponentialAverage(0.5).update(np.ones((3, 1))).state_dict())
    assert average.update(np.full((3, 1), 4.0)).value.tolist() == [[3.0]] * 3


STATE = {"beta": 0.5, "bias_correction": True, "steps": 1, "weight": 0.5, "average": 2.0}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"more": 1}, ValueError, r"^state_dict: expected a mapping with beta, bias_correction, steps, weight, average; received \["),
        ({"beta": 1.0}, ValueError, r"^state_dict\['beta'\]: expected a number in \[0, 1\), received 1\.0$"),
        ({"bias_correction": 1}, TypeError, r"^state_dict\['bias_correction'\]: expected True or False"),
        ({"steps": -1}, ValueError, r"^state_dict\['steps'\]: expected an integer >= 0"),
        ({"weight": -1.0}, ValueError, r"^state_dict\['weight'\]: expected a finite number >= 0"),
        ({"average": None}, ValueError, r"^state_dict\['average'\]: expected None before the first value and only then, received None$"),
        ({"average": "x"}, TypeError, r"^state_dict\['average'\]: expected a number or a NumPy array"),
        ({"average": np.zeros(2, int)}, TypeError, r"^state_dict\['average'\]: expected float32 or float64, received an array of int64"),
    ],
)
def test_states_that_do_not_fit(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    average = ExponentialAverage(0.9).update(1.0)
    before = average.state_dict()
    with pytest.raises(error, match=words):
        average.load_state_dict({**STATE, **changes})
    assert average.state_dict() == before
    with pytest.raises(ValueError, match=r"^state_dict: expected a mapping with beta, .*; received 3 \(int\)$"):
        average.load_state_dict(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "value", "error", "words"),
    [
        (1.0, "x", TypeError, r"^value: expected a number or a NumPy array of real numbers, received 'x' \(str\)$"),
        (None, True, TypeError, r"^value: expected a number or a NumPy array of real numbers, received True"),
        (None, np.array([1j]), TypeError, r"^value: expected a number or a NumPy array of real numbers, received an array of complex128"),
        (1.0, np.ones(2), TypeError, r"^value: expected a number, like those before, received an array of float64 and shape \(2,\)$"),
        (np.ones(2), 1.0, TypeError, r"^value: expected an array of shape \(2,\), received 1\.0 \(float\)$"),
        (np.ones(2), np.ones(3), ValueError, r"^value: expected an array of shape \(2,\), received an array of float64 and shape \(3,\)$"),
    ],
)
def test_values_unlike_the_first(first: Any, value: Any, error: type[Exception], words: str) -> None:
    average = ExponentialAverage(0.9)
    if first is not None:
        average.update(first)
    with pytest.raises(error, match=words):
        average.update(value)
    assert average.steps == (first is not None)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"^beta: expected a number in \[0, 1\), received 1\.0$"):
        ExponentialAverage(1.0)
    with pytest.raises(TypeError, match=r"^bias_correction: expected True or False, received 1 \(int\)$"):
        ExponentialAverage(0.9, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^value: expected at least one update before, received none$"):
        _ = ExponentialAverage(0.9).value
    with pytest.raises(ValueError, match=r"^values: expected at least 1 number, received 0$"):
        smoothed([], 0.9)
    with pytest.raises(TypeError, match=r"^centred: expected True or False"):
        smoothed([1.0], 0.9, centred=1)  # type: ignore[arg-type]


def test_smoothed() -> None:
    assert smoothed([4.0, 8.0, 0.0], 0.5).tolist() == [4.0, 5.0 / 0.75, 2.5 / 0.875]
    assert smoothed([4.0, 8.0, 0.0], 0.5, bias_correction=False).tolist() == [2.0, 5.0, 2.5]


def test_centred_hand_computed() -> None:
    """Beta 0.5 of 4, 8, 0: (4 + 4 + 0) / 1.75, (2 + 8 + 0) / 2, (1 + 4 + 0) / 1.75."""
    assert smoothed([4.0, 8.0, 0.0], 0.5, centred=True) == pytest.approx([8.0 / 1.75, 5.0, 5.0 / 1.75], rel=1e-15)
    assert smoothed([4.0, 8.0], 0.0, centred=True).tolist() == [4.0, 8.0]
    with pytest.raises(ValueError, match=r"^bias_correction: expected True for a centred average, received False$"):
        smoothed([1.0], 0.5, bias_correction=False, centred=True)


def test_a_centred_average_does_not_lag() -> None:
    """Of a straight line it is the line, but near the ends; the plain one lags by beta / (1 - beta) = 4 values."""
    line = np.arange(200.0)
    assert smoothed(line, 0.8, centred=True)[50:150] == pytest.approx(line[50:150], abs=1e-3)
    assert smoothed(line, 0.8)[100] == pytest.approx(96.0, abs=1e-6)


def test_repr() -> None:
    assert repr(ExponentialAverage(0.98).update(1.0)) == "<ExponentialAverage: beta 0.98, window 50, 1 values>"
