"""Schedules among an optimizer's arguments: in the place of a number, or of one in a tuple of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt.rules.domain import Domain, Interval
from fastopt.rules.family import Family
from fastopt.schedules.schedule import Schedule, from_dict

__all__ = ["among", "observing", "parts", "saved", "standing", "taken_back", "values_at"]


def among(given: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Those of these arguments that have a schedule, or several, where a family takes numbers. Others are for it to refuse.

    Raises TypeError for a schedule that cannot be saved.
    """
    found = {}
    for name, value in given.items():
        if value.__class__ is float:
            continue
        argument = family.arguments.get(name)
        several = isinstance(value, tuple | list)
        found_in = parts(value)
        if not found_in or argument is None or not isinstance(argument.domain, Interval):
            continue
        if several == isinstance(argument.default, tuple) and (not several or len(value) == len(argument.default)):
            for part in found_in:
                part.to_dict()
            found[name] = tuple(value) if several else value
    return found


def parts(value: Any) -> list[Schedule]:
    """The schedules in an argument."""
    return [part for part in (value if isinstance(value, tuple | list) else (value,)) if isinstance(part, Schedule)]


def values_at(schedules: Mapping[str, Any], steps: int, family: Family) -> dict[str, Any]:
    """What these come to after so many steps. Raises ValueError for what is no value of the argument."""
    found = {}
    for name, given in schedules.items():
        domain = family.arguments[name].domain
        if isinstance(given, Schedule):
            found[name] = _value(given, steps, name, domain)
        else:
            found[name] = tuple(_value(part, steps, f"{name}[{i}]", domain) for i, part in enumerate(given))
    return found


def _value(given: Any, steps: int, label: str, domain: Domain) -> Any:
    if not isinstance(given, Schedule):
        return given
    try:
        value = given.at(steps)
        if value is None:  # where an argument may be None, its kernel is another one
            raise TypeError("received None")
        return domain.checked(value, label)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{label}: expected {domain} of its schedule {given!r} after {steps} steps ({error})") from error


def standing(now: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """What a form is chosen by where arguments change: where one is 0 just now, a number that is not.

    So that a momentum which begins at 0 has its buffer, and no state comes or goes while it changes.
    """
    found = {}
    for name, value in now.items():
        half = 0.5 if 0.5 in family.arguments[name].domain else 0.0
        found[name] = tuple(part or half for part in value) if isinstance(value, tuple) else value or half
    return found


def saved(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they are saved: schedules as dictionaries."""

    def of(part: Any) -> Any:
        return part.to_dict() if isinstance(part, Schedule) else part

    return {name: tuple(map(of, value)) if isinstance(value, tuple) else of(value) for name, value in values.items()}


def taken_back(values: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The same read: dictionaries as schedules. Raises TypeError or ValueError for what is none."""

    def of(part: Any, place: str) -> Any:
        return from_dict(part, place) if isinstance(part, Mapping) else part

    found = {}
    for name, value in values.items():
        place = f"{label}[{name!r}]"
        several = isinstance(value, tuple | list)
        found[name] = tuple(of(part, f"{place}[{i}]") for i, part in enumerate(value)) if several else of(value, place)
    return found


def observing(schedules: Mapping[str, Any], loss: float) -> dict[str, Any]:
    """These after they were told a loss."""

    def of(part: Any) -> Any:
        return part.observe(loss) if isinstance(part, Schedule) else part

    return {name: tuple(map(of, given)) if isinstance(given, tuple) else of(given) for name, given in schedules.items()}
