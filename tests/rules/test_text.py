"""The text that is compiled is the function's own, or the rule is refused."""

from __future__ import annotations

import functools
import gc
import linecache
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.rules.language import parse
from fastopt.rules.text import definition_of

# ruff: noqa: ANN201, ANN202, E731  -- rules are bare formulas, and lambdas are to be refused


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(p, g, lr):
        return function(p, g + g, lr)

    return around


def plain(p, g, lr):
    return (p - lr * g,)


def test_a_function_under_another_decorator_is_refused() -> None:
    """Its undecorated text was compiled, and half of what it does left out."""
    with pytest.raises(ValueError, match=r"^rule 'plain': another decorator has put something around it, which would not be compiled"):
        fastopt.rule()(doubled(plain))


def test_a_text_that_is_another_function_s_is_refused() -> None:
    """Code from `exec` that carries a file's name, or a file that has changed since it was imported."""
    other = "def plain(p, g, lr):\n    return (p + lr * g,)\n"
    shifted = "\n" * (plain.__code__.co_firstlineno - 1) + other
    namespace: dict[str, Any] = {}
    exec(compile(shifted, __file__, "exec"), namespace)
    with pytest.raises(
        ValueError, match=r"^rule 'plain': the text found for it \(.*test_text.py, line \d+\) is not what it was compiled from"
    ):
        definition_of(namespace["plain"])
    assert definition_of(plain).name == "plain"
    named = other.replace("def plain", "def other")
    exec(compile("\n" * (plain.__code__.co_firstlineno - 1) + named, __file__, "exec"), namespace)
    with pytest.raises(ValueError, match=r"^rule 'other': the text found for it"):
        definition_of(namespace["other"])


def test_a_file_that_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "changing_rule.py"
    path.write_text("def changing(p, g, lr):\n    return (p - lr * g,)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import changing_rule  # type: ignore[import-not-found]

    assert definition_of(changing_rule.changing).name == "changing"
    path.write_text("def changing(p, g, lr):\n    return (p - lr * g * g,)\n", encoding="utf-8")
    os.utime(path, (1, 1))
    linecache.checkcache()
    with pytest.raises(ValueError, match=r"expected a file that is as it was when it was imported$"):
        definition_of(changing_rule.changing)


def test_lambdas_and_what_is_no_function_are_refused_in_words() -> None:
    several_lines = (
        lambda p, g, lr:
        (p - lr * g,)
    )  # fmt: skip
    for function in (lambda p, g, lr: (p - lr * g,), several_lines):
        with pytest.raises(ValueError, match=r"^rule '<lambda>': expected a function written with `def`, received a lambda$"):
            definition_of(function)
    with pytest.raises(ValueError, match=r"expected a function written with `def`, received partial$"):
        definition_of(functools.partial(plain, lr=0.5))


def test_a_nested_function_may_have_lines_further_left() -> None:
    def nested(p, g, lr):
        """Words that go on
        further left.
        """
        # and a comment there
        step = lr * g
        return (p - step,)  # fmt: skip

    assert [name for name, _ in parse(nested).assignments] == ["step"]


def test_names_may_come_from_around() -> None:
    from fastopt.rules.language import sqrt

    def nested(p, g, lr):
        return (p - lr * sqrt(g),)

    assert parse(nested).name == "nested"


def test_rules_that_nobody_has_any_more_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def made_in_a_loop(p, g, lr, rate):\n    return (p - lr * rate * g,)\n"
    path = tmp_path / "loop.py"
    path.write_text(source, encoding="utf-8")
    alive = []
    for k in range(4):
        namespace: dict[str, Any] = {"__name__": "loop"}
        exec(compile(source, str(path), "exec"), namespace)
        entry = fastopt.rule(hyperparameters={"rate": 0.5 + k})(namespace["made_in_a_loop"])
        p = np.ones(3)
        fastopt.Optimizer(p, entry, 0.5, backend="numpy").step(np.ones(3))
        fastopt.functional.apply(entry, p, np.ones(3), step=1, lr=0.5, backend="numpy")
        fastopt.functional.made_in_a_loop(p, np.ones(3), step=1, lr=0.5, backend="numpy")
        alive.append(weakref.ref(entry))
        del entry
    gc.collect()
    assert [ref() is not None for ref in alive] == [False, False, False, True], "only the one that has the name is kept"
