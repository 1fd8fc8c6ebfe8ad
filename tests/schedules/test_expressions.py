"""Schedules as they are written on a command line, of which nothing is run."""

from __future__ import annotations

import pytest

from fastopt.schedules import Chain, Cosine, MultiStep, OneCycle, Piecewise, Warmup, parse
from fastopt.schedules.schedule import Schedule
from tests.schedules.test_schedule import EVERY


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_its_own_representation(schedule: Schedule) -> None:
    assert parse(repr(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cosine(0.1, steps=1000)", Cosine(0.1, 1000)),
        (" warmup(100,\n cosine(1e-1, steps=900)) ", Warmup(100, Cosine(0.1, 900))),
        ("one_cycle(0.1, 10)", OneCycle(0.1, 10)),
        ("onecycle(0.1, 10, shape='linear', three_phases=True)", OneCycle(0.1, 10, shape="linear", three_phases=True)),
        ("multi_step(1, [3, 6], factor=[0.5, 0.25])", MultiStep(1.0, (3, 6), (0.5, 0.25))),
        ("PIECEWISE(((0, 1), (5, 0)))", Piecewise(((0, 1.0), (5, 0.0)))),
        ("Chain([0.1, cosine(0.1, 3)], at_steps=[7])", Chain((0.1, Cosine(0.1, 3)), (7,))),
    ],
)
def test_spellings(text: str, expected: Schedule) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosine(0.1, steps=1000", r"^schedule: expected an expression such as .* received 'cosine\(0\.1, steps=1000' \("),
        ("", r"^schedule: expected an expression"),
        ("0.1", r"^schedule: expected an expression such as 'cosine\(0\.1, steps=1000\)', received '0\.1'$"),
        ("sine(0.1)", r"^schedule: expected one of .*Cosine.*; received 'sine'$"),
        ("__import__('os')", r"^schedule: expected one of .*; received '__import__'$"),
        ("os.system('true')", r"^schedule: expected one of .*; received 'os\.system'$"),
        ("(lambda: 1)()", r"^schedule: expected one of "),
        ("cosine(steps, 3)", r"^schedule: expected numbers, words in quotes, .*; received 'steps'$"),
        ("cosine(2**9**9, 3)", r"^schedule: expected numbers, .*; received '2 \*\* 9 \*\* 9'$"),
        ("cosine(-'a', 3)", r"^schedule: expected numbers, "),
        ("cosine(b'a', 3)", r"^schedule: expected numbers, "),
        ("cosine(*[0.1, 3])", r"^schedule: expected numbers, "),
        ("cosine(**{})", r"^cosine: expected arguments by name or place, received '\*\*\{\}'$"),
        ("cosine(-0.1, 3)", r"^Cosine\.initial: expected a finite number >= 0, received -0\.1$"),
        ("cosine(0.1)", r"^Cosine: missing 1 required positional argument: 'steps'$"),
        ("cosine(0.1, stps=3)", r"^Cosine: got an unexpected keyword argument 'stps'$"),
        ("cosine(" * 500, r"^schedule: expected an expression"),
    ],
)
def test_what_is_no_schedule(text: str, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        parse(text)
