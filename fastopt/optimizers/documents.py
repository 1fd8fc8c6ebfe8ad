"""What is written from the families: the types that type checkers read, and the README's table of optimizers.

    python -m fastopt.optimizers.documents          # in the root of the source tree; `make documents`

Constructors are made when a class is (`construction`), which no type checker runs. It reads `__init__.pyi` instead: the same
signatures as text. A test asks that both files are what this module writes.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from fastopt import optimizers
from fastopt.optimizers.construction import OPTIONS, signature
from fastopt.rules.domain import FLAG, Choice, NumberOrNone
from fastopt.rules.entry import RULES
from fastopt.rules.family import Argument, Family, forms_of

__all__ = ["STUB", "named", "replaced", "stub", "table"]

STUB = Path("fastopt", "optimizers", "__init__.pyi")
BEGIN, END = "<!-- optimizers: begin (written from the families by `make documents`) -->\n", "<!-- optimizers: end -->\n"


def named() -> list[tuple[type[optimizers.Optimizer], Family]]:
    """The classes that are made of a family, in the order of their names, each after what it is derived from."""
    classes = [value for name, value in sorted(vars(optimizers).items()) if name in optimizers.__all__ and value.family is not None]
    classes.sort(key=lambda cls: len(cls.__mro__))
    return [(cls, cls.family) for cls in classes]


def stub() -> str:
    """The text of `__init__.pyi`."""
    shared = dict.fromkeys(cls.__bases__[0] for cls, _ in named() if cls.__bases__[0].__name__ not in optimizers.__all__)
    bases = "".join(f"from {base.__module__} import {base.__name__} as {base.__name__}\n" for base in shared)
    parts = [
        "# Written from the families by `make documents` (fastopt.optimizers.documents): change those, not this.\n\n"
        "from collections.abc import Mapping\nfrom typing import Any, Literal\n\n"
        "from fastopt.optimizers.base import Optimizer as Optimizer\n"
        f"{bases}from fastopt.schedules import Schedule\n\n__all__ = [\n"
        + "".join(f'    "{name}",\n' for name in optimizers.__all__)
        + "]\n"
    ]
    for cls, family in named():
        lines = [f"\nclass {cls.__name__}({cls.__bases__[0].__name__}):\n    def __init__(\n"]
        star = False
        for parameter in signature(family).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY and not star:
                lines.append("        *,\n")
                star = True
            lines.append(f"        {_parameter(parameter, family)},\n")
        parts.append("".join([*lines, "    ) -> None: ...\n"]))
    return "".join(parts)


def _parameter(parameter: inspect.Parameter, family: Family) -> str:
    if parameter.name == "self":
        return "self"
    if parameter.name == "params":
        return "params: Any"
    kind = OPTIONS[parameter.name][0] if parameter.name in OPTIONS else _type(family.arguments[parameter.name])
    return f"{parameter.name}: {kind} = {_literal(parameter.default)}"


def _type(argument: Argument) -> str:
    if isinstance(argument.domain, Choice):
        return f"Literal[{', '.join(_literal(word) for word in argument.domain.words)}]"
    single = "bool" if argument.domain is FLAG else "float | Schedule"
    if isinstance(argument.domain, NumberOrNone):
        single += " | None"
    return f"tuple[{', '.join([single] * len(argument.default))}]" if isinstance(argument.default, tuple) else single


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def table() -> str:
    """The README's table: a row for each class, and one for `Optimizer`."""
    rows = ["| class | rules | bytes | arguments and their defaults | conventions |\n|---|---|--:|---|---|\n"]
    for cls, family in named():
        forms = forms_of(family)
        rules, moved = ", ".join(f"`{name}`" for name in forms), sorted({RULES[name].bytes_per_parameter(4) for name in forms})
        traffic = " to ".join(str(count) for count in dict.fromkeys((moved[0], moved[-1])))
        given = {name: argument for name, argument in family.arguments.items() if name in ("lr", *family.own)}
        arguments = ", ".join(f"{name}={_shown(argument)}" for name, argument in given.items())
        arguments += "".join(f", {name}={value!r}" for name, value in family.changed_defaults.items())
        conventions = ", ".join(f"`{name}`" for name in family.conventions)
        rows.append(f"| `{cls.__name__}` | {rules} | {traffic} | `{arguments}` | {conventions or '-'} |\n")
    rows.append("| `Optimizer` | any, by name or from `@fastopt.rule` | | `rule, lr`, and the rule's own | - |\n")
    return "".join(rows)


def _shown(argument: Argument) -> str:
    if isinstance(argument.domain, Choice):
        return " \\| ".join(f'"{word}"' for word in argument.domain.words)
    return f"{argument.default!r}"


def replaced(text: str) -> str:
    """The README with its table written anew."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END, 1)[1]


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
    readme = Path("README.md")
    readme.write_text(replaced(readme.read_text(encoding="utf-8")), encoding="utf-8")
