"""The timing of things in turns: every contender as often as the others, in rotating order, by a clock that can be given."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from bench.interleave import BLOCK, FEWEST_ROUNDS, MOST_ROUNDS, Contender, in_turns, interleave
from tests.bench.counted import Counted


def _logging(log: list[str], name: str) -> Callable[[], object]:
    return lambda: log.append(name)


def test_contenders_take_turns_in_every_round_and_each_is_first() -> None:
    log: list[str] = []
    contenders = {name: Contender(_logging(log, name)) for name in ("a", "b", "c")}
    rounds = interleave(contenders, 0.0)
    assert {len(values) for values in rounds.seconds.values()} == {FEWEST_ROUNDS}
    turns = list(in_turns(["a", "b", "c"], 3))
    assert turns == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    made = [name for name in turns for _ in range(rounds.steps[name] + 1)]  # and the one before the clock starts
    assert log[-len(made) :] == made


def test_seconds_are_those_of_one_step_by_the_clock_that_was_given() -> None:
    clock = Counted()
    rounds = interleave({"a": clock.contender(2**-20), "b": clock.contender(2**-19), "slow": clock.contender(0.25)}, 0.0)
    assert rounds.seconds == {"a": [2**-20] * 3, "b": [2**-19] * 3, "slow": [0.25] * 3}
    assert rounds.steps["a"] * 2**-20 >= BLOCK  # a step that takes nothing is looped over inside of a block
    assert rounds.steps["slow"] == 1


def test_preparing_is_not_timed_and_is_paid_out_of_the_budget() -> None:
    made: list[str] = []
    rounds = interleave({"a": Counted().prepared(0.25, made, steps=2)}, 2 * 0.75 * 5)
    assert rounds.seconds == {"a": [0.25] * 5}
    assert rounds.steps == {"a": 2}
    assert made == ["prepared", "step"] * (1 + 2 + 2 * 5)  # a first one and a block to warm up; a step as long as this needs none later


def test_several_steps_may_follow_what_goes_before_them() -> None:
    made: list[str] = []
    assert Counted().prepared(2**-10, made, burst=3).block(6) == 6 * 2**-10
    assert made == ["prepared", "step"] + ["prepared", "step", "step", "step"] * 2


def test_rounds_have_a_least_and_a_greatest_number() -> None:
    clock = Counted()
    assert len(interleave({"a": clock.contender(10.0)}, 1.0).seconds["a"]) == FEWEST_ROUNDS
    assert len(interleave({"a": clock.contender(1e-3)}, 1e6).seconds["a"]) == MOST_ROUNDS


def test_the_collector_rests_meanwhile_and_goes_on_after_a_failure() -> None:
    seen: list[bool] = []

    def step() -> None:
        seen.append(gc.isenabled())
        if len(seen) > 10:
            raise RuntimeError("a step that fails")

    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="a step that fails"):
        interleave({"a": Contender(step)}, 0.0)
    assert not any(seen)
    assert gc.isenabled()


def test_a_slow_step_makes_a_block_by_itself() -> None:
    clock = Contender(lambda: None)
    clock.block = lambda steps: 0.01 * steps  # type: ignore[method-assign]
    assert clock.steps_for(0.004) == 1
    clock.takes = 0.0
    assert clock.steps_for(0.1) in range(10, 14)


def test_a_first_step_that_waits_for_something_makes_no_block_by_itself() -> None:
    clock = Counted()
    made: list[float] = []

    def step() -> None:
        made.append(0.02 if len(made) < 2 else 2**-10)  # the one before the clock starts, and the first that is timed
        clock.seconds += made[-1]

    assert interleave({"a": Contender(step, now=clock.now)}, 0.0).steps["a"] * 2**-10 >= BLOCK


def test_a_loop_is_well_under_way_before_it_is_timed() -> None:
    clock = Counted()
    made: list[float] = []

    def step() -> None:
        made.append(clock.seconds)
        clock.seconds += 2**-10

    assert Contender(step, lead_in=2**-4, now=clock.now).block(3) == 3 * 2**-10
    assert len(made) == 2**6 + 3
