"""The language a rule is written in: straight-line scalar arithmetic, and nothing else.

Everything compiled comes from the text of a rule (`fastopt.transcribe`), so the text may only say what every backend
can repeat to the last bit. A rule may

- assign to local names, and end in one `return` of the new parameter and the new states;
- use `+ - * /`, unary minus, and `a if b < c else d` with any one comparison;
- call the functions of this module: `sqrt`, `absolute`, `maximum`, `minimum`, `sign`.

It may not contain a number: `1.0 - beta` is float64 arithmetic in Numba and in C, and float32 arithmetic in NumPy.
Constants come in as scalars, computed once a step on the host in float64 (`Rule.scalars`).

A rule that comes in several forms states them in one text, with static options (`fastopt.rules.options`).

The functions here are the meaning of those names for Python floats, so a rule can be called as it stands: that is what
the hand-computed tests do. Each backend has its own spelling of them with the same results.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from fastopt.rules.options import Decision, fold
from fastopt.rules.text import definition_of

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
    """A rule's text, parsed and checked: parameter names, assignments in order, and the expressions it returns.

    With options, the text of one form: `options_met` are the tests that were folded away.
    """

    name: str
    parameters: tuple[str, ...]
    assignments: tuple[tuple[str, ast.expr], ...]
    results: tuple[ast.expr, ...]
    options_met: frozenset[Decision] = frozenset()


def parse(function: Callable[..., object], options: Mapping[str, bool] | None = None) -> ScalarFunction:
    """Reads a scalar function, folds its options away, and checks that what is left keeps to the language above.

    A state that a form of a function with options hands back as it came, and uses for nothing else, is none of that form's: it is
    missing among the parameters and the results.

    Raises ValueError naming the function, the line within it and what is not allowed there.
    """
    return _Reader(definition_of(function), options or {}).read()


def _compares(node: ast.IfExp) -> bool:
    assert isinstance(node.test, ast.Compare)
    return isinstance(node.test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.Eq | ast.NotEq)


class _Reader:
    """One pass over a definition; keeps the names known so far, so that a free name is refused."""

    def __init__(self, definition: ast.FunctionDef, options: Mapping[str, bool]) -> None:
        self.definition = definition
        arguments = definition.args
        if arguments.vararg or arguments.kwarg or arguments.defaults or any(arguments.kw_defaults):
            self.refuse(definition, "parameters with defaults, *args or **kwargs")
        self.parameters = tuple(a.arg for a in (*arguments.posonlyargs, *arguments.args))
        self.known = set(self.parameters)
        own = [a.arg for a in arguments.kwonlyargs]
        if set(own) != set(options):
            self.refuse(definition, f"options ({', '.join(own) or 'none'}) of which a form settles others ({', '.join(options) or 'none'})")
        self.options = options

    def line(self, node: ast.AST) -> int:
        return getattr(node, "lineno", self.definition.lineno) - self.definition.lineno + 1

    def refuse(self, node: ast.AST, what: str) -> NoReturn:
        raise ValueError(
            f"rule {self.definition.name!r}, line {self.line(node)}: {what} cannot be used in a rule, "
            "which is straight-line arithmetic on its parameters (see fastopt.rules.language)"
        )

    def read(self) -> ScalarFunction:
        body, met = fold(self.definition.body, self.options, self.refuse)
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]  # the docstring
        last = body[-1] if body else None
        if not isinstance(last, ast.Return) or last.value is None:
            self.refuse(self.definition, "a body that does not end in `return`")
        assignments = tuple(self.assignment(statement) for statement in body[:-1])
        results = tuple(last.value.elts) if isinstance(last.value, ast.Tuple) else (last.value,)
        for result in results:
            self.expression(result)
        parameters = self.parameters
        if self.options:
            idle = self.idle(assignments, results)
            parameters = tuple(name for name in parameters if name not in idle)
            results = tuple(result for result in results if not (isinstance(result, ast.Name) and result.id in idle))
        options_met = frozenset((self.line(test), ast.unparse(test), value) for test, value in met)
        return ScalarFunction(self.definition.name, parameters, assignments, results, options_met)

    def idle(self, assignments: tuple[tuple[str, ast.expr], ...], results: tuple[ast.expr, ...]) -> set[str]:
        """The states that are handed back as they came, and have no other part in the function."""
        states = self.parameters[2 : 1 + len(results)]
        back = {name for name, result in zip(states, results[1:], strict=False) if isinstance(result, ast.Name) and result.id == name}
        mentioned = [name for name, _ in assignments]
        for expression in (*(value for _, value in assignments), *results):
            mentioned += [node.id for node in ast.walk(expression) if isinstance(node, ast.Name)]
        return {name for name in back if mentioned.count(name) == 1}

    def assignment(self, statement: ast.stmt) -> tuple[str, ast.expr]:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or not isinstance(statement.targets[0], ast.Name):
            self.refuse(statement, f"`{ast.unparse(statement).splitlines()[0]}`")
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
