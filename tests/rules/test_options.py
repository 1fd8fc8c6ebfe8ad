"""Static options: what folding leaves of a text, and every refusal by its words."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import pytest

import fastopt
from fastopt.rules.entry import RULES, Form, Rule
from fastopt.rules.language import parse
from fastopt.transcribe import loop_body, spell

# ruff: noqa: ANN201, ANN202, SIM108  -- rules are bare formulas, and options are told by `if` here
# mypy: disable-error-code="no-untyped-def"


def everything(p, g, m, v, lr, *, first, second):
    """A docstring is allowed."""
    if first:
        m = m + g
        if not second:
            m = m * lr
        else:
            m = m / lr
    elif second:
        v = v + g
    step = m if first and second else (g if g < p else p)
    if first or second:
        step = lr * step
    return p - step, m, v


def text_of(function: Callable[..., Any], **options: bool) -> tuple[tuple[str, ...], list[str], list[str]]:
    parsed = parse(function, options)
    assignments = [f"{name} = {ast.unparse(value)}" for name, value in parsed.assignments]
    return parsed.parameters, assignments, [ast.unparse(result) for result in parsed.results]


def test_what_is_left_of_each_form() -> None:
    """The states that a form hands back untouched are none of it; the scalars stay."""
    g_or_p = "step = g if g < p else p"
    assert text_of(everything, first=False, second=False) == (("p", "g", "lr"), [g_or_p], ["p - step"])
    assert text_of(everything, first=True, second=False) == (
        ("p", "g", "m", "lr"),
        ["m = m + g", "m = m * lr", g_or_p, "step = lr * step"],
        ["p - step", "m"],
    )
    assert text_of(everything, first=False, second=True) == (
        ("p", "g", "v", "lr"),
        ["v = v + g", g_or_p, "step = lr * step"],
        ["p - step", "v"],
    )
    assert text_of(everything, first=True, second=True) == (
        ("p", "g", "m", "lr"),
        ["m = m + g", "m = m / lr", "step = m", "step = lr * step"],
        ["p - step", "m"],
    )


def test_a_state_that_is_only_read_is_kept() -> None:
    def reads(p, g, m, *, quick):
        return p - (g if quick else m * g), m

    assert parse(reads, {"quick": True}).parameters == ("p", "g")
    assert parse(reads, {"quick": False}).parameters == ("p", "g", "m")


def test_the_tests_that_were_met_and_how_they_came_out() -> None:
    assert parse(everything, {"first": False, "second": True}).options_met == {
        (3, "first", False),
        (9, "second", True),
        (11, "first and second", False),
        (12, "first or second", True),
    }


def mixed(p, g, *, option):
    return p - (g if option and p < g else p)


def compared(p, g, *, option):
    return p if option < g else g


def computed(p, g, *, option):
    return p - option * g


def assigned(p, g, *, option):
    option = g
    return p - option


def loop_inside(p, g, *, option):
    if option:
        for _ in g:
            p = p - g
    return p


def return_inside(p, g, *, option):
    if option:
        return p
    return g


def branch_on_a_value(p, g, *, option):
    if p < g:
        p = g if option else p
    return p


def with_default(p, g, *, option=None):
    return p if option else g


def bad_in_the_other_branch(p, g, *, option):
    if option:
        p -= g
    return p - g


REFUSED = [
    (mixed, r"line 2: `p < g` beside an option in a test"),
    (compared, r"line 2: `option < g` beside an option in a test"),
    (computed, r"line 2: the option `option`, which can only be tested,"),
    (assigned, r"line 2: the option `option`, which can only be tested,"),
    (loop_inside, r"line 3: `for _ in g:` under an `if`"),
    (return_inside, r"line 3: `return p` under an `if`"),
    (branch_on_a_value, r"line 2: `if p < g:`"),
    (with_default, r"line 1: parameters with defaults, \*args or \*\*kwargs"),
    (bad_in_the_other_branch, r"line 3: `p -= g` under an `if`"),
]


@pytest.mark.parametrize("option", [False, True])
@pytest.mark.parametrize(("function", "words"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refused(function: Callable[..., Any], words: str, option: bool) -> None:
    """Whatever the option is: a branch not taken is read too."""
    with pytest.raises(ValueError, match=rf"^rule '{function.__name__}', line \d+: .*cannot be used in a rule") as caught:
        parse(function, {"option": option})
    assert re.search(words, str(caught.value)), str(caught.value)


def test_options_that_are_not_the_functions() -> None:
    with pytest.raises(ValueError, match=r"line 1: options \(option\) of which a form settles others \(none\) cannot be used"):
        parse(mixed)
    with pytest.raises(ValueError, match=r"line 1: options \(option\) of which a form settles others \(option, more\) cannot be used"):
        parse(mixed, {"option": True, "more": True})


def scaled(p, g, m, lr, *, kept):
    if kept:
        m = m + g
    return p - lr * (m if kept else g), m


FORMS = {"scaled": Form(equation="p <- p - lr g"), "scaled_and_kept": Form("kept", equation="m <- m + g; p <- p - lr m", source="S")}


def test_forms_are_rules_of_their_own() -> None:
    made = fastopt.rule(states=("m",), source="source", default_lr=0.5, forms=FORMS)(scaled)
    assert made is RULES["scaled"]
    kept = RULES["scaled_and_kept"]
    assert [(rule.states, rule.text_states, rule.equation, rule.source, dict(rule.options)) for rule in (made, kept)] == [
        ((), ("m",), "p <- p - lr g", "source", {"kept": False}),
        (("m",), ("m",), "m <- m + g; p <- p - lr m", "S", {"kept": True}),
    ]
    assert made(1.0, 2.0, 0.25) == (0.5,)
    assert kept(1.0, 2.0, 4.0, 0.25) == (-0.5, 6.0)
    assert spell(loop_body(made), {}, naming=str)[-1] == "new_p = p - lr * g"
    assert spell(loop_body(kept), {}, naming=str)[-3:] == ["m = m + g", "new_p = p - lr * m", "new_m = m"]


def test_an_option_of_the_scalars_alone() -> None:
    def scalars(step: int, lr: float, shift: float, doubled: bool = False) -> tuple[float, ...]:
        return ((2.0 if doubled else 1.0) * lr + shift,)

    def moved(p, g, rate):
        return (p - rate * g,)

    forms = {"moved": Form(equation="e"), "moved_twice": Form("doubled", equation="e", hyperparameters={"shift": 0.25})}
    plain = fastopt.rule(hyperparameters={"shift": 0.5}, scalars=scalars, forms=forms)(moved)
    twice = RULES["moved_twice"]
    assert (plain.scalars(1, 1.0, shift=0.5), twice.scalars(1, 1.0, shift=0.5)) == ((1.5,), (2.5,))
    assert (plain.defaults, twice.defaults) == ({"shift": 0.5}, {"shift": 0.25})
    assert twice.scalars_with({"shift": 0.5})(1, 1.0) == (2.5,)


@pytest.mark.parametrize(
    ("forms", "words"),
    [
        (None, r"^rule 'scaled': expected `forms=`, which settle its options \(kept\); received none"),
        ({"other": Form(equation="e")}, r"^rule 'scaled': expected a first form of the function's name, received forms \['other'\]"),
        ({}, r"expected a first form of the function's name, received forms \[\]"),
        (
            {"scaled": Form("keep", equation="e"), "kept": Form("kept", equation="e")},
            r"^rule 'scaled': the option 'keep' is no keyword-only parameter of the function and none of `scalars`",
        ),
        (
            {"scaled": Form(equation="e")},
            r"^rule 'scaled', line 2: `kept` is False in every form that comes there; expected one where it is not",
        ),
    ],
)
def test_refused_forms(forms: dict[str, Form] | None, words: str) -> None:
    before = dict(RULES)
    with pytest.raises(ValueError, match=words):
        fastopt.rule(states=("m",), forms=forms)(scaled)
    assert before == RULES, "a refused rule was entered all the same"


def test_a_reference_from_outside_gets_the_options_and_none_for_what_is_not_kept() -> None:
    seen: list[Any] = []

    def reference(p: Any, g: Any, m: Any, *, step: int, lr: float, kept: bool) -> Any:
        seen.append((m is None, kept))
        m = m + g if kept else m
        return p - lr * (m if kept else g), m

    import numpy as np

    rules: list[Rule] = [fastopt.rule(states=("m",), reference=reference, forms=FORMS)(scaled), RULES["scaled_and_kept"]]
    for rule in rules:
        seen.clear()
        p = np.ones(2)
        optimizer = fastopt.Optimizer(p, rule, 0.25, backend="numpy")
        optimizer.step(np.full(2, 2.0))
        assert p.tolist() == [0.5, 0.5]
        assert set(seen) == {(not rule.options["kept"], rule.options["kept"])}
