"""What every schedule is: checked, saved as a dictionary, equal to what is read again, and a function of an integer."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fastopt import schedules
from fastopt.schedules import (
    SCHEDULES,
    ByEpoch,
    Chain,
    Cosine,
    Linear,
    MultiStep,
    Piecewise,
    Plateau,
    Schedule,
    Warmup,
    from_dict,
)
from fastopt.schedules.schedule import power

EVERY: list[Schedule] = [
    schedules.Constant(0.1),
    schedules.InverseTime(0.1, 0.5, 10, staircase=True),
    schedules.Exponential(0.1, 0.95, 3, end=0.01),
    schedules.InverseSqrt(0.1, 2.0, 5),
    schedules.Staircase(0.1, 7),
    schedules.StepDecay(0.1, 7),
    schedules.MultiStep(0.1, (3, 6, 9), (0.5, 0.25, 2.0)),
    schedules.Cosine(0.1, 17, 0.01, 1.5),
    schedules.Cosine(0.1, 17, 0.01, swinging=True),
    schedules.CosineRestarts(0.1, 5, 2, 0.01, 0.9),
    schedules.Linear(0.1, 17, 0.3),
    schedules.Polynomial(0.1, 17, 2.0, 0.01),
    schedules.OneCycle(0.1, 17, three_phases=True),
    schedules.Piecewise(((2, 0.1), (9, 0.5), (15, 0.0)), "cosine"),
    schedules.Warmup(5, schedules.Cosine(0.1, 12), 0.01),
    schedules.Chain((0.3, schedules.Warmup(3, 0.2), schedules.Plateau(0.1)), (4, 11)),
    schedules.ByEpoch(schedules.StepDecay(0.1, 2), 3, first=1),
    schedules.Plateau(0.1, patience=1).observe(1.0).observe(2.0),
]


def test_every_class_is_among_these() -> None:
    assert (
        {type(schedule).__name__ for schedule in EVERY}
        == set(SCHEDULES)
        == set(schedules.__all__) - {"SCHEDULES", "Schedule", "from_dict", "parse"}
    )


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_the_same_comes_back(schedule: Schedule) -> None:
    """Out of JSON, a pickle, a copy, and its own representation: equal, and of the same bits at every step."""
    found = [
        from_dict(json.loads(json.dumps(schedule.to_dict(), allow_nan=False))),
        pickle.loads(pickle.dumps(schedule)),
        copy.deepcopy(schedule),
    ]
    found.append(eval(repr(schedule), dict(vars(schedules))))
    for other in found:
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert other.to_dict() == schedule.to_dict()
        assert [other(step) for step in range(40)] == [schedule(step) for step in range(40)]
    values = [schedule(step) for step in range(40)]
    assert all(type(value) is float and value >= 0.0 for value in values)
    assert [schedule(step) for step in reversed(range(40))] == values[::-1], "it remembers what it was asked before"
    assert schedule(2**62) >= 0.0
    assert schedule(np.int64(7)) == values[7]
    with pytest.raises(AttributeError):
        schedule.steps = 3  # type: ignore[attr-defined]


def test_what_differs_is_not_equal() -> None:
    assert Cosine(0.1, 10) != Cosine(0.1, 11)
    assert Cosine(0.1, 10) != Linear(0.1, 10)
    assert schedules.Staircase(0.1, 10, 0.1) != schedules.StepDecay(0.1, 10)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (-1, ValueError, r"^step: expected an integer >= 0, received -1$"),
        (0.5, TypeError, r"^step: expected an integer >= 0, received 0.5 \(float\)$"),
        (True, TypeError, r"^step: expected an integer >= 0"),
    ],
)
def test_a_bad_step(step: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Cosine(0.1, 10)(step)


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: Cosine(-0.1, 10), ValueError, r"^Cosine\.initial: expected a finite number >= 0, received -0\.1$"),
    (lambda: Cosine(math.nan, 10), ValueError, r"^Cosine\.initial: expected a finite number >= 0, received nan$"),
    (lambda: Cosine("0.1", 10), TypeError, r"^Cosine\.initial: expected a finite number >= 0, received '0\.1' \(str\)$"),
    (lambda: Cosine(0.1, 0), ValueError, r"^Cosine\.steps: expected an integer >= 1, received 0$"),
    (lambda: Cosine(0.1, 10.0), TypeError, r"^Cosine\.steps: expected an integer >= 1, received 10\.0 \(float\)$"),
    (lambda: Cosine(0.1, 10, end=math.inf), ValueError, r"^Cosine\.end: expected a finite number >= 0, received inf$"),
    (lambda: Cosine(0.1, 10, swinging=1), TypeError, r"^Cosine\.swinging: expected True or False"),
    (lambda: schedules.Exponential(0.1, 0.5, end=-1.0), ValueError, r"^Exponential\.end: expected a finite number >= 0, received -1\.0$"),
    (lambda: schedules.InverseSqrt(0.1, offset=0), ValueError, r"^InverseSqrt\.offset: expected an integer >= 1, received 0$"),
    (lambda: MultiStep(0.1, (3, 3)), ValueError, r"^MultiStep\.milestones: expected each larger than the one before, received \(3, 3\)"),
    (lambda: MultiStep(0.1, ()), ValueError, r"^MultiStep\.milestones: expected at least one, received an empty tuple$"),
    (lambda: MultiStep(0.1, 3), TypeError, r"^MultiStep\.milestones: expected a sequence, received 3 \(int\)$"),
    (lambda: MultiStep(0.1, (3, "6")), TypeError, r"^MultiStep\.milestones\[1\]: expected an integer >= 0, received '6'"),
    (lambda: MultiStep(0.1, (3, 6), (0.1,)), ValueError, r"^MultiStep\.factor: expected one, or 2 as there are milestones; received 1$"),
    (lambda: MultiStep(0.1, (3, 6), -0.1), ValueError, r"^MultiStep\.factor: expected a finite number >= 0, received -0\.1$"),
    (
        lambda: Piecewise(((0, 0.1), (0, 0.2))),
        ValueError,
        r"^Piecewise\.points: expected each at a later step than the one before, .* \[0, 0\]$",
    ),
    (lambda: Piecewise((0.1, 0.2)), TypeError, r"^Piecewise\.points\[0\]: expected a step and the value there, received 0\.1 \(float\)$"),
    (lambda: Piecewise(((0, -0.1),)), ValueError, r"^Piecewise\.points\[0\]\[1\]: expected a finite number >= 0, received -0\.1$"),
    (lambda: Piecewise(((0, 0.1),), "cubic"), ValueError, r"^Piecewise\.shape: expected one of 'cosine', 'linear'; received 'cubic'$"),
    (lambda: schedules.OneCycle(0.1, 10, 1.1), ValueError, r"^OneCycle\.rise: expected a number in \[0, 1\], received 1\.1$"),
    (lambda: schedules.OneCycle(0.1, 10, 0.6, three_phases=True), ValueError, r"^OneCycle\.rise: expected at most 0\.5 with three_phases"),
    (lambda: Warmup(10, "cosine"), TypeError, r"^Warmup\.then: expected a schedule, or a finite number >= 0; received 'cosine' \(str\)$"),
    (lambda: Warmup(10, -0.1), ValueError, r"^Warmup\.then: expected a finite number >= 0, received -0\.1$"),
    (lambda: Chain((0.1, 0.2), (3, 6)), ValueError, r"^Chain\.at_steps: expected 1, one less than there are schedules; received 2$"),
    (lambda: Chain((0.1, None), (3,)), TypeError, r"^Chain\.schedules\[1\]: expected a schedule, or a finite number >= 0; received None$"),
    (lambda: ByEpoch(Cosine(0.1, 3), 0), ValueError, r"^ByEpoch\.steps_per_epoch: expected an integer >= 1, received 0$"),
    (lambda: ByEpoch(Cosine(0.1, 3), 4, first=-1), ValueError, r"^ByEpoch\.first: expected an integer >= 0, received -1$"),
    (lambda: Plateau(0.1, factor=1.0), ValueError, r"^Plateau\.factor: expected a number in \[0, 1\), received 1\.0$"),
    (lambda: Plateau(0.1, mode="least"), ValueError, r"^Plateau\.mode: expected one of 'min', 'max'; received 'least'$"),
    (lambda: Plateau(0.1, threshold=1.0), ValueError, r"^Plateau\.threshold: expected a share below 1 .* received 1\.0$"),
    (lambda: Cosine(), TypeError, r"missing 2 required positional arguments: 'initial' and 'steps'"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (0.1, TypeError, r"^schedule: expected a mapping with the 'class' of a schedule and its arguments, received 0\.1 \(float\)$"),
        ({"initial": 0.1}, TypeError, r"^schedule: expected a mapping with the 'class'"),
        ({"class": "Sine"}, ValueError, r"^schedule: expected one of .*Cosine.*, received 'Sine'"),
        ({"class": "Cosine", "initial": 0.1}, ValueError, r"^schedule: expected Cosine with initial, steps, .*; received initial$"),
        ({"class": "Cosine", "initial": 0.1, "steps": 3, "stop": 4}, ValueError, r"; received initial, steps, stop$"),
        ({"class": "Warmup", "steps": 3, "then": {"class": "Nil"}}, ValueError, r"^schedule\['then'\]: expected one of "),
        (
            {"class": "Chain", "schedules": [1, {"class": 3}], "at_steps": [2]},
            TypeError,
            r"^schedule\['schedules'\]\[1\]: expected a mapping",
        ),
        ({"class": "Cosine", "initial": 0.1, "steps": "3"}, TypeError, r"^Cosine\.steps: expected an integer"),
    ],
)
def test_bad_dictionaries(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_dict(given)


def test_arguments_that_an_older_version_did_not_write_have_their_defaults() -> None:
    assert from_dict({"class": "Cosine", "initial": 0.1, "steps": 3}) == Cosine(0.1, 3)


@pytest.fixture
def _table_put_back() -> Any:
    before = dict(SCHEDULES)
    yield
    SCHEDULES.clear()
    SCHEDULES.update(before)


@pytest.mark.usefixtures("_table_put_back")
def test_one_of_your_own() -> None:
    @dataclass(frozen=True)
    class Halving(Schedule):
        initial: float
        parts: tuple[Any, ...] = ()

        def at(self, step: int) -> float:
            return self.initial * 0.5**step

    own = Halving(0.5, (1, Cosine(0.1, 3), "word", None))
    assert Warmup(2, own)(3) == 0.25
    assert from_dict(json.loads(json.dumps(own.to_dict()))) == own
    assert schedules.parse("warmup(2, halving(0.5))") == Warmup(2, Halving(0.5))
    with pytest.raises(
        TypeError, match=r"^Halving\.parts\[0\]: expected a number, a word, a schedule, or a tuple of these, which can be saved; received"
    ):
        Halving(0.5, ({1},)).to_dict()

    class Kept(Schedule):
        def __init__(self, value: float) -> None:
            self.value = value

        def at(self, step: int) -> float:
            return self.value

    with pytest.raises(TypeError, match=r"^Kept: expected a schedule that is a frozen dataclass, all of which can be saved"):
        Kept(0.1).to_dict()

    class Level(Schedule):
        def at(self, step: int) -> float:
            return 0.1

    assert from_dict(Level().to_dict())(3) == 0.1
    with pytest.raises(
        ValueError,
        match=r"^Cosine: expected a name of its own for a schedule, as files know it by that; fastopt\.schedules\.ramps has one$",
    ):
        type("Cosine", (Schedule,), {})
    with pytest.raises(TypeError, match="abstract"):
        type("Nothing", (Schedule,), {})()


def test_beyond_the_floats() -> None:
    assert power(2.0, 5000) == math.inf
    assert power(0.5, 5000) == 0.0
    assert schedules.Exponential(0.1, 2.0)(5000) == math.inf
