"""The checks one by one. (In concert, with everything left as it was: tests/bad_calls.)"""

from __future__ import annotations

import fractions
from typing import Any

import numpy as np
import pytest

from fastopt import arguments
from fastopt.host import arrays
from fastopt.rules.entry import UNIT


def test_number_gives_a_float() -> None:
    for value in (0.5, np.float32(0.5), np.float64(0.5), fractions.Fraction(1, 2)):
        assert type(arguments.number(value, "x")) is float
        assert arguments.number(value, "x") == 0.5
    assert arguments.number(3, "x") == 3.0
    assert arguments.number(np.int8(3), "x") == 3.0
    assert arguments.number(0, "x", UNIT) == 0.0
    with pytest.raises(ValueError, match=r"^x: expected a number in \[0, 1\), received 1\.0$"):
        arguments.number(1, "x", UNIT)
    with pytest.raises(ValueError, match=r"^x: expected a finite number >= 0, received inf$"):
        arguments.number(fractions.Fraction(10**400), "x")


def test_whole_number() -> None:
    assert arguments.whole_number(3, "n", 1) == 3
    assert type(arguments.whole_number(np.uint8(3), "n", 1)) is int
    assert arguments.whole_number(2**63 - 1, "n", 0) == 2**63 - 1
    for value, error in (
        (0, ValueError),
        (2**63, ValueError),
        (1.0, TypeError),
        (True, TypeError),
        (np.True_, TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match=r"^n: expected an integer >= 1"):
            arguments.whole_number(value, "n", 1)


def test_positive() -> None:
    assert arguments.positive(3, "x") == 3.0
    assert type(arguments.positive(np.float32(0.5), "x")) is float
    for value, over, error, words in (
        (0.0, 0.0, ValueError, r"^x: expected a finite number > 0, received 0\.0$"),
        (2, 2.5, ValueError, r"^x: expected a finite number > 2\.5, received 2\.0$"),
        (float("inf"), 0.0, ValueError, r"^x: expected a finite number > 0, received inf$"),
        (float("nan"), 0.0, ValueError, r"^x: expected a finite number > 0, received nan$"),
        (10**400, 0.0, ValueError, r"^x: expected a finite number > 0, received inf$"),
        (True, 0.0, TypeError, r"^x: expected a finite number > 0, received True \(bool\)$"),
        ("1", 0.0, TypeError, r"^x: expected a finite number > 0, received '1' \(str\)$"),
    ):
        with pytest.raises(error, match=words):
            arguments.positive(value, "x", over)


def test_any_number() -> None:
    assert arguments.any_number(float("-inf"), "x") == float("-inf")
    assert arguments.any_number(10**400, "x") == float("inf")
    assert arguments.any_number(-(10**400), "x") == float("-inf")
    for value in (True, np.True_, "1", None, 1j):
        with pytest.raises(TypeError, match=r"^x: expected a number, received "):
            arguments.any_number(value, "x")


def test_series() -> None:
    given = np.array([1, 2], np.int8)
    found = arguments.series(given, "x", 2)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0]
    own = np.array([1.0, float("nan")])
    assert not np.shares_memory(arguments.series(own, "x", 0), own)
    assert arguments.series(iter([1, 2.5]), "x", 0).tolist() == [1.0, 2.5]
    assert arguments.series((), "x", 0).shape == (0,)
    for value, error, words in (
        ("12", TypeError, r"^x: expected a series of numbers, received '12' \(str\)$"),
        (5, TypeError, r"^x: expected a series of numbers, received 5 \(int\)$"),
        ([1, "a"], TypeError, r"^x: expected a series of numbers, received "),
        ([[1], [1, 2]], TypeError, r"^x: expected a series of numbers, received "),
        ([True], TypeError, r"^x: expected a series of numbers, received "),
        (np.zeros((2, 2)), ValueError, r"^x: expected a series of one dimension, received an array of float64 and shape \(2, 2\)$"),
        ([1.0], ValueError, r"^x: expected at least 2 numbers, received 1$"),
    ):
        with pytest.raises(error, match=words):
            arguments.series(value, "x", 2)


def test_choice() -> None:
    assert arguments.choice("a", "c", ("a", "b")) == "a"
    with pytest.raises(ValueError, match=r"^c: expected one of 'a', 'b'; received 'c'$"):
        arguments.choice("c", "c", ("a", "b"))


def test_long_values_are_cut_short_in_messages() -> None:
    with pytest.raises(TypeError) as caught:
        arguments.number("x" * 1000, "lr")
    assert len(str(caught.value)) < 150
    assert "..." in str(caught.value)


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros((2, 3), np.float32), np.zeros(()), np.zeros((0, 3)), np.zeros((3, 1)).T])
def test_array_takes(value: Any) -> None:
    arrays.parameter(value, "a")


def test_read_only_where_it_is_only_read() -> None:
    value = np.broadcast_to(np.zeros(1), (1,))
    arrays.parameter(value, "a", writeable=False)
    with pytest.raises(ValueError, match=r"^a: expected a writeable array, received a read-only one$"):
        arrays.parameter(value, "a")
