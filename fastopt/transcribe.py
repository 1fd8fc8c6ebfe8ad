"""A rule's text as a loop body: the one step between a scalar function and the source of any compiled kernel.

    lines of `loop_body(rule, stages)`, for rule = sgd without stages of its own:

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
from fastopt.rules.epilogue import averaged, flushed, smallest_normal, zeroed
from fastopt.rules.language import FUNCTIONS, ScalarFunction, parse
from fastopt.rules.prologue import decayed_gradient, decayed_parameter, limited_gradient, scaled_gradient
from fastopt.stages import AVERAGE, PLAIN, Stages

__all__ = ["LoopBody", "fingerprint", "loop_body", "spell", "variable"]


@dataclass(frozen=True)
class LoopBody:
    """The arithmetic of one element.

    Attributes
    ----------
    name
        The rule's name, with those of the stages behind it.
    streams
        The arrays by name: p, g, then the rule's states and those of the stages.
    scalars
        The scalars by name, in the order in which they come: the rule's, those of the stages, the prologue's two.
    lines
        The assignments, in order.
    temporaries
        Names assigned in `lines` that are no stream, for languages that declare their variables.
    written
        The streams that a step changes, each from `new_<name>`: all but g, and g behind them where it is left as 0.
    """

    name: str
    streams: tuple[str, ...]
    scalars: tuple[str, ...]
    lines: tuple[tuple[str, ast.expr], ...]
    temporaries: tuple[str, ...]
    written: tuple[str, ...]


@once_for_each
def loop_body(rule: Rule, stages: Stages = PLAIN) -> LoopBody:
    """Joins what precedes the rule, the rule, and what comes after it into one list of assignments.

    Functions before it bind p and g anew; the rule's results go to `new_...` names, since a result may read what another
    one replaces, and functions after it bind those anew.
    """
    lines: list[tuple[str, ast.expr]] = []
    of_stages: list[str] = []
    of_prologue: list[str] = []
    limits = (limited_gradient,) if stages.limited else ()
    for stage in (scaled_gradient, *limits, decayed_gradient if stages.coupled else decayed_parameter):
        function = parse(stage)
        (of_stages if stage is limited_gradient else of_prologue).extend(function.parameters[2:])
        for name, value in zip(("p", "g"), function.results, strict=True):
            if not (isinstance(value, ast.Name) and value.id == name):
                lines.append((name, value))
    lines += rule.function.assignments
    streams = ("p", "g", *rule.states, *stages.states)
    results: ScalarFunction = rule.function
    lines += zip((f"new_{name}" for name in ("p", *rule.states)), results.results, strict=True)
    if stages.averaged:
        of_stages += parse(averaged).parameters[2:]
        lines.append((f"new_{AVERAGE}", parse(averaged).results[0]))
    if stages.flushed:
        of_stages += parse(smallest_normal).parameters
        lines.append(("smallest_normal", parse(smallest_normal).results[0]))
        lines += ((f"new_{name}", _of(flushed, f"new_{name}")) for name in streams[2:])
    written = tuple(stream for stream in streams if stream != "g")
    if stages.zeroed:
        of_stages += parse(zeroed).parameters
        lines.append(("new_g", parse(zeroed).results[0]))
        written += ("g",)
    _refuse_collisions(rule, [*of_stages, *of_prologue, *stages.states, *(["smallest_normal"] if stages.flushed else [])])
    assigned = dict.fromkeys(name for name, _ in lines)
    temporaries = tuple(name for name in assigned if name not in streams)
    scalars = (*rule.scalar_names, *of_stages, *of_prologue)
    return LoopBody(rule.name + stages.suffix, streams, scalars, tuple(lines), temporaries, written)


def _of(stage: Callable[..., float], *streams: str) -> ast.expr:
    """The text of a stage, whose first parameters are called otherwise."""
    function = parse(stage)
    names = dict(zip(function.parameters, streams, strict=False))
    speller = _Speller({name: name for name in FUNCTIONS}, None, None, lambda name: names.get(name, name))
    found: ast.expr = speller.visit(copy.deepcopy(function.results[0]))
    return found


def _refuse_collisions(rule: Rule, others: list[str]) -> None:
    names = [*rule.function.parameters, *(name for name, _ in rule.function.assignments)]
    for other in others:
        if other in names:
            raise ValueError(f"rule {rule.name!r}: the name {other!r} belongs to what stands around every rule; rename it")


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
