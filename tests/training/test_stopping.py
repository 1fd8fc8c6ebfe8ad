"""Early stopping: when, why, with which parameters, and going on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastopt
from fastopt.training import EarlyStopping
from tests.training.models import quadratic


@pytest.mark.parametrize(
    ("patience", "min_delta", "mode", "values", "stops", "best", "best_step"),
    [
        (2, 0.0, "min", (3.0, 1.0, 2.0, 1.0), (0, 0, 0, 1), 1.0, 1),
        (1, 0.0, "min", (3.0, 3.0), (0, 1), 3.0, 0),
        (2, 0.5, "min", (3.0, 2.6, 2.4, 2.0, 1.9), (0, 0, 0, 0, 1), 2.4, 2),
        (1, 0.5, "min", (3.0, 2.5), (0, 1), 3.0, 0),
        (2, 0.0, "max", (0.5, 0.75, 0.7, 0.8, 0.1, 0.2), (0, 0, 0, 0, 0, 1), 0.8, 3),
        (1, 0.25, "max", (0.5, 0.75, 0.8), (0, 1, 0), 0.8, 2),
        (2, 0.0, "min", (math.nan, 2.0, math.nan, math.inf), (0, 0, 0, 1), 2.0, 1),
        (2, 0.0, "min", (math.nan, math.nan), (0, 1), None, None),
        # what improves after all goes on
        (1, 0.0, "min", (3.0, 4.0, 2.0), (0, 1, 0), 2.0, 2),
    ],
)
def test_when(patience: int, min_delta: float, mode: str, values: Any, stops: Any, best: float | None, best_step: int | None) -> None:
    stopping = EarlyStopping(patience, min_delta, mode)
    assert [stopping.observe(value) for value in values] == [bool(stop) for stop in stops]
    assert (stopping.best, stopping.best_step, stopping.stopped) == (best, best_step, bool(stops[-1]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.just(math.nan), st.integers(-5, 5).map(float)), min_size=1, max_size=20), st.integers(1, 4))
def test_it_is_what_the_definition_says(values: list[float], patience: int) -> None:
    stopping = EarlyStopping(patience)
    for n, value in enumerate(values):
        stopped = stopping.observe(value)
        seen = [v for v in values[: n + 1] if not math.isnan(v)]
        best_step = values.index(min(seen)) if seen else None
        assert stopping.best_step == best_step
        assert stopping.waited == n - (-1 if best_step is None else best_step)
        assert stopped == (stopping.waited >= patience)


def test_reasons() -> None:
    stopping = EarlyStopping(2, 0.5)
    assert stopping.reason is None
    for value in (3.0, 2.75, 2.6):
        stopping.observe(value)
    assert stopping.reason == "2 observations in a row were not better than 3 by more than 0.5, the one at step 0"
    plain, blind = EarlyStopping(1), EarlyStopping(1)
    plain.observe(1.5)
    plain.observe(1.5)
    blind.observe(math.nan)
    assert plain.reason == "1 observations in a row were not better than 1.5, the one at step 0"
    assert blind.reason == "none of 1 observations was a number"
    assert repr(plain) == "<EarlyStopping: best 1.5 at 0, waited 1 of 1>"


def test_the_best_parameters_of_a_run_that_turns() -> None:
    """Ascent, from a minimum on: the parameters of the best observation come back in place, and the optimizer steps on with them."""
    w = np.array([0.5, 0.25])
    opt = fastopt.SGD(w, lr=0.1)
    stopping = EarlyStopping(3, keep=opt)
    seen = []
    for step in range(10):
        loss, gradient = quadratic(w)
        seen.append(w.copy())
        if stopping.observe(loss):
            break
        opt.step(gradient if step < 4 else -5.0 * gradient)
    assert (step, stopping.best_step) == (7, 4)
    assert not np.array_equal(w, seen[4])
    stopping.restore_best()
    assert np.array_equal(w, seen[4])
    opt.step(np.ones(2))
    assert np.array_equal(w, seen[4] - 0.1)


def test_going_on() -> None:
    """One that takes over the state goes on alike, with copies of its own."""
    params = {"w": np.array([1.0])}
    first, second = EarlyStopping(2, keep=params), EarlyStopping(2, keep=params)
    fresh = first.state_dict()
    first.observe(3.0)
    params["w"][0] = 2.0
    first.observe(4.0)
    state = first.state_dict()
    second.load_state_dict(state)
    state["kept"][0][0] = 99.0
    assert second.observe(5.0)
    second.restore_best()
    assert params["w"][0] == 1.0
    second.load_state_dict(fresh)
    assert (second.best, second.best_step, second.waited, second.stopped) == (None, None, 0, False)
    with pytest.raises(ValueError, match=r"^restore_best: expected an observation that is a number before, received none$"):
        second.restore_best()


STATE = {"observed": 3, "best": 1.0, "best_step": 1, "waited": 1, "kept": None}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"more": 1}, ValueError, r"^state_dict: expected a mapping with observed, best, best_step, waited, kept; received \["),
        ({"observed": -1}, ValueError, r"^state_dict\['observed'\]: expected an integer >= 0"),
        ({"best": None}, ValueError, r"^state_dict\['best_step'\]: expected None beside a best of None and only then, received 1 \(int\)$"),
        ({"best": "x"}, TypeError, r"^state_dict\['best'\]: expected a number, received 'x' \(str\)$"),
        ({"best_step": 1.0}, TypeError, r"^state_dict\['best_step'\]: expected an integer >= 0"),
        ({"waited": 2}, ValueError, r"^state_dict\['waited'\]: expected the observations after the best, of 3 in all; received 2$"),
        ({"kept": [np.ones(1)]}, ValueError, r"^state_dict\['kept'\]: expected None, as `keep` is None; received copies$"),
    ],
)
def test_states_that_do_not_fit(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    stopping = EarlyStopping(2)
    stopping.observe(7.0)
    before = stopping.state_dict()
    with pytest.raises(error, match=words):
        stopping.load_state_dict({**STATE, **changes})
    assert stopping.state_dict() == before
    stopping.load_state_dict(STATE)
    assert stopping.state_dict() == STATE
    keeping = EarlyStopping(2, keep=np.ones(2))
    with pytest.raises(ValueError, match=r"^state_dict\['kept'\]: expected copies beside a best and only then$"):
        keeping.load_state_dict(STATE)
    with pytest.raises(ValueError, match=r"^state_dict\['kept'\]\[0\]: expected float64 of shape \(2,\), as keep; received"):
        keeping.load_state_dict({**STATE, "kept": [np.ones(3)]})
    assert keeping.best is None


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"patience": 0}, ValueError, r"^patience: expected an integer >= 1, received 0$"),
        ({"patience": 1.5}, TypeError, r"^patience: expected an integer >= 1, received 1\.5 \(float\)$"),
        ({"patience": 1, "min_delta": -1.0}, ValueError, r"^min_delta: expected a finite number >= 0, received -1\.0$"),
        ({"patience": 1, "mode": "auto"}, ValueError, r"^mode: expected one of 'min', 'max'; received 'auto'$"),
        ({"patience": 1, "keep": 3}, TypeError, r"^keep: expected an array, a sequence of arrays or a mapping of them, received int$"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        EarlyStopping(**arguments)


def test_bad_calls() -> None:
    stopping = EarlyStopping(1)
    with pytest.raises(TypeError, match=r"^value: expected a number, received None$"):
        stopping.observe(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^restore_best: expected `keep` to name what is to be kept, received None$"):
        stopping.restore_best()
    assert stopping.state_dict()["observed"] == 0
