"""Schedules that cannot be used, and steps that are not made: refused before anything is changed, and right the next time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.schedules import SCHEDULES, Chain, Cosine, Exponential, Linear, Schedule
from tests.conftest import needed
from tests.optimizers.test_following import BACKENDS, arrays, everything


@dataclass(frozen=True)
class Listed(Schedule):
    """Values as they are listed, whatever they are, and something done at each."""

    values: tuple[Any, ...]
    done: Any = field(default=None, compare=False)

    def at(self, step: int) -> float:
        if self.done is not None:
            self.done(step)
        value: float = self.values[step]
        return value

    def to_dict(self) -> dict[str, Any]:
        return {}


del SCHEDULES["Listed"]  # of this file alone


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "lr",
            (0.1, 0.1, -0.5),
            r"^lr: expected a finite number >= 0 of its schedule Listed\(.*\) after 2 steps \(lr: .* received -0\.5\)$",
        ),
        ("lr", (0.1, 0.1, float("nan")), r"^lr: .* after 2 steps \(.* received nan\)$"),
        ("lr", (0.1, 0.1, float("inf")), r"^lr: .* after 2 steps \(.* received inf\)$"),
        ("lr", (0.1, 0.1, "0.1"), r"^lr: .* after 2 steps \(.* received '0\.1' \(str\)\)$"),
        ("weight_decay", (0.1, 0.2, -0.1), r"^weight_decay: expected a finite number >= 0 of its schedule .* after 2 steps \(.*-0\.1\)$"),
        ("betas", (0.1, 0.2, 1.0), r"^betas\[0\]: expected a number in \[0, 1\) of its schedule .* after 2 steps \(.*received 1\.0\)$"),
    ],
)
def test_a_bad_value_is_refused_before_the_step(backend: str, name: str, values: Any, message: str) -> None:
    needed(backend)
    schedule = Listed(values)
    opt = fastopt.Adam(arrays(0), backend=backend, **{"lr": 0.1, name: (schedule, 0.99) if name == "betas" else schedule})
    for step in range(2):
        opt.step(arrays(step))
    before = everything(opt)
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            opt.step(arrays(2))
        assert everything(opt) == before
    with pytest.raises(ValueError, match=message):
        getattr(opt, name)
    assert "Listed" in repr(opt)
    opt.configure(**{name: (0.5, 0.99) if name == "betas" else 0.05})
    opt.step(arrays(2))
    assert opt.steps == 3


def test_a_value_that_the_form_does_not_take_is_refused_too() -> None:
    """The family takes a momentum above 1, the moving average does not; and one bad schedule does not hide what others say."""
    opt = fastopt.SGD(arrays(0), momentum=Chain((0.5, 1.5), (2,)), form="averaged", weight_decay=Linear(0.5, 4))
    for step in range(2):
        opt.step(arrays(step))
    before = everything(opt)
    with pytest.raises(ValueError, match=r"^momentum: expected a number in \[0, 1\), received 1\.5, of its schedule after 2 steps$"):
        opt.step(arrays(2))
    assert everything(opt) == before
    bad = fastopt.SGD(arrays(0), lr=Listed((0.5, -1.0)), weight_decay=Linear(0.5, 4))
    bad.step(arrays(0))
    assert (bad.weight_decay, bad.hyperparameters["weight_decay"], bad.groups[0].weight_decay) == (0.375,) * 3
    assert "Listed" in repr(bad)
    assert "Listed" in repr(bad.groups)


def test_nothing_is_changed_by_a_schedule_that_cannot_be_used() -> None:
    opt = fastopt.Adam(arrays(0), lr=Cosine(0.1, 20))
    opt.step(arrays(1))
    before = opt.state_dict()["groups"]
    for name, value, error, message in (
        ("lr", Listed((0.1, -1.0)), ValueError, r"^lr: expected a finite number >= 0 of its schedule .* after 1 steps"),
        ("lr", (Cosine(0.1, 3),), TypeError, r"^lr: expected a finite number >= 0, received"),
        ("lr", lambda step: 0.1, TypeError, r"^lr: expected a finite number >= 0, received"),
        ("betas", Cosine(0.1, 3), TypeError, r"^betas: expected 2 numbers, received Cosine\(0\.1, 3\) \(Cosine\)$"),
        ("betas", (Cosine(0.1, 3),), TypeError, r"^betas: expected 2 numbers, received"),
        ("betas", (0.9, Linear(0.5, 1, 1.5)), ValueError, r"^betas\[1\]: expected a number in \[0, 1\) of its schedule .* received 1\.5"),
        ("amsgrad", Cosine(0.1, 3), TypeError, r"^amsgrad: expected True or False, received Cosine\(0\.1, 3\) \(Cosine\)$"),
        ("convention", Cosine(0.1, 3), (TypeError, ValueError), r"^convention: expected "),
        ("beta", Cosine(0.1, 3), TypeError, r"^beta: Adam has no such hyperparameter"),
    ):
        with pytest.raises(error, match=message):
            opt.configure(**{name: value})
        assert opt.state_dict()["groups"] == before
    with pytest.raises(TypeError, match=r"^max_norm: expected"):
        fastopt.Adam(arrays(0), max_norm=Cosine(0.1, 3))
    with pytest.raises(TypeError, match=r"^lr: expected"):
        fastopt.functional.sgd(np.ones(3), np.ones(3), step=1, lr=Cosine(0.1, 3))
    with pytest.raises(ValueError, match=r"^initial_accumulator_value: expected a number, as a state begins with it, received Cosine"):
        fastopt.AdaGrad(arrays(0), initial_accumulator_value=Cosine(0.1, 3))


@pytest.mark.parametrize("nonfinite", ["skip", "raise"])
def test_a_rate_that_follows_a_schedule_does_not_hide_what_is_not_finite(nonfinite: str) -> None:
    opt = fastopt.Adam(arrays(0), lr=Linear(0.8, 8), nonfinite=nonfinite)
    before = everything(opt)
    bad = [np.full_like(p, np.nan) for p in arrays(0)]
    if nonfinite == "skip":
        assert opt.step(bad) is False
    else:
        with pytest.raises(FloatingPointError):
            opt.step(bad)
    assert everything(opt) == before


def test_a_step_that_is_not_made_does_not_count() -> None:
    opt = fastopt.Adam(arrays(0), lr=Linear(0.8, 8), betas=(Linear(0.8, 8, 0.4), 0.99), nonfinite="skip")
    opt.step(arrays(1))
    assert opt.step([np.full_like(p, np.nan) for p in arrays(0)]) is False
    with pytest.raises(ValueError, match="grads"):
        opt.step(arrays(1)[:2])
    assert (opt.steps, opt.lr, opt.betas) == (1, pytest.approx(0.7), (pytest.approx(0.75), 0.99))


def test_a_schedule_is_checked_for_the_step_that_comes() -> None:
    """Where one is taken, and not for the first step of all."""
    opt = fastopt.Adam(arrays(0), lr=Exponential(0.1, 2.0))
    before = opt.state_dict()
    late = {**before, "steps": 5000}
    with pytest.raises(ValueError, match=r"^lr: expected a finite number >= 0 of its schedule Exponential\(0\.1, 2\.0\) after 5000 steps"):
        opt.load_state_dict(late)
    assert opt.state_dict()["groups"] == before["groups"]
    assert opt.steps == 0
    opt.lr = 0.1
    opt.load_state_dict({**opt.state_dict(), "steps": 5000})
    for take in (
        lambda: opt.configure(lr=Exponential(0.1, 2.0)),
        lambda: opt.add_param_group({"params": [np.ones(3, np.float32)], "lr": Exponential(0.1, 2.0)}),
    ):
        with pytest.raises(ValueError, match=r"^lr: .* after 5000 steps"):
            take()
    assert (opt.lr, len(opt.groups)) == (0.1, 1)


def test_a_step_in_the_middle_of_one() -> None:
    """As by a signal handler: while the rate is looked up, another step is made. Then it is looked up anew."""

    def steps_too(step: int) -> None:
        if step == 2 and not nested:
            nested.append(step)
            opt.step(g)

    nested: list[int] = []
    w, g = np.zeros(3), np.ones(3)
    opt = fastopt.SGD(w, lr=Listed((1.0, 0.5, 0.25, 0.125, 0.0625), steps_too))
    for _ in range(4):
        opt.step(g)
    assert (nested, opt.steps) == ([2], 5)
    assert w[0] == -1.9375
