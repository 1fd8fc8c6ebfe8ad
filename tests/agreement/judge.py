"""What every judge answers: which classes it has, what there is to choose, and the path of its own optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import fastopt
from fastopt.rules.family import FAMILIES, Convention, Family
from tests.agreement.paths import Walk, apart, constant, learning_rate, ours

__all__ = ["CELLS", "Cell", "Judge", "judge"]


class Judge(Protocol):
    """A module `tests.agreement.of_<framework>`."""

    NEEDS: tuple[str, ...]
    """The modules without which it cannot judge."""

    CLASSES: Mapping[str, tuple[str, ...]]
    """Our family's name -> what it is called there; several where options here are optimizers of their own there."""

    WITHOUT: Mapping[str, str]
    """Arguments that are left out, and why."""

    def maker(self, name: str) -> Any:
        """Their optimizer of that name."""

    def cases(self, family: Family, convention: Convention, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(their options, ours) to walk with. Fails where they have an option that is nowhere here."""

    def walk(self, name: str, options: dict[str, Any], rates: Any) -> Walk:
        """The path of their optimizer; None of theirs raises ValueError for options that do not go together."""


def judge(framework: str) -> Judge:
    return cast("Judge", import_module(f"tests.agreement.of_{framework}"))


FRAMEWORKS = ("torch", "keras", "optax", "sklearn")


@dataclass(frozen=True)
class Cell:
    """A class under a framework's convention."""

    framework: str
    family: str

    def __str__(self) -> str:
        return f"{self.family}, {self.framework}"

    def differences(self) -> Iterator[tuple[str, dict[str, Any], float]]:
        """What was walked with, and how far apart the paths were. Both may refuse options that do not go together, and then both do."""
        family, judging = FAMILIES[self.family], judge(self.framework)
        convention = family.conventions[self.framework]
        make = getattr(fastopt, self.family)
        for name in judging.CLASSES[self.family]:
            rates = constant if name in getattr(judging, "AT_ONE_RATE", ()) else learning_rate
            for theirs, own in judging.cases(family, convention, name):
                given = {**own, "convention": self.framework}
                try:
                    family.settle({"lr": 0.5, **given})
                except ValueError:
                    refused = name in getattr(judging, "REFUSED_HERE", ())
                    try:
                        judging.walk(name, theirs, rates)
                    except ValueError:
                        refused = True
                    assert refused, f"{name}: {theirs} is refused here and not there"
                    continue
                yield name, theirs, apart(ours(make, given, rates), judging.walk(name, theirs, rates), convention.states)


CELLS = [Cell(framework, name) for name, family in FAMILIES.items() for framework in FRAMEWORKS if framework in family.conventions]
