"""Seconds of a block of steps on a device, by one of three clocks.

    Events      between two CUDA events around the block: what the device took, waiting for the host included
    Waited      the host's clock, from a device at rest to a device at rest: for a framework that works on streams of its own
    Enqueued    the host's clock around the calls alone: what it costs to hand the work over

Work is put on the legacy default stream, which PyTorch and CuPy use unless told otherwise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fastopt.cuda.arrays import DEFAULT_STREAM

from ..interleave import LONG, Contender

__all__ = ["CALLS", "Clock", "Enqueued", "Events", "Timed", "Waited", "answer", "synchronize"]

CALLS = 100
"""Calls that are enqueued in a row at the most, so that the driver's queue has room for them and the host does not wait."""


class Clock(Protocol):
    """A way to time a block of steps."""

    @property
    def name(self) -> str:
        """What it reads, for the report."""

    def measure(self, step: Callable[[], object], count: int) -> float:
        """Seconds that so many steps took together."""


def answer(result: tuple[Any, ...]) -> Any:
    """What a driver call returned besides its status. Raises RuntimeError naming the status if it is an error."""
    status, *values = result
    if int(status):
        raise RuntimeError(f"CUDA driver: {status.name}")
    return values[0] if len(values) == 1 else tuple(values)


def synchronize() -> None:
    """Waits until the device has done everything, on all streams."""
    from cuda.bindings import driver

    answer(driver.cuCtxSynchronize())


class Events:
    """CUDA events on the stream of the steps."""

    name = "device, CUDA events"

    def __init__(self) -> None:
        from cuda.bindings import driver

        self.driver = driver
        flags = int(driver.CUevent_flags.CU_EVENT_DEFAULT)  # with timing, and polled rather than slept on
        self.start, self.stop = (answer(driver.cuEventCreate(flags)) for _ in range(2))

    def measure(self, step: Callable[[], object], count: int) -> float:
        """Seconds between the events; they are read once the second one has happened."""
        answer(self.driver.cuEventRecord(self.start, DEFAULT_STREAM))
        for _ in range(count):
            step()
        answer(self.driver.cuEventRecord(self.stop, DEFAULT_STREAM))
        answer(self.driver.cuEventSynchronize(self.stop))
        return float(answer(self.driver.cuEventElapsedTime(self.start, self.stop))) / 1e3  # it answers in milliseconds


@dataclass(frozen=True)
class Waited:
    """From a device at rest to a device at rest; `finish` waits for what the framework itself has not handed over yet."""

    finish: Callable[[], object] = synchronize
    name: str = "host, waited for"

    def measure(self, step: Callable[[], object], count: int) -> float:
        """Seconds until everything was done."""
        self.finish()
        synchronize()
        start = time.perf_counter()
        for _ in range(count):
            step()
        self.finish()
        synchronize()
        return time.perf_counter() - start


@dataclass(frozen=True)
class Enqueued:
    """Only the calls: the device is waited for before and after, outside of what is timed."""

    name: str = "host, enqueued"

    def measure(self, step: Callable[[], object], count: int) -> float:
        """Seconds that the calls took, in bursts that the device's queue has room for."""
        total = 0.0
        while count > 0:
            burst = min(count, CALLS)
            synchronize()
            start = time.perf_counter()
            for _ in range(burst):
                step()
            total += time.perf_counter() - start
            count -= burst
        synchronize()
        return total


@dataclass
class Timed(Contender):
    """A contender whose blocks are timed by a clock of ours."""

    clock: Clock | None = None
    longest: float = math.inf

    def steps_for(self, seconds: float) -> int:
        """See `Contender`; a rehearsal asks for blocks that are no longer than `longest`."""
        return super().steps_for(min(seconds, self.longest))

    def block(self, steps: int) -> float:
        """Makes some steps and returns the seconds they took together; one goes before that is not timed.

        With `prepare` every step is timed by itself, from a device at rest.
        """
        if self.clock is None:
            raise ValueError("clock: expected a clock, received None")
        if self.takes < LONG:
            if self.prepare is not None:
                self.prepare()
            self.step()
        if self.prepare is None:
            return self.clock.measure(self.step, steps)
        total = 0.0
        for _ in range(steps):
            self.prepare()
            synchronize()
            total += self.clock.measure(self.step, 1)
        return total
