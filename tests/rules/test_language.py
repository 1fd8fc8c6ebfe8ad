"""The language of rules: what its functions mean, what `parse` reads, and every refusal by its words."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import pytest

from fastopt.rules.language import FUNCTIONS, absolute, maximum, minimum, parse, sign, sqrt

# ruff: noqa: E731, F841  -- functions that break the rules of the language are what this file is about
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


def with_literal(p, g):
    a = g
    return p - 0.5 * g


def with_integer(p, g):
    return p * 2


def with_free_name(p, g):
    return p - everything * g


def with_later_name(p, g):
    a = b  # noqa: F821
    b = g
    return a + b


def with_power(p, g):
    return p - g**p


def with_floor_division(p, g):
    return p // g


def with_modulo(p, g):
    return p % g


def with_matrix_product(p, g):
    return p @ g


def with_not(p, g):
    return p if not p < g else g


def with_plus(p, g):
    return +p


def with_chained_comparison(p, g, a):
    return p if p < g < a else g


def with_identity(p, g):
    return p if p is g else g


def with_truth(p, g):
    return p if g else g


def with_and(p, g):
    return p if p < g and g < p else g


def with_bare_comparison(p, g):
    a = p < g
    return a


def with_unknown_function(p, g):
    return exp(g)  # noqa: F821


def with_method(p, g):
    return math.sqrt(g)


def with_wrong_count(p, g):
    return sqrt(p, g)  # type: ignore[call-arg]


def with_keyword(p, g):
    return sqrt(x=p)


def with_star(p, g):
    return maximum(*g)


def with_subscript(p, g):
    return p[g]


def with_attribute(p, g):
    return p.real


def with_loop(p, g):
    for _ in g:
        p = p - g
    return p


def with_branch(p, g):
    if p < g:
        p = g
    return p


def with_augmented_assignment(p, g):
    p -= g
    return p


def with_annotated_assignment(p, g):
    a: float = p
    return a


def with_two_targets(p, g):
    a, b = p, g
    return a + b


def with_chained_assignment(p, g):
    a = b = p
    return a + b


def with_walrus(p, g):
    return (a := p) + g


def with_early_return(p, g):
    return p
    return g


def with_lone_expression(p, g):
    absolute(p)
    return p


def with_bare_return(p, g):
    return


def without_return(p, g):
    p = g


def with_docstring_alone(p, g):
    """Nothing else."""


def with_default(p, g, lr=None):
    return p


def with_rest(p, g, *rest):
    return p


def with_keywords(p, g, **rest):
    return p


def with_keyword_only(p, g, *, lr):
    return p - lr


def with_list(p, g):
    return [p, g]


def with_nested_tuple(p, g):
    return p, (g, p)


def with_string(p, g):
    return p + "g"


def with_none(p, g):
    return None


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (with_literal, r"line 3: the literal 0\.5 \(make it a hyperparameter or a scalar\)"),
    (with_integer, r"line 2: the literal 2 "),
    (with_string, r"the literal 'g' "),
    (with_none, r"the literal None "),
    (with_free_name, r"line 2: the name `everything`, which is neither a parameter nor assigned before,"),
    (with_later_name, r"line 2: the name `b`, which is neither"),
    (with_power, r"`g \*\* p`"),
    (with_floor_division, r"`p // g`"),
    (with_modulo, r"`p % g`"),
    (with_matrix_product, r"`p @ g`"),
    (with_not, r"`p if not p < g else g`"),
    (with_plus, r"`\+p`"),
    (with_chained_comparison, r"`p if p < g < a else g`"),
    (with_identity, r"`p if p is g else g`"),
    (with_truth, r"`p if g else g`"),
    (with_and, r"`p if p < g and g < p else g`"),
    (with_bare_comparison, r"line 2: `p < g`"),
    (with_unknown_function, r"`exp\(g\)`"),
    (with_method, r"`math\.sqrt\(g\)`"),
    (with_wrong_count, r"`sqrt\(p, g\)`"),
    (with_keyword, r"`sqrt\(x=p\)`"),
    (with_star, r"`maximum\(\*g\)`"),
    (with_subscript, r"`p\[g\]`"),
    (with_attribute, r"`p\.real`"),
    (with_loop, r"line 2: `for _ in g:`"),
    (with_branch, r"line 2: `if p < g:`"),
    (with_augmented_assignment, r"`p -= g`"),
    (with_annotated_assignment, r"`a: float = p`"),
    (with_two_targets, r"line 2: `\(?a, b\)? = "),
    (with_chained_assignment, r"`a = b = p`"),
    (with_walrus, r"`\(a := p\)`"),
    (with_early_return, r"line 2: `return p`"),
    (with_lone_expression, r"line 2: `absolute\(p\)`"),
    (with_bare_return, r"a body that does not end in `return`"),
    (without_return, r"a body that does not end in `return`"),
    (with_docstring_alone, r"a body that does not end in `return`"),
    (with_default, r"line 1: parameters with defaults, \*args or \*\*kwargs"),
    (with_rest, r"parameters with defaults, \*args"),
    (with_keywords, r"parameters with defaults, \*args"),
    (with_keyword_only, r"line 1: options \(lr\) of which a form settles others \(none\)"),
    (with_list, r"`\[p, g\]`"),
    (with_nested_tuple, r"`\(g, p\)`"),
]


@pytest.mark.parametrize(("function", "words"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refused(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(ValueError, match=rf"^rule '{function.__name__}', line \d+: .*cannot be used in a rule") as caught:
        parse(function)
    assert __import__("re").search(words, str(caught.value)), str(caught.value)


def test_what_is_not_a_function_with_a_text_is_refused() -> None:
    double = lambda p, g: p + g
    with pytest.raises(ValueError, match=r"expected a function written with `def`, received a lambda"):
        parse(double)
    with pytest.raises(ValueError, match=r"expected a function written with `def`, received builtin_function_or_method"):
        parse(math.sqrt)
    names: dict[str, Any] = {}
    exec("def unseen(p, g):\n    return p\n", names)
    with pytest.raises(ValueError, match=r"its source text is needed to compile it and was not found"):
        parse(names["unseen"])
