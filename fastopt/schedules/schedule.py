"""`Schedule`: what every schedule is: a value for each step, arguments that are checked, and a dictionary to be saved as."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Protocol, Self, get_type_hints

from fastopt import arguments
from fastopt.rules.domain import NON_NEGATIVE, describe

__all__ = ["SCHEDULES", "Count", "OrNone", "Part", "Parts", "Schedule", "Several", "Steps", "Value", "Whole", "from_dict", "power"]

SCHEDULES: dict[str, type[Schedule]] = {}
"""Every class of schedules by its name, which files and the command line know it by."""


class _Domain(Protocol):
    def checked(self, value: Any, name: str) -> Any:
        """The value as the type it is computed with. Raises TypeError or ValueError: argument, expected, received."""


class Schedule(ABC):
    """A value for each step: a function of how many steps were made before it, and of nothing else.

    A subclass is a frozen dataclass that says in `at` what the value is, in closed form rather than from the one before, so that a run that
    is stopped and goes on takes the same values to the last bit. Its fields are numbers, words, schedules, or tuples of these; those
    annotated with a domain (`Value`, `Steps`, ...) are checked when one is made. It is known by its class's name, in files too.

    >>> @dataclass(frozen=True)
    ... class Halving(fastopt.schedules.Schedule):
    ...     initial: float
    ...     def at(self, step):
    ...         return self.initial * 0.5**step
    >>> opt = fastopt.SGD(w, lr=Halving(0.1))
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        name, before = cls.__name__, SCHEDULES.get(cls.__name__)
        if before is not None and (before.__module__, before.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{name}: expected a name of its own for a schedule, as files know it by that; {before.__module__} has one")
        SCHEDULES[name] = cls

    def __post_init__(self) -> None:
        for name, domain in _domains(type(self)).items():
            object.__setattr__(self, name, domain.checked(getattr(self, name), f"{type(self).__name__}.{name}"))

    @abstractmethod
    def at(self, step: int) -> float:
        """The value after so many steps, which is known to be an integer >= 0."""

    def __call__(self, step: int) -> float:
        """The value for the step that is made after `step` others: 0 is the first. Raises TypeError or ValueError for what is no count."""
        return self.at(arguments.whole_number(step, "step", 0))

    def observe(self, loss: float) -> Self:
        """This schedule after it was told a loss: itself, unless it is a `Plateau` or has one among its parts."""
        told: dict[str, Any] = {}
        for name, value in self._arguments().items():
            if isinstance(value, Schedule):
                told[name] = value.observe(loss)
            elif isinstance(value, tuple):
                told[name] = tuple(part.observe(loss) if isinstance(part, Schedule) else part for part in value)
        changed = any(new != getattr(self, name) for name, new in told.items())
        return replace(self, **told) if changed else self  # type: ignore[type-var]  # whatever has fields is a dataclass

    @property
    def observes(self) -> bool:
        """Whether a loss that it is told makes a difference."""
        return any(part.observes for part in self._parts())

    def to_dict(self) -> dict[str, Any]:
        """The class's name and every argument, as JSON knows them; `from_dict` makes an equal one of it.

        Raises TypeError for a schedule with attributes that are no arguments, or with arguments of other types.
        """
        own = self._arguments()
        if set(vars(self)) <= set(own):
            return {"class": type(self).__name__, **{name: _plain(value, f"{type(self).__name__}.{name}") for name, value in own.items()}}
        raise TypeError(
            f"{type(self).__name__}: expected a schedule that is a frozen dataclass, all of which can be saved; received another class"
        )

    def _arguments(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in _fields(type(self))}

    def _parts(self) -> Iterator[Schedule]:
        for value in self._arguments().values():
            yield from (part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Schedule))

    def __repr__(self) -> str:
        given = []
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if field.default is MISSING or value != field.default:
                given.append(f"{value!r}" if field.default is MISSING else f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(given)})"


def _fields(cls: type[Schedule]) -> tuple[Field[Any], ...]:
    return fields(cls) if is_dataclass(cls) else ()


@cache
def _domains(cls: type[Schedule]) -> dict[str, _Domain]:
    """Of each argument that has one its domain, from its annotation."""
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in _fields(cls)]
    return {name: hints[name].__metadata__[0] for name in names if hasattr(hints.get(name), "__metadata__")}


@dataclass(frozen=True)
class Whole:
    """The integers from `low` on."""

    low: int

    def checked(self, value: Any, name: str) -> int:
        """The integer."""
        return arguments.whole_number(value, name, self.low)


@dataclass(frozen=True)
class OrNone:
    """None, or a value of a domain."""

    domain: _Domain

    def checked(self, value: Any, name: str) -> Any:
        """The value."""
        return None if value is None else self.domain.checked(value, name)


@dataclass(frozen=True)
class Several:
    """A sequence of values of a domain, at least one; each larger than the one before if `rising`."""

    domain: _Domain
    rising: bool = False

    def checked(self, value: Any, name: str) -> tuple[Any, ...]:
        """The values as a tuple."""
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise TypeError(f"{name}: expected a sequence, received {describe(value)}")
        if not value:
            raise ValueError(f"{name}: expected at least one, received an empty {type(value).__name__}")
        found = tuple(self.domain.checked(item, f"{name}[{i}]") for i, item in enumerate(value))
        if self.rising and any(b <= a for a, b in pairwise(found)):
            raise ValueError(f"{name}: expected each larger than the one before, received {describe(value)}")
        return found


class _AnySchedule:
    """A schedule; a number stands for the one that stays at it."""

    def checked(self, value: Any, name: str) -> Schedule:
        if isinstance(value, Schedule):
            return value
        try:
            return SCHEDULES["Constant"](NON_NEGATIVE.checked(value, name))  # type: ignore[call-arg]
        except TypeError:
            raise TypeError(f"{name}: expected a schedule, or {NON_NEGATIVE}; received {describe(value)}") from None


Value = Annotated[float, NON_NEGATIVE]
Steps = Annotated[int, Whole(1)]
Count = Annotated[int, Whole(0)]
Part = Annotated[Schedule, _AnySchedule()]
Parts = Annotated[tuple[Schedule, ...], Several(_AnySchedule())]


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, Schedule):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name}: expected a number, a word, a schedule, or a tuple of these, which can be saved; received {describe(value)}")


def from_dict(given: Any, label: str = "schedule") -> Schedule:
    """The schedule that `Schedule.to_dict` gave this of. Raises TypeError or ValueError for anything else."""
    if not isinstance(given, Mapping) or not isinstance(given.get("class"), str):
        raise TypeError(f"{label}: expected a mapping with the 'class' of a schedule and its arguments, received {describe(given)}")
    cls = SCHEDULES.get(given["class"])
    if cls is None:
        raise ValueError(
            f"{label}: expected one of {', '.join(SCHEDULES)}, received {given['class']!r} (your own are known once their classes are)"
        )
    own = {field.name: field for field in _fields(cls)}
    arguments_given = {name: value for name, value in given.items() if name != "class"}
    needed = {name for name, field in own.items() if field.default is MISSING and field.default_factory is MISSING}
    if not needed <= set(arguments_given) <= set(own):
        raise ValueError(
            f"{label}: expected {cls.__name__} with {', '.join(own)}; received {', '.join(map(str, arguments_given)) or 'nothing'}"
        )
    return cls(**{name: _restored(value, f"{label}[{name!r}]") for name, value in arguments_given.items()})


def _restored(value: Any, label: str) -> Any:
    if isinstance(value, Mapping):
        return from_dict(value, label)
    if isinstance(value, list | tuple):
        return tuple(_restored(item, f"{label}[{i}]") for i, item in enumerate(value))
    return value


def power(base: float, exponent: float) -> float:
    """base^exponent, and infinity beyond the floats, which whoever takes the value refuses."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
