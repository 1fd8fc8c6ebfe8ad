"""What an argument may be: a number in an interval, True or False, or one of some words. Each checks, and says what it expected."""

from __future__ import annotations

import math
import numbers
import reprlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = [
    "FLAG",
    "NON_NEGATIVE",
    "UNIT",
    "Choice",
    "Domain",
    "Flag",
    "Hyperparameter",
    "HyperparameterValue",
    "Interval",
    "NumberOrNone",
    "describe",
    "masked",
]

HyperparameterValue = float | tuple[float, ...]
"""A number, several, or a flag (a bool is an int, and where a float is expected an int will do)."""


class Domain(Protocol):
    """The values that an argument may take."""

    def __contains__(self, value: Any) -> bool:
        """Whether a value of the right type is one of them."""

    def checked(self, value: Any, name: str) -> Any:
        """The value as the type it is computed with. Raises TypeError or ValueError: argument, expected, received."""


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` on, up to `high`, which is included or not."""

    low: float
    high: float
    high_included: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value and (value < self.high or (self.high_included and value == self.high))

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"a number >= {self.low:g}, or an infinity" if self.high_included else f"a finite number >= {self.low:g}"
        return f"a number in [{self.low:g}, {self.high:g}{']' if self.high_included else ')'}"

    def checked(self, value: Any, name: str) -> float:
        """A real number in the interval, as a float."""
        if value.__class__ is float and value in self:
            return float(value)
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name}: expected {self}, received {describe(value)}")
        real: Any = value
        try:
            converted = float(real)
        except OverflowError:  # an integer or a fraction beyond the floats
            converted = math.inf if real > 0 else -math.inf
        if converted not in self:
            raise ValueError(f"{name}: expected {self}, received {converted!r}")
        return converted


@dataclass(frozen=True)
class NumberOrNone(Interval):
    """None, or a number of the interval."""

    def __contains__(self, value: float | None) -> bool:
        return value is None or super().__contains__(value)

    def __str__(self) -> str:
        return f"None or {super().__str__()}"

    def checked(self, value: Any, name: str) -> Any:
        """None, or the number as a float."""
        return None if value is None else super().checked(value, name)


class Flag:
    """True or False, and nothing that is merely truthy."""

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, bool | np.bool_)

    def __str__(self) -> str:
        return "True or False"

    def checked(self, value: Any, name: str) -> bool:
        """The flag as a bool."""
        if value not in self:
            raise TypeError(f"{name}: expected True or False, received {describe(value)}")
        return bool(value)


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def __contains__(self, value: Any) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.words))}"

    def checked(self, value: Any, name: str) -> str:
        """The word."""
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected {self}; received {describe(value)}")
        if value not in self.words:
            raise ValueError(f"{name}: expected {self}; received {value!r}")
        return value


UNIT = Interval(0.0, 1.0)
NON_NEGATIVE = Interval(0.0, math.inf)
FLAG = Flag()


@dataclass(frozen=True)
class Hyperparameter:
    """A default value (one, or a fixed number of numbers) and where it, or each number, must lie."""

    default: Any
    domain: Domain = NON_NEGATIVE

    def checked(self, value: Any, name: str) -> Any:
        """The value, each number of it in the domain. Raises TypeError or ValueError."""
        if not isinstance(self.default, tuple):
            return self.domain.checked(value, name)
        count = len(self.default)
        if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != count:
            raise TypeError(f"{name}: expected {count} {'flags' if self.domain is FLAG else 'numbers'}, received {describe(value)}")
        return tuple(self.domain.checked(item, f"{name}[{i}]") for i, item in enumerate(value))


def describe(value: Any) -> str:
    """What was received, for a message."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}" + (" with a mask" if masked(value) else "")
    text = _SHORT.repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


class _Short(reprlib.Repr):
    """Of a mapping of large arrays no more than fits in a message: to write it out takes seconds."""

    def repr_ndarray(self, value: Any, level: int) -> str:
        return f"array of {value.dtype} and shape {value.shape}"


_SHORT = _Short()
_SHORT.maxother = _SHORT.maxstring = _SHORT.maxlong = 200


def masked(value: Any) -> bool:
    """Whether an array has a mask; asked without importing numpy.ma (6 ms), which whoever made such an array did."""
    module = sys.modules.get("numpy.ma")
    return module is not None and isinstance(value, module.MaskedArray)
