"""Devices and contexts: the driver's functions, whose errors are raised, called where the calling thread may stand anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as once
from typing import Any

__all__ = ["bindings", "call_on", "check", "core_device", "on", "relaxed", "stream_of"]


@once
def bindings() -> Any:
    """The driver API, one function each."""
    from cuda.bindings import driver

    return driver


def check(result: tuple[Any, ...]) -> Any:
    """What a driver call returned besides its status. Raises RuntimeError naming the status if it is an error."""
    status, *values = result
    if status:
        raise RuntimeError(f"CUDA driver: {status.name}")
    return values[0] if len(values) == 1 else tuple(values)


@once
def core_device(number: int) -> Any:
    """The device as cuda.core has it."""
    from cuda.core import Device

    return Device(number)


@once
def context(number: int) -> Any:
    """The device's primary context: the one that PyTorch, CuPy and Numba use too."""
    driver = bindings()
    before = check(driver.cuCtxGetCurrent())
    core_device(number).set_current()
    own = check(driver.cuCtxGetCurrent())
    check(driver.cuCtxSetCurrent(before))
    return own


@contextmanager
def on(number: int) -> Iterator[Any]:
    """Runs on a device, and leaves the calling thread on the one that it was on."""
    driver = bindings()
    own, before = context(number), check(driver.cuCtxGetCurrent())
    if int(before) == int(own):
        yield driver
        return
    check(driver.cuCtxSetCurrent(own))
    try:
        yield driver
    finally:
        check(driver.cuCtxSetCurrent(before))


@contextmanager
def relaxed() -> Iterator[None]:
    """Allows what CUDA forbids while any graph is captured, lest it become part of it by mistake: allocations, and asking for events."""
    driver = bindings()
    before = check(driver.cuThreadExchangeStreamCaptureMode(driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
    try:
        yield
    finally:
        check(driver.cuThreadExchangeStreamCaptureMode(before))


def call_on(number: int, function: Any, *arguments: Any) -> Any:
    """The same for one call, and cheap where the thread is on the device already, as nearly always: this is in every step."""
    if int(bindings().cuCtxGetCurrent()[1]) == int(context(number)):
        return function(*arguments)
    with on(number):
        return function(*arguments)


@once
def stream_of(handle: int) -> Any:
    """A stream as cuda.core has it; whoever made it keeps it."""
    from cuda.core import Stream

    return Stream.from_handle(handle)
