"""The NumPy backend: the oracle's arithmetic, written back in place."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import reference
from fastopt.backends import numpy_backend
from fastopt.rules.entry import RULES, Rule

# ruff: noqa: ANN202  -- rules are bare formulas
# mypy: disable-error-code="no-untyped-def"


def test_is_always_there_in_one_thread() -> None:
    assert numpy_backend.unavailable() is None
    assert numpy_backend.thread_count(None) == numpy_backend.thread_count(1) == 1


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.name) for rule in RULES.values()])
def test_runs_the_reference(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    name = rule.update.__name__
    formula = reference.FORMULAS[name]

    def watched(*arrays: Any, **options: Any) -> Any:
        asked.append(options)
        return formula(*arrays, **options)

    monkeypatch.setitem(reference.FORMULAS, name, watched)
    fastopt.Optimizer(np.ones(3), rule, 0.25, backend="numpy").step(np.ones(3))
    assert asked == [{"step": 1, "lr": 0.25, **rule.memory, **rule.defaults, **rule.options}]


def test_a_users_rule_runs_the_users_reference_or_its_own_text() -> None:
    def reference_of_it(p: Any, g: Any, *, step: int, lr: float) -> Any:
        return (p * 0.0 + 42.0,)

    @fastopt.rule(reference=reference_of_it)
    def with_reference(p, g, lr):
        return (p - lr * g,)

    @fastopt.rule()
    def without(p, g, lr):
        return (p - lr * g,)

    assert numpy_backend.has_reference(with_reference)
    assert not numpy_backend.has_reference(without)
    for rule, expected in ((with_reference, 42.0), (without, 0.5)):
        p = np.ones(2)
        fastopt.Optimizer(p, rule, 0.5, backend="numpy").step(np.ones(2))
        assert p.tolist() == [expected] * 2


def test_a_users_rule_with_the_name_of_something_in_the_reference_is_not_taken_for_it() -> None:
    @fastopt.rule()
    def prepared(p, g, lr):
        return (p + lr * g,)

    assert not numpy_backend.has_reference(prepared)
    p = np.ones(2)
    fastopt.Optimizer(p, prepared, 0.5, backend="numpy").step(np.ones(2))
    assert p.tolist() == [1.5, 1.5]


def test_no_warnings_of_what_ieee_arithmetic_does() -> None:
    p = np.array([1e308, 0.0, np.inf, -1.0])
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        fastopt.RMSProp(p, 1e300, eps=0.0, backend="numpy").step(np.array([-1e308, 0.0, np.inf, np.nan]))
    assert np.isnan(p[1])  # 0 / 0


@pytest.mark.parametrize("kind", ["parameter", "gradient", "both"])
def test_a_matrix_is_multiplied_element_by_element(kind: str) -> None:
    """np.matrix makes another thing of `*`."""
    p, g = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, -1.0], [2.0, -2.0]])
    expected = p.copy()
    fastopt.Adam(expected, 0.5, backend="numpy").step(g)
    given_p = p.view(np.matrix) if kind != "gradient" else p
    given_g = g.view(np.matrix) if kind != "parameter" else g
    fastopt.Adam(given_p, 0.5, backend="numpy").step(given_g)
    assert np.array_equal(p, expected)
