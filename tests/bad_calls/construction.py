"""An entry in the table of calls that build an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bad_calls.arrays import Array


@dataclass(frozen=True)
class Construction:
    """A call that builds an optimizer; `make` gets a fresh array of six float64, which must be as before if it fails."""

    id: str
    make: Callable[[Array], Any]
    error: type[Exception] | None = None
    words: str = ""
    works: Callable[[Any], bool] | None = None
    backend: str | None = None


def constructions(error: type[Exception], *entries: tuple[str, Callable[[Array], Any], str]) -> list[Construction]:
    return [Construction(name, make, error, words) for name, make, words in entries]


def hyperparameter(cls: Callable[..., Any], name: str, *entries: tuple[Any, type[Exception], str], **others: Any) -> list[Construction]:
    """One argument with bad values."""

    def entry(value: Any, error: type[Exception], words: str) -> Construction:
        id = ", ".join([f"{name}={value!r:.24}", *(f"{key}={other!r}" for key, other in others.items())])
        words = words if words.startswith("^") else rf"^{name}: .*{words}"
        return Construction(
            f"{cls.__name__}({id})", lambda p: cls(p, **{name: value}, **others), error, words, backend=others.get("backend")
        )

    return [entry(*e) for e in entries]
