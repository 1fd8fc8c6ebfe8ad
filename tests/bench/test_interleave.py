"""The timing of things in turns: every contender as often as the others, in rotating order, with what it did recorded."""

from __future__ import annotations

from typing import Any

import pytest

from bench.interleave import FEWEST_ROUNDS, MOST_ROUNDS, Contender, interleave


def _logging(log: list[str], name: str) -> Any:
    return lambda: log.append(name)


def test_contenders_take_turns_in_every_round(benchmark: Any) -> None:
    log: list[str] = []
    contenders = {name: Contender(_logging(log, name)) for name in ("a", "b", "c")}
    seconds = interleave(benchmark, contenders, 0.0, group="x")
    assert {len(values) for values in seconds.values()} == {FEWEST_ROUNDS}
    turns = [name for name, before in zip(log, ["", *log], strict=False) if name != before]
    rounds = turns[-3 * FEWEST_ROUNDS :]
    for start in range(0, len(rounds), 3):
        assert sorted(rounds[start : start + 3]) == ["a", "b", "c"]
        assert rounds[start + 2] == "a"  # the subject comes last, after the `setup` with the others
    assert len({tuple(rounds[start : start + 2]) for start in range(0, len(rounds), 3)}) == 2  # b c, and c b


def test_the_record_has_description_rounds_and_steps(benchmark: Any) -> None:
    seconds = interleave(benchmark, {"a": Contender(lambda: None), "b": Contender(lambda: None)}, 0.05, group="x", label="y")
    info = benchmark.extra_info
    assert (info["group"], info["label"], info["subject"]) == ("x", "y", "a")
    assert FEWEST_ROUNDS <= len(seconds["a"]) == len(seconds["b"]) <= MOST_ROUNDS
    assert info["seconds"]["b"] == pytest.approx(seconds["b"], rel=1e-5)
    assert info["steps_per_round"]["a"] > 100  # a call that costs nothing is looped over inside the block


def test_a_subject_that_needs_preparing_is_timed_without_it(benchmark: Any) -> None:
    made: list[int] = []
    used: list[int] = []
    subject = Contender(lambda: used.append(made[-1]), prepare=lambda: made.append(len(made)))
    seconds = interleave(benchmark, {"a": subject}, 0.0)
    assert used == made  # once before each step
    assert len(seconds["a"]) == FEWEST_ROUNDS
    assert max(seconds["a"]) < benchmark.stats.stats.max  # the block's own time has the preparation in it


def test_a_slow_step_makes_a_block_by_itself() -> None:
    clock = Contender(lambda: None)
    clock.block = lambda steps: 0.01 * steps  # type: ignore[method-assign]
    assert clock.steps_for(0.004) == 1
    assert clock.steps_for(0.1) in range(10, 14)
