"""The text of a kernel: it compiles whatever a rule's names are, and says each operation as a call."""

from __future__ import annotations

import ast
import re

import pytest

import fastopt
from fastopt.cuda.source import ARITHMETIC, kernel_source
from fastopt.kernel import kernel_of
from fastopt.rules.entry import RULES
from fastopt.stages import COUPLED
from tests.cuda.kernels import kernel

# ruff: noqa: ANN202  -- rules are bare formulas


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(RULES))
def test_no_arithmetic_of_floats_is_left_to_operators(name: str, dtype: str) -> None:
    """Whatever has to do with a rule's names (they end in an underscore or a lane) is a call."""
    for coupled in (False, True):
        tree = ast.parse(kernel_source(kernel(name, coupled, dtype), "primitives"))
        for node in ast.walk(tree):
            if isinstance(node, ast.BinOp | ast.UnaryOp):
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                assert not [n for n in names if re.search(r"(_|_\d)$", n)], ast.unparse(node)


def test_every_lane_has_its_own_arithmetic_and_all_loads_come_before_all_stores() -> None:
    for dtype, lanes in (("float32", 4), ("float64", 2)):
        text = kernel_source(kernel("adam", False, dtype), "primitives")
        vector = text[text.index("while element < end") :]
        for lane in range(lanes):
            assert len(re.findall(rf"^ +v_{lane} = ", vector, re.MULTILINE)) == 1
        assert f"v_{lanes}" not in vector
        assert vector.rindex(f"load_{lanes}_") < vector.index(f"store_{lanes}_")


def test_names_of_a_rule_do_not_meet_those_of_the_kernel() -> None:
    @fastopt.rule(states=("rows",), hyperparameters={"scalars_at": 0.5})
    def streams_at(p, g, rows, lr, scalars_at):  # type: ignore[no-untyped-def]
        p_0 = g * scalars_at
        i = p_0 + rows
        add = i * lr
        thread = add + p_0
        return p - thread, i

    text = kernel_source(kernel_of(streams_at, COUPLED, *["float32"] * 3), "primitives")
    function = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    parameters = [a.arg for a in function.args.args]
    assert len(set(parameters)) == len(parameters)
    kernel_names = {
        "thread",
        "threads",
        "row",
        "tensor",
        "slot",
        "own",
        "start",
        "length",
        "head",
        "vectors",
        "singles",
        "i",
        "element",
        "end",
        *ARITHMETIC,
    }
    single = text[text.index("while i < singles") : text.index("while element < end")]
    assigned = set(re.findall(r"^ +(\w+) = ", single, re.MULTILINE)) - {"i", "element", "end"}
    assert not assigned & kernel_names
    assert not assigned & set(parameters)
