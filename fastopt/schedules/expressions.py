"""A schedule as somebody writes it on a command line: `warmup(100, cosine(0.1, steps=900))`. Nothing of it is run."""

from __future__ import annotations

import ast
from typing import Any

from fastopt.schedules.schedule import SCHEDULES, Schedule

__all__ = ["parse"]


def parse(text: str) -> Schedule:
    """The schedule that is written: a name, in any case and with or without underscores, and its arguments: numbers, words in quotes,
    True, False and None, lists of these in brackets, and schedules.

    Raises ValueError for what is no such expression, and TypeError or ValueError for what a schedule refuses.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"schedule: expected an expression such as 'cosine(0.1, steps=1000)', received {text!r} ({error})") from None
    if not isinstance(tree, ast.Call):
        raise ValueError(f"schedule: expected an expression such as 'cosine(0.1, steps=1000)', received {text!r}")
    return _call(tree)


def _call(node: ast.Call) -> Schedule:
    name = ast.unparse(node.func)
    known = {_short(key): cls for key, cls in SCHEDULES.items()}
    cls = known.get(_short(name))
    if cls is None:
        raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}; received {name!r}")
    keywords = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError(f"{name}: expected arguments by name or place, received {ast.unparse(keyword)!r}")
        keywords[keyword.arg] = _value(keyword.value)
    try:
        return cls(*map(_value, node.args), **keywords)
    except TypeError as error:
        raise TypeError(str(error).replace("__init__()", "").replace(f"{cls.__name__}. ", f"{cls.__name__}: ")) from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(map(_value, node.elts))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | int | float | str)):
        return node.value
    raise ValueError(f"schedule: expected numbers, words in quotes, lists of them and schedules; received {ast.unparse(node)!r}")


def _short(name: str) -> str:
    return name.replace("_", "").lower()
