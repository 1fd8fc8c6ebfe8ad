"""Events: places in a stream, which can be asked whether it has passed them; what a step reads is held until it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache as once
from functools import partial
from typing import Any

from fastopt.cuda.driver.contexts import bindings, call_on, check, core_device, on, relaxed, stream_of
from fastopt.uninterrupted import uninterrupted

__all__ = ["event", "happened", "recording", "wait_for"]


def event(device: int) -> Any:
    """An event of a device, which may be recorded again and again."""
    return call_on(device, core_device(device).create_event)


def recording(event: Any, stream: int) -> Callable[[], Any]:
    """The call that records an event on a stream (`fastopt.uninterrupted`), for a thread that is on the device."""
    return partial(stream_of(stream).record, event)


def happened(device: int, events: Iterable[Any]) -> int:
    """How many of the events, from the first one on, their streams have passed. Never waits."""
    count: int = call_on(device, _happened, events)
    return count


def _happened(events: Iterable[Any]) -> int:
    count, exchange = 0, bindings().cuThreadExchangeStreamCaptureMode
    before = check(exchange(_relaxed()))  # as in `relaxed`, at half of what a context manager takes: this is in every step that holds
    try:
        for each in events:
            if not each.is_done:
                break
            count += 1
    finally:
        check(exchange(before))
    return count


@once
def _relaxed() -> Any:
    return bindings().CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED


def wait_for(device: int, events: Iterable[Any]) -> None:
    """Waits until the streams have passed all of the events; a signal handler runs after that."""
    waits = [each.sync for each in events]
    with on(device), relaxed():
        uninterrupted(waits)
