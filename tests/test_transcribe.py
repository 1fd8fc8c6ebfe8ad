"""A rule's text as a loop body: names, order, spelling, fingerprints."""

from __future__ import annotations

import ast

import pytest

import fastopt
from fastopt.rules.entry import RULES, Rule
from fastopt.stages import COUPLED, Stages
from fastopt.transcribe import fingerprint, loop_body, spell, variable

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"

SAME = {name: name for name in ("sqrt", "absolute", "maximum", "minimum", "sign")}
EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


def text(rule: Rule, coupled: bool) -> list[str]:
    return [f"{name} = {ast.unparse(value)}" for name, value in loop_body(rule, Stages(coupled)).lines]


def test_sgd_as_the_docstring_has_it() -> None:
    assert text(RULES["sgd"], coupled=False) == ["g = gradient_factor * g", "p = retention * p", "new_p = p - lr * g"]
    assert text(RULES["sgd"], coupled=True) == ["g = gradient_factor * g", "g = g + weight_decay * p", "new_p = p - lr * g"]


def test_adam_whole() -> None:
    body = loop_body(RULES["adam"], COUPLED)
    assert body.name == "adam_l2"
    assert loop_body(RULES["adam"]).name == "adam"
    assert body.streams == ("p", "g", "m", "v")
    assert body.written == ("p", "m", "v")
    assert body.scalars == (*RULES["adam"].scalar_names, "gradient_factor", "weight_decay")
    assert body.temporaries == ("step", "new_p", "new_m", "new_v")
    assert text(RULES["adam"], coupled=True)[2:] == [
        "m = beta1 * m + one_minus_beta1 * g",
        "v = beta2 * v + one_minus_beta2 * (g * g)",
        "step = step_size * m / (sqrt(v + eps_root) + eps)",
        "new_p = p - step",
        "new_m = m",
        "new_v = v",
    ]


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("rule", EVERY)
def test_every_name_is_known_before_it_is_read(rule: Rule, coupled: bool) -> None:
    body = loop_body(rule, Stages(coupled))
    known = {*body.streams, *body.scalars}
    for name, value in body.lines:
        read = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)} - set(SAME)
        assert read <= known, f"{name} reads {read - known}"
        assert name not in body.scalars, "a scalar is read once, before the first element"
        known.add(name)
    assert {f"new_{name}" for name in body.written} <= known
    assert set(body.temporaries) == known - {*body.streams, *body.scalars}
    assert len(body.scalars) == len(set(body.scalars))


def test_results_do_not_read_each_other() -> None:
    """`return g, p` swaps: the second result must see the old p."""

    @fastopt.rule(states=("m",))
    def swapping(p, g, m, lr):
        return m, p - lr * g

    assert text(swapping, coupled=False)[2:] == ["new_p = m", "new_m = p - lr * g"]


def test_spelling() -> None:
    @fastopt.rule()
    def spelled(p, g, lr):
        a = sqrt(g) if p < g else -maximum(p, sign(g))  # noqa: F821
        return (p - lr * a,)

    body = loop_body(spelled)
    functions = {"sqrt": "sqrtf", "maximum": "largest", "sign": "np.sign", "absolute": "", "minimum": ""}
    lines = spell(body, functions)
    assert lines[2:] == ["a_ = sqrtf(g_) if p_ < g_ else -largest(p_, np.sign(g_))", "new_p_ = p_ - lr_ * a_"]
    assert spell(body, functions, conditional="where")[2] == "a_ = where(p_ < g_, sqrtf(g_), -largest(p_, np.sign(g_)))"
    assert spell(body, functions) == lines, "spelling changed the body"
    assert variable("int") == "int_"


def test_spelling_keeps_the_order_of_operations() -> None:
    @fastopt.rule()
    def nested(p, g, lr):
        return (p - (lr - (g - p)) - (p * (g * lr)) / (p / g) - -g,)

    written = spell(loop_body(nested), SAME)[-1]
    assert written == "new_p_ = p_ - (lr_ - (g_ - p_)) - p_ * (g_ * lr_) / (p_ / g_) - -g_"


def test_fingerprints_tell_texts_apart() -> None:
    assert fingerprint("a") == fingerprint("a")
    assert len(fingerprint("a")) == 16
    assert len({fingerprint("\n".join(text(rule, coupled))) for rule in RULES.values() for coupled in (False, True)}) == 2 * len(
        {str(text(rule, False)) for rule in RULES.values()}
    )


def test_names_of_what_precedes_are_refused() -> None:
    for name in ("gradient_factor", "retention"):
        source = RULES["sgd"]
        assert name in loop_body(source).scalars

    @fastopt.rule()
    def using_retention(p, g, lr):
        retention = lr * g
        return (p - retention,)

    words = r"^rule 'using_retention': the name 'retention' belongs to what stands around every rule; rename it$"
    with pytest.raises(ValueError, match=words):
        loop_body(using_retention)
