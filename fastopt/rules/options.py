"""Static options: what is chosen in a rule's text before any backend sees it.

A scalar function may have keyword-only parameters. Each is True or False for a form of the rule, and is only tested:

    def adam(p, g, m, v, v_max, ..., *, amsgrad):
        ...
        if amsgrad:
            v_max = maximum(v_max, v)
        return p - step_size * m / (sqrt((v_max if amsgrad else v) + eps_root) + eps), m, v, v_max

A test is an option, or several joined by `not`, `and` and `or`. What an `if` holds are assignments and further `if`s. `fold`
leaves of each what the options choose: straight-line arithmetic. (A universal kernel with branches was never an option: its
states would be there, and be read, for every form.)
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import NoReturn

__all__ = ["Decision", "fold"]

Decision = tuple[int, str, bool]
"""A test that was met: its line within the function, its text, and how it came out."""

Refuse = Callable[[ast.AST, str], NoReturn]


def fold(body: list[ast.stmt], options: Mapping[str, bool], refuse: Refuse) -> tuple[list[ast.stmt], set[tuple[ast.expr, bool]]]:
    """The statements with their options folded away, and the tests that were met. `refuse` raises for what cannot be used."""
    folding = _Folding(options, refuse)
    return folding.statements(body), folding.met


class _Folding(ast.NodeTransformer):
    def __init__(self, options: Mapping[str, bool], refuse: Refuse) -> None:
        self.options, self.refuse = options, refuse
        self.met: set[tuple[ast.expr, bool]] = set()

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        left: list[ast.stmt] = []
        for statement in body:
            if isinstance(statement, ast.If) and self.tests_an_option(statement.test):
                for inner in (*statement.body, *statement.orelse):
                    if not isinstance(inner, ast.Assign | ast.If):
                        self.refuse(inner, f"`{ast.unparse(inner).splitlines()[0]}` under an `if`")
                left += self.statements(statement.body if self.outcome(statement.test) else statement.orelse)
            else:
                left.append(self.visit(statement))
        return left

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        if not self.tests_an_option(node.test):
            return self.generic_visit(node)
        chosen: ast.AST = self.visit(node.body if self.outcome(node.test) else node.orelse)
        return chosen

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in self.options:
            self.refuse(node, f"the option `{node.id}`, which can only be tested,")
        return node

    def tests_an_option(self, test: ast.expr) -> bool:
        return any(isinstance(node, ast.Name) and node.id in self.options for node in ast.walk(test))

    def outcome(self, test: ast.expr) -> bool:
        value = self.value(test)
        self.met.add((test, value))
        return value

    def value(self, test: ast.expr) -> bool:
        match test:
            case ast.Name(id=name) if name in self.options:
                return self.options[name]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self.value(operand)
            case ast.BoolOp(op=ast.And(), values=values):
                return min([self.value(value) for value in values])  # all of them: each is checked
            case ast.BoolOp(op=ast.Or(), values=values):
                return max([self.value(value) for value in values])
            case _:
                self.refuse(test, f"`{ast.unparse(test)}` beside an option in a test")
