"""A rule's text as a loop body: the one step between a scalar function and the source of any compiled kernel.

    lines of `loop_body(rule, coupled)`, for rule = sgd, coupled = False:

        g = gradient_factor * g
        p = retention * p
        new_p = p - lr * g

Every line is one assignment whose right side is an expression of the language of rules. A backend puts loads before it,
stores after it and its own names on the functions (`spell`), and has a kernel: operations, and so bits, are the same.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastopt.rules.entry import Rule, once_for_each
from fastopt.rules.language import ScalarFunction, parse
from fastopt.rules.prologue import COUPLED, DECOUPLED

__all__ = ["LoopBody", "fingerprint", "loop_body", "spell", "variable"]


@dataclass(frozen=True)
class LoopBody:
    """The arithmetic of one element.

    Attributes
    ----------
    name
        The rule's name, with `_l2` behind it where the weight decay is coupled.
    streams
        The arrays by name: p, g, then the states. All but g are written back, each from `new_<name>`.
    scalars
        The scalars by name, in the order in which `scalar_values` gives them.
    lines
        The assignments, in order.
    temporaries
        Names assigned in `lines` that are no stream, for languages that declare their variables.
    """

    name: str
    streams: tuple[str, ...]
    scalars: tuple[str, ...]
    lines: tuple[tuple[str, ast.expr], ...]
    temporaries: tuple[str, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """The streams that a step changes."""
        return tuple(stream for stream in self.streams if stream != "g")


@once_for_each
def loop_body(rule: Rule, coupled: bool) -> LoopBody:
    """Joins the prologue and the rule into one list of assignments.

    Prologue functions bind p and g anew; the rule's results go to `new_...` names, since a result may read what another
    one replaces.
    """
    lines: list[tuple[str, ast.expr]] = []
    scalars = list(rule.scalar_names)
    for stage in COUPLED if coupled else DECOUPLED:
        function = parse(stage)
        scalars += function.parameters[2:]
        for name, value in zip(("p", "g"), function.results, strict=True):
            if not (isinstance(value, ast.Name) and value.id == name):
                lines.append((name, value))
    _refuse_collisions(rule, scalars)
    lines += rule.function.assignments
    streams = ("p", "g", *rule.states)
    results: ScalarFunction = rule.function
    lines += zip((f"new_{name}" for name in streams if name != "g"), results.results, strict=True)
    assigned = dict.fromkeys(name for name, _ in lines)
    temporaries = tuple(name for name in assigned if name not in streams)
    return LoopBody(rule.name + ("_l2" if coupled else ""), streams, tuple(scalars), tuple(lines), temporaries)


def _refuse_collisions(rule: Rule, scalars: list[str]) -> None:
    names = [*rule.function.parameters, *(name for name, _ in rule.function.assignments)]
    for scalar in scalars[len(rule.scalar_names) :]:
        if scalar in names:
            raise ValueError(f"rule {rule.name!r}: the name {scalar!r} belongs to what precedes every rule; rename it")


class _Speller(ast.NodeTransformer):
    def __init__(
        self,
        functions: Mapping[str, str],
        conditional: str | None,
        operators: Mapping[type[ast.operator], str] | None,
        naming: Callable[[str], str],
    ) -> None:
        self.functions, self.conditional, self.operators, self.naming = functions, conditional, operators, naming

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.naming(node.id), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        return ast.Call(ast.Name(self.functions[node.func.id], ast.Load()), [self.visit(a) for a in node.args], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        if self.operators is None:
            return ast.BinOp(left, node.op, right)
        return ast.Call(ast.Name(self.operators[type(node.op)], ast.Load()), [left, right], [])

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        parts = [self.visit(part) for part in (node.test, node.body, node.orelse)]
        if self.conditional is None:
            return ast.IfExp(*parts)
        return ast.Call(ast.Name(self.conditional, ast.Load()), parts, [])


def variable(name: str) -> str:
    """A rule's name as it stands in generated source: the underscore keeps it off that source's own names and keywords."""
    return name + "_"


def spell(
    body: LoopBody,
    functions: Mapping[str, str],
    conditional: str | None = None,
    operators: Mapping[type[ast.operator], str] | None = None,
    naming: Callable[[str], str] = variable,
) -> list[str]:
    """The body's lines as text that Python, Numba and Cython read alike.

    `functions` says what each function of the language of rules is called; `conditional` names a function
    `(test, then, otherwise)` where `a if test else b` does not work (on NumPy arrays); `operators` names functions for
    `+ - * /` where the operators would not do just that (on a GPU); `naming` is what a rule's names are called.
    """
    speller = _Speller(functions, conditional, operators, naming)
    return [f"{naming(name)} = {ast.unparse(speller.visit(copy.deepcopy(value)))}" for name, value in body.lines]


def fingerprint(text: str) -> str:
    """Identifies generated source, so that what was compiled from an older text is not taken for it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
