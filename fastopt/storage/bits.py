"""The language in which a storage says what its patterns of bits mean: straight-line arithmetic on 32-bit patterns.

As rules are, these texts are written once and transcribed into every dialect. All values are unsigned integers of 32 bits, and
arithmetic wraps. A text may

- assign to local names, and end in one `return` of one value;
- use `+ - * & | << >>`, integer literals, and `a if b < c else d` with any one comparison;
- call `plus`, `times`, `over`, `converted` and `unknown`, which look at patterns as at float32 numbers, and `halved`, which looks at
  one as at an integer with a sign.

The functions here are the meaning of those names for Python's integers, so a text can be called as it stands.
"""

from __future__ import annotations

import ast
import copy
import inspect
import struct
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["FUNCTIONS", "OPERATORS", "BitText", "converted", "halved", "over", "parse", "plus", "times", "unknown"]

FUNCTIONS: dict[str, int] = {"plus": 2, "times": 2, "over": 2, "converted": 1, "unknown": 1, "halved": 1}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "bits_add",
    ast.Sub: "bits_subtract",
    ast.Mult: "bits_multiply",
    ast.BitAnd: "bits_and",
    ast.BitOr: "bits_or",
    ast.LShift: "bits_left",
    ast.RShift: "bits_right",
}
"""What a text may do, and what the operations are called in dialects whose own operators would widen their operands."""


def _float(bits: int) -> np.float32:
    return np.float32(struct.unpack("f", struct.pack("I", bits & 0xFFFFFFFF))[0])


def _bits(value: np.float32) -> int:
    return int(struct.unpack("I", struct.pack("f", value))[0])


def plus(a: int, b: int) -> int:
    """The pattern of the float32 sum of what two patterns stand for, rounded to nearest even."""
    return _bits(_float(a) + _float(b))


def times(a: int, b: int) -> int:
    """The pattern of the float32 product."""
    with np.errstate(over="ignore"):
        return _bits(_float(a) * _float(b))


def over(a: int, b: int) -> int:
    """The pattern of the float32 quotient."""
    return _bits(_float(a) / _float(b))


def converted(n: int) -> int:
    """The pattern of the float32 that is nearest to an integer, whose 32 bits are two's complement."""
    return _bits(np.float32(np.int32(np.uint32(n & 0xFFFFFFFF))))


def unknown(bits: int) -> int:
    """1 for the pattern of a NaN, 0 for any other: one comparison, where the pattern's own bits would take two operations."""
    return int(np.isnan(_float(bits)))


def halved(n: int) -> int:
    """The half of an integer in two's complement, rounded down: a shift to the right that leaves its first bit where it is, too."""
    return (n & 0xFFFFFFFF) >> 1 | n & 0x80000000


@dataclass(frozen=True)
class BitText:
    """A text, parsed and checked: its parameters, the assignments in order, and the result."""

    name: str
    parameters: tuple[str, ...]
    assignments: tuple[tuple[str, ast.expr], ...]
    result: ast.expr

    def spell(self, dialect: Callable[[ast.expr], str]) -> list[str]:
        """The lines `name = ...`; the last one assigns to `result`."""
        return [f"{name} = {dialect(value)}" for name, value in (*self.assignments, ("result", self.result))]


def parse(function: Callable[..., int]) -> BitText:
    """Reads a text. Raises ValueError naming the function and what is not allowed there."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    name, body = definition.name, list(definition.body)
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]  # the docstring
    parameters = tuple(a.arg for a in definition.args.args)
    assignments = []
    for statement in body[:-1]:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError(f"storage {name!r}: expected an assignment, received `{ast.unparse(statement)}`")
        assignments.append((statement.targets[0].id, statement.value))
    last = body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        raise ValueError(f"storage {name!r}: expected a `return` at the end, received `{ast.unparse(last)}`")
    for value in (*(value for _, value in assignments), last.value):
        _check(name, value)
    return BitText(name, parameters, tuple(assignments), last.value)


def _check(name: str, node: ast.expr) -> None:
    match node:
        case ast.Name() | ast.Constant(value=int()):
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            parts = [left, right]
        case ast.IfExp(test=ast.Compare(left=left, ops=[_], comparators=[right]), body=body, orelse=orelse):
            parts = [left, right, body, orelse]
        case ast.Call(func=ast.Name(id=called), args=args, keywords=[]) if FUNCTIONS.get(called) == len(args):
            parts = args
        case _:
            raise ValueError(f"storage {name!r}: `{ast.unparse(node)}` cannot be used (see fastopt.storage.bits)")
    for part in parts:
        _check(name, part)


SYMBOLS: Mapping[type[ast.AST], str] = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.BitAnd: "&", ast.BitOr: "|", ast.LShift: "<<", ast.RShift: ">>"},
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
}


def in_c(node: ast.expr) -> str:
    """An expression as C, in which all names are of type uint32_t."""
    match node:
        case ast.Constant(value=int(value)):
            return f"{value:#x}u"
        case ast.BinOp(left=left, op=op, right=right):
            return f"({in_c(left)} {SYMBOLS[type(op)]} {in_c(right)})"
        case ast.IfExp(test=ast.Compare(left=left, ops=[op], comparators=[right]), body=body, orelse=orelse):
            return f"({in_c(left)} {SYMBOLS[type(op)]} {in_c(right)} ? {in_c(body)} : {in_c(orelse)})"
        case ast.Call(func=ast.Name(id=called), args=args):
            return f"bits_{called}({', '.join(map(in_c, args))})"
        case _:
            return ast.unparse(node)


class _Calls(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Call(ast.Name("bits_constant", ast.Load()), [node], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        return ast.Call(ast.Name(OPERATORS[type(node.op)], ast.Load()), [self.visit(node.left), self.visit(node.right)], [])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        return ast.Call(ast.Name(f"bits_{node.func.id}", ast.Load()), [self.visit(a) for a in node.args], [])

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        return ast.Call(ast.Name("bits_select", ast.Load()), [self.visit(p) for p in (node.test, node.body, node.orelse)], [])


def in_calls(node: ast.expr) -> str:
    """An expression as calls (`bits_add(x, bits_constant(5))`), for Numba, whose operators would widen to 64 bits."""
    return ast.unparse(ast.fix_missing_locations(_Calls().visit(copy.deepcopy(node))))
