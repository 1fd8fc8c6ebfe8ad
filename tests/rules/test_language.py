"""The language of rules: what its functions mean, and what `parse` reads. (What it refuses: test_language_refusals.)"""

from __future__ import annotations

import ast
import math
from typing import Any

import pytest

from fastopt.rules.language import FUNCTIONS, absolute, maximum, minimum, parse, sign, sqrt

# ruff: noqa: ANN201, ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

INF, NAN = math.inf, math.nan


def bits(x: float) -> str:
    return "nan" if x != x else float(x).hex()


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (4.0, 2.0),
        (2.0, 1.4142135623730951),
        (0.0, 0.0),
        (-0.0, -0.0),
        (-1.0, NAN),
        (-INF, NAN),
        (INF, INF),
        (NAN, NAN),
        (5e-324, 2.2227587494850775e-162),
    ],
)
def test_sqrt(x: float, expected: float) -> None:
    assert bits(sqrt(x)) == bits(expected)


@pytest.mark.parametrize(("x", "expected"), [(-2.5, 2.5), (2.5, 2.5), (-0.0, 0.0), (-INF, INF), (NAN, NAN)])
def test_absolute(x: float, expected: float) -> None:
    assert bits(absolute(x)) == bits(expected)


@pytest.mark.parametrize(
    ("a", "b", "larger", "smaller"),
    [
        (1.0, 2.0, 2.0, 1.0),
        (2.0, 1.0, 2.0, 1.0),
        (0.0, -0.0, -0.0, -0.0),  # they compare equal: the second one
        (-0.0, 0.0, 0.0, 0.0),
        (NAN, 1.0, NAN, NAN),
        (1.0, NAN, NAN, NAN),
        (INF, 1.0, INF, 1.0),
        (-INF, INF, INF, -INF),
    ],
)
def test_maximum_and_minimum(a: float, b: float, larger: float, smaller: float) -> None:
    assert bits(maximum(a, b)) == bits(larger)
    assert bits(minimum(a, b)) == bits(smaller)


@pytest.mark.parametrize(
    ("x", "expected"), [(3.0, 1.0), (-3.0, -1.0), (0.0, 0.0), (-0.0, 0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN), (-5e-324, -1.0)]
)
def test_sign(x: float, expected: float) -> None:
    assert bits(sign(x)) == bits(expected)


def test_the_table_of_functions_is_what_is_defined() -> None:
    for name, arguments in FUNCTIONS.items():
        assert globals()[name].__code__.co_argcount == arguments


def everything(p, g, m, lr):
    """A docstring is allowed."""
    m = m + g * g
    step = lr / sqrt(m)
    step = -step if m > lr else minimum(step, absolute(g))
    return p - step * sign(g), maximum(m, g)


def test_parse_reads_names_assignments_and_results_in_order() -> None:
    function = parse(everything)
    assert function.name == "everything"
    assert function.parameters == ("p", "g", "m", "lr")
    assert [name for name, _ in function.assignments] == ["m", "step", "step"]
    assert [ast.unparse(value) for _, value in function.assignments][:2] == ["m + g * g", "lr / sqrt(m)"]
    assert [ast.unparse(result) for result in function.results] == ["p - step * sign(g)", "maximum(m, g)"]


def test_parse_reads_a_single_result_and_positional_only_parameters() -> None:
    def plain(p, g, /, lr):
        return p - lr * g

    function = parse(plain)
    assert function.parameters == ("p", "g", "lr")
    assert len(function.results) == 1


@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">=", "==", "!="])
def test_every_comparison_is_read(comparison: str, tmp_path: Any) -> None:
    # from a file: the text of a function that was only executed cannot be found
    path = tmp_path / "written.py"
    path.write_text(f"def written(p, g):\n    return p if p {comparison} g else g\n")
    names: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    assert len(parse(names["written"]).results) == 1
