"""Ctrl-C, or any signal handler that raises, finds a call made or not made, on a device too (`tests.test_uninterrupted` is the host's)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.cuda.memory import from_host, to_host
from tests.interrupts import interrupted_at

STREAM = 24
Call = Callable[["Run"], None]


class Run:
    """An optimizer, and two sets of gradients that lie at other places."""

    def __init__(self, dtypes: list[Any], options: dict[str, Any]) -> None:
        self.params = [from_host(np.arange(5 + i).astype(dtype)) for i, dtype in enumerate(dtypes)]
        self.opt = fastopt.Optimizer(self.params, lr=0.5, **options)
        self.first, self.second = ([from_host(np.full(p.shape, v, p.dtype)) for p in self.params] for v in (1.0, -2.0))
        self.step(self.first)
        self.other = self.opt.state_dict()
        self.other["steps"] += 7
        self.other["groups"][0]["lr"] = 0.25
        for slot in self.other["slots"]:
            slot["steps"] += 7
        for values in self.other["state"].values():
            values[:] = [value + 1 for value in values]

    def step(self, gradients: list[Any]) -> None:
        self.opt.step(gradients, stream=STREAM)

    def whole(self) -> bytes:
        """All that a call may change."""
        kept = self.opt.state_dict()
        arrays = [*self.params, *(state for own in self.opt._states for state in own)]
        counts = repr((kept["steps"], kept["slots"], kept["groups"])).encode()
        return counts + b"".join(to_host(array).tobytes() for array in arrays)


def steps(run: Run) -> None:
    run.step(run.second)


def steps_as_before(run: Run) -> None:
    """With the gradients whose addresses the device had before the call, and may have still."""
    run.step(run.first)


def steps_without_some(run: Run) -> None:
    run.step([None, *run.second[1:]])


def loads(run: Run) -> None:
    run.opt.load_state_dict(run.other)


def configures(run: Run) -> None:
    run.opt.configure(lr=0.125)


MADE = {
    "one": ([np.float32], {"rule": "momentum"}),
    "two": ([np.float32, np.float32], {"rule": "momentum"}),
    "two dtypes": ([np.float32, np.float64], {"rule": "momentum"}),
    "clipped": ([np.float32], {"rule": "momentum", "max_norm": 0.5}),
}


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: the emulated driver is Python too, and what is freed in the middle of it would be interrupted."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("made", "work", "then", "every"),  # the last: at which places, as all of them take the emulator 20 s
    [
        ("two dtypes", steps, steps_as_before, 2),
        ("clipped", steps, steps_as_before, 2),
        ("two", steps_without_some, steps_without_some, 2),
        ("two", loads, steps_as_before, 3),
        ("one", configures, steps_as_before, 1),
    ],
)
def test_a_call_is_made_or_not(emulated: Any, uncollected: None, made: str, work: Call, then: Call, every: int) -> None:
    def run() -> Run:
        dtypes, options = MADE[made]
        return Run(dtypes, dict(options))

    before, done = run(), run()
    work(done)
    outcomes = {before.whole(): "not made", done.whole(): "made"}
    assert len(outcomes) == 2
    expected = {}
    for outcome, beside in (("not made", before), ("made", done)):
        then(beside)
        expected[outcome] = beside.whole()
    seen, place = set(), 0
    while True:
        at = run()
        interrupted = interrupted_at(place, lambda at=at: work(at))
        found = outcomes.get(at.whole())
        assert found is not None, f"interrupted at place {place}, it was left half done"
        seen.add(found)
        then(at)
        assert at.whole() == expected[found], f"interrupted at place {place}, it did not go on"
        if not interrupted:
            break
        place += every
    assert seen == {"made", "not made"}
