"""Texts that are not in the language of rules: every refusal by its words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from fastopt.rules.language import absolute, maximum, parse, sqrt

# ruff: noqa: E731, F841  -- functions that break the rules of the language are what this file is about
# ruff: noqa: ANN201  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"


def everything(p, g):
    """What a text may not name, though it could be found."""
    return p - g


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
