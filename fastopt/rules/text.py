"""The text of a function, and whether it is what the function was compiled from: what is compiled elsewhere has to be what runs here."""

from __future__ import annotations

import ast
import dis
import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import NoReturn

__all__ = ["definition_of"]

SKIPPED = frozenset(("CACHE", "COPY_FREE_VARS", "EXTENDED_ARG", "MAKE_CELL", "NOP", "PRECALL", "PUSH_NULL", "RESUME"))
"""Instructions that say how a name is reached, and nothing of what is computed."""


def definition_of(function: Callable[..., object]) -> ast.FunctionDef:
    """The definition of a function, parsed.

    Raises ValueError, naming the function, where there is no text, where it is not one `def`, or where it is another function's: that of
    one under a decorator that puts something around it, made by `exec` under the name of a file, or whose file has changed since.
    """
    name = getattr(function, "__name__", repr(function))

    def refuse(what: str, cause: BaseException | None = None) -> NoReturn:
        raise ValueError(f"rule {name!r}: {what}") from cause

    if not isinstance(function, FunctionType):
        refuse(f"expected a function written with `def`, received {type(function).__name__}")
    if hasattr(function, "__wrapped__"):
        refuse("another decorator has put something around it, which would not be compiled; expected `fastopt.rule` next to the function")
    if function.__code__.co_name == "<lambda>":
        refuse("expected a function written with `def`, received a lambda")
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError, SyntaxError) as error:
        refuse(f"its source text is needed to compile it and was not found ({error})", error)
    try:
        # within a block where it is indented: lines of its own may begin further left (comments, the rest of a docstring)
        (found,) = ast.parse(f"if True:\n{text}").body[0].body if text[:1].isspace() else ast.parse(text).body  # type: ignore[attr-defined]
    except (SyntaxError, ValueError) as error:
        refuse(f"its source text is needed to compile it, and what was found is not one function ({error})", error)
    if not isinstance(found, ast.FunctionDef):
        refuse(f"expected a function written with `def`, received {type(found).__name__}")
    if found.name != function.__code__.co_name or _computes(_compiled(found)) != _computes(function.__code__):
        where = f"{function.__code__.co_filename}, line {function.__code__.co_firstlineno}"
        refuse(f"the text found for it ({where}) is not what it was compiled from; expected a file that is as it was when it was imported")
    return found


def _compiled(definition: ast.FunctionDef) -> CodeType:
    bare = ast.FunctionDef(**{**dict(ast.iter_fields(definition)), "decorator_list": [], "returns": None})
    ast.copy_location(bare, definition)
    module = compile(ast.Module([bare], []), "<text of a rule>", "exec", dont_inherit=True)
    return next(value for value in module.co_consts if isinstance(value, CodeType) and value.co_name == definition.name)


def _computes(code: CodeType) -> tuple[object, ...]:
    """What two functions of one text have in common, wherever their names come from."""
    steps = []
    for found in dis.get_instructions(code):
        if found.opname in SKIPPED:
            continue
        jumps = "JUMP" in found.opname or found.opname.startswith("FOR_")
        kind = "LOAD" if found.opname.startswith("LOAD_") and isinstance(found.argval, str) else found.opname
        steps.append((kind, None if jumps or isinstance(found.argval, CodeType) else repr(found.argval)))
    return (code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *steps)
