"""The language a rule is written in: straight-line scalar arithmetic, and nothing else.

Everything compiled comes from the text of a rule (`fastopt.transcribe`), so the text may only say what every backend
can repeat to the last bit. A rule may

- assign to local names, and end in one `return` of the new parameter and the new states;
- use `+ - * /`, unary minus, and `a if b < c else d` with any one comparison;
- call the functions of this module: `sqrt`, `absolute`, `maximum`, `minimum`, `sign`.

It may not contain a number: `1.0 - beta` is float64 arithmetic in Numba and in C, and float32 arithmetic in NumPy.
Constants come in as scalars, computed once a step on the host in float64 (`Rule.scalars`).

The functions here are the meaning of those names for Python floats, so a rule can be called as it stands: that is what
the hand-computed tests do. Each backend has its own spelling of them with the same results.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FUNCTIONS", "ScalarFunction", "absolute", "maximum", "minimum", "parse", "sign", "sqrt"]


def sqrt(x: float) -> float:
    """The correctly rounded square root; NaN below zero (where `math.sqrt` raises), and -0 for -0."""
    return math.nan if x < 0 else math.sqrt(x)


def absolute(x: float) -> float:
    """The magnitude of x; +0 for -0."""
    return math.fabs(x)


def maximum(a: float, b: float) -> float:
    """The larger of two values; NaN if either is NaN; b where they compare equal."""
    return a if a > b or a != a else b


def minimum(a: float, b: float) -> float:
    """The smaller of two values; NaN if either is NaN; b where they compare equal."""
    return a if a < b or a != a else b


def sign(x: float) -> float:
    """1, -1, +0 for a zero of either sign, or NaN for NaN."""
    if x != x:
        return x
    return 1.0 if x > 0 else (-1.0 if x < 0 else 0.0)


FUNCTIONS: dict[str, int] = {"sqrt": 1, "absolute": 1, "maximum": 2, "minimum": 2, "sign": 1}
"""Every function a rule may call, and how many arguments it takes."""


@dataclass(frozen=True)
class ScalarFunction:
    """A rule's text, parsed and checked: parameter names, assignments in order, and the expressions it returns."""

    name: str
    parameters: tuple[str, ...]
    assignments: tuple[tuple[str, ast.expr], ...]
    results: tuple[ast.expr, ...]


def parse(function: Callable[..., object]) -> ScalarFunction:
    """Reads a scalar function and checks that it keeps to the language above.

    Raises ValueError naming the function, the line within it and what is not allowed there.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise ValueError(f"rule {function!r}: its source text is needed to compile it and was not found ({error})") from error
    definition = ast.parse(text).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise ValueError(f"rule {function!r}: expected a function written with `def`, received {type(definition).__name__}")
    return _Reader(definition).read()


def _compares(node: ast.IfExp) -> bool:
    assert isinstance(node.test, ast.Compare)
    return isinstance(node.test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.Eq | ast.NotEq)


class _Reader:
    """One pass over a definition; keeps the names known so far, so that a free name is refused."""

    def __init__(self, definition: ast.FunctionDef) -> None:
        self.definition = definition
        arguments = definition.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.refuse(definition, "parameters with defaults, *args, **kwargs or keyword-only parameters")
        self.parameters = tuple(a.arg for a in (*arguments.posonlyargs, *arguments.args))
        self.known = set(self.parameters)

    def refuse(self, node: ast.AST, what: str) -> None:
        line = getattr(node, "lineno", self.definition.lineno) - self.definition.lineno + 1
        raise ValueError(
            f"rule {self.definition.name!r}, line {line}: {what} cannot be used in a rule, "
            "which is straight-line arithmetic on its parameters (see fastopt.rules.language)"
        )

    def read(self) -> ScalarFunction:
        body = list(self.definition.body)
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]  # the docstring
        if not body or not isinstance(body[-1], ast.Return) or body[-1].value is None:
            self.refuse(self.definition, "a body that does not end in `return`")
        last = body[-1]
        assert isinstance(last, ast.Return)
        assert last.value is not None
        assignments = tuple(self.assignment(statement) for statement in body[:-1])
        results = tuple(last.value.elts) if isinstance(last.value, ast.Tuple) else (last.value,)
        for result in results:
            self.expression(result)
        return ScalarFunction(self.definition.name, self.parameters, assignments, results)

    def assignment(self, statement: ast.stmt) -> tuple[str, ast.expr]:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or not isinstance(statement.targets[0], ast.Name):
            self.refuse(statement, f"`{ast.unparse(statement).splitlines()[0]}`")
        assert isinstance(statement, ast.Assign)
        assert isinstance(statement.targets[0], ast.Name)
        self.expression(statement.value)
        self.known.add(statement.targets[0].id)
        return statement.targets[0].id, statement.value

    def expression(self, node: ast.expr) -> None:
        match node:
            case ast.Name(id=name):
                if name not in self.known:
                    self.refuse(node, f"the name `{name}`, which is neither a parameter nor assigned before,")
            case ast.Constant(value=value):
                self.refuse(node, f"the literal {value!r} (make it a hyperparameter or a scalar)")
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
                self.expression(left)
                self.expression(right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self.expression(operand)
            case ast.IfExp(test=ast.Compare(left=left, ops=[_], comparators=[right]), body=body, orelse=orelse) if _compares(node):
                for part in (left, right, body, orelse):
                    self.expression(part)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if FUNCTIONS.get(name) == len(args):
                for argument in args:
                    self.expression(argument)
            case _:
                self.refuse(node, f"`{ast.unparse(node)}`")
