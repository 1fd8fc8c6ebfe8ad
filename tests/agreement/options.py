"""What there is to choose in a framework's own optimizer, found from its signature: a forgotten option is a failure."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fastopt.crosscheck import other_value
from fastopt.rules.domain import Choice
from fastopt.rules.family import Convention, Family

__all__ = ["choices", "correspondence", "walks"]

Options = dict[str, Any]


def correspondence(theirs: Callable[..., Any], family: Family, convention: Convention, without: Mapping[str, str]) -> dict[str, str]:
    """Their names of arguments -> ours. Fails for one that is neither an argument here nor, with a reason, left out."""
    found = {}
    for name, parameter in inspect.signature(theirs).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name in without:
            continue
        own = convention.names.get(name, name)
        assert own in family.arguments, f"{name} of {theirs} is no argument of {family.name}, and nothing says why"
        found[name] = own
    return found


def choices(family: Family, framework: str, names: Mapping[str, str]) -> dict[str, tuple[Any, Any]]:
    """For each of their arguments, as they take it: the default under the convention, and another value."""
    members: dict[str, list[str]] = {}
    for theirs, own in names.items():
        members.setdefault(own, []).append(theirs)
    defaults = family.defaults(framework)
    found: dict[str, tuple[Any, Any]] = {}
    for own, several in members.items():
        argument = family.arguments[own]
        if own == "lr" or isinstance(argument.domain, Choice):
            continue
        default = defaults[own]
        other = 0.3 if own == "weight_decay" else other_value(replace(argument, default=default))
        if isinstance(default, tuple) and several != [own]:
            found |= {theirs: (default[i], other[i]) for i, theirs in enumerate(several)}
        else:
            found[several[0]] = default, other
    return found


def walks(
    family: Family, framework: str, names: Mapping[str, str], every: Mapping[str, tuple[Any, Any]]
) -> Iterator[tuple[Options, Options]]:
    """(their options, ours): nothing given; all numbers at another value, with each flag on and off, and each two of them."""
    numbers = {name: pair for name, pair in every.items() if not isinstance(pair[0], bool)}
    flags = [name for name, pair in every.items() if isinstance(pair[0], bool)]
    yield {}, {}
    switched = [(), *((flag,) for flag in flags), *itertools.combinations(flags, 2)]
    for values in ({}, {name: pair[1] for name, pair in numbers.items()}):
        for on in switched:
            theirs = {**values, **{flag: every[flag][1] for flag in on}}
            if theirs:
                yield theirs, as_ours(family.defaults(framework), names, theirs)


def as_ours(defaults: Mapping[str, Any], names: Mapping[str, str], theirs: Options) -> Options:
    """Their options under our names; where several of theirs are one of ours, those not given have the default."""
    found: Options = {}
    for own in dict.fromkeys(names[name] for name in theirs):
        several = [name for name, target in names.items() if target == own]
        if len(several) > 1:
            found[own] = tuple(theirs.get(name, defaults[own][i]) for i, name in enumerate(several))
        else:
            found[own] = theirs[several[0]]
    return found
