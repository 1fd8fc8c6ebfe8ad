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
