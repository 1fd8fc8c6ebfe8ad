"""Constructors made from families: what a class takes is stated once, as its family's arguments.

Type checkers do not run this; they read `fastopt/optimizers/__init__.pyi`, which `make documents` writes from the same families
(`fastopt.optimizers.documents`) and a test compares with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastopt.rules.family import Family

__all__ = ["OPTIONS", "constructor", "signature"]

OPTIONS: dict[str, tuple[str, Any]] = {
    "max_norm": ("float | None", None),
    "accumulate": ("int", 1),
    "nonfinite": ("str", "propagate"),
    "backend": ("str", "auto"),
    "num_threads": ("int | None", None),
    "state_dtype": ("Any", None),
    "stochastic_rounding": ("bool | None", None),
    "narrow_from": ("int | None", None),
    "master_bits": ("int | None", None),
    "grad_dtype": ("Any", None),
    "groups": ("Mapping[str, Mapping[str, Any]] | None", None),
}
"""What every optimizer takes besides what its step depends on: the type as it is written, and the default."""


def signature(family: Family) -> inspect.Signature:
    """What the constructor of a family's class takes, `self` included."""
    kinds = inspect.Parameter
    positional = [kinds(name, kinds.POSITIONAL_OR_KEYWORD) for name in ("self", "params")]
    positional += [
        kinds(name, kinds.POSITIONAL_OR_KEYWORD, default=argument.default)
        for name, argument in family.arguments.items()
        if not argument.keyword_only
    ]
    by_name = {name: argument.default for name, argument in family.arguments.items() if argument.keyword_only}
    by_name |= {name: default for name, (_, default) in OPTIONS.items()}
    return inspect.Signature([*positional, *(kinds(name, kinds.KEYWORD_ONLY, default=default) for name, default in by_name.items())])


def constructor(family: Family, class_name: str) -> Callable[..., None]:
    """The `__init__` of a family's class. What was not given is the convention's to decide, so defaults are filled in by the family."""
    positional = [name for name, argument in family.arguments.items() if not argument.keyword_only]

    def __init__(self: Any, params: Any, *arguments: Any, **keywords: Any) -> None:  # noqa: N807
        if len(arguments) > len(positional):
            raise TypeError(
                f"{class_name}: expected at most {1 + len(positional)} arguments by position "
                f"(params, {', '.join(positional)}), received {1 + len(arguments)}"
            )
        given = dict(zip(positional, arguments, strict=False))
        for name in given:
            if name in keywords:
                raise TypeError(f"{name}: received by position and by name")
        options = {name: keywords.pop(name, default) for name, (_, default) in OPTIONS.items()}
        self._begin(params, family, {**given, **keywords}, options)

    __init__.__signature__ = signature(family)  # type: ignore[attr-defined]  # what help() and IDEs read
    __init__.__qualname__ = f"{class_name}.__init__"
    return __init__
