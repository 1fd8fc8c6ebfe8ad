"""Hands figures that were measured in turns to pytest-benchmark, one entry for each contender.

pytest-benchmark times one thing at a time; what stands in its statistics has to be timed beside others, and to be seconds
of one step. So all contenders of a cell are measured together by whichever of their tests runs first, and each test
replays its own share: pytest-benchmark runs as many rounds of nothing as were measured, by a clock of ours that tells their
seconds. `stats` of each entry is what the rounds took, and `pytest-benchmark compare` compares that.

A benchmark module marks its test with `replayed`, takes the fixture `figures`, and hands over:

    @replayed
    def test_something(benchmark, figures, contender):
        figures.hand_over(benchmark, "the cell", contender, measure)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from .records import Row

__all__ = ["Figures", "figures", "replayed"]


class _Replay:
    """A clock that is read before and after each round, and has gone on by that round's seconds."""

    __name__ = "seconds of one step, measured in turns"  # for the record, as the timer's

    def __init__(self) -> None:
        self.readings: Iterator[float] = iter(())

    def load(self, seconds: Iterable[float]) -> None:
        """The rounds to tell of next. Each begins at 0, so that the difference is its seconds to the last bit."""
        self.readings = iter([reading for value in seconds for reading in (0.0, value)])

    def __call__(self) -> float:
        return next(self.readings)


_clock = _Replay()
replayed = pytest.mark.benchmark(timer=_clock)
"""The mark of a test that hands over."""


class Figures:
    """What was measured in this run, by cell. Numbers only: arrays of a cell go when it was measured."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.failures: dict[str, str] = {}

    def hand_over(self, benchmark: Any, cell: str, contender: str, measure: Callable[[], Row]) -> None:
        """Enters one contender's rounds, measuring the cell if none of its contenders did; the cell is pytest-benchmark's group.

        Where measuring failed it fails for every contender, and is not tried again; a contender that turned out not to be there is
        skipped.
        """
        if cell in self.failures:
            pytest.fail(f"{cell}: {self.failures[cell]}", pytrace=False)
        if cell not in self.rows:
            try:
                self.rows[cell] = measure()
            except Exception as error:  # whatever it is: it is raised on, and told to the cell's other contenders
                self.failures[cell] = f"{type(error).__name__}: {error}"
                raise
        row = self.rows[cell]
        if contender not in row.seconds:
            pytest.skip(f"{cell}: {contender} is not there on this machine")
        seconds = row.seconds[contender].tolist()
        benchmark.group = cell
        benchmark.extra_info.update(row.about(contender))
        _clock.load(seconds)
        benchmark.pedantic(lambda: None, rounds=len(seconds))
        if benchmark.enabled and benchmark.stats.stats.data != seconds:
            raise RuntimeError(f"{cell}: pytest-benchmark has other figures than were measured; is the test marked with `replayed`?")


@pytest.fixture(scope="session")
def figures() -> Figures:
    """The figures of this run."""
    return Figures()
