"""Two devices in one process: an optimizer has one of them, whichever, and all of its step goes to one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.memory import from_host, to_host

STREAM, OTHER_STREAM = 77, 88


@pytest.fixture(autouse=True)
def _two_devices(device: str) -> None:
    if device == "simulated":
        pytest.skip("the simulator is one device")
    from cuda.bindings import driver

    _, count = driver.cuDeviceGetCount()
    if count < 2:
        pytest.skip("there is one device")


class OnStream:
    """A device array of a library that says on which stream it was made, as Numba's do."""

    def __init__(self, array: DeviceArray, stream: int) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.address, False),
            "version": 3,
            "strides": None,
            "stream": stream,
        }


def ones(dtype: Any = np.float32, device: int = 0) -> DeviceArray:
    return from_host(np.ones(40, dtype), device)


def unchanged(*arrays: DeviceArray) -> bool:
    return all((to_host(array) == 1).all() for array in arrays)


@pytest.mark.parametrize("current", [0, 1])
def test_an_optimizer_on_either_whichever_is_current(current: int) -> None:
    from cuda.core import Device

    rng = np.random.default_rng(0)
    host = [rng.standard_normal(n).astype(dtype) for n, dtype in ((5, np.float32), (300, np.float32), (40, np.float64))]
    start = [p.copy() for p in host]
    on_host = fastopt.AdamW(host, lr=0.1, backend="numpy")
    gradients = [[rng.standard_normal(p.shape).astype(p.dtype) for p in host] for _ in range(3)]
    for own in gradients:
        on_host.step(own)
    for number in (0, 1):
        params = [from_host(p, number) for p in start]
        optimizer = fastopt.AdamW(params, lr=0.1)
        Device(current).set_current()
        for own in gradients:
            optimizer.step([from_host(g, number) for g in own])
        assert all(ulp_distance(to_host(p), q) == 0 for p, q in zip(params, host, strict=True))
    Device(0).set_current()


def test_parameters_of_one_dtype_on_two_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^params\[1\] lies on cuda:1, params\[0\] on cuda:0: expected arrays on one device$"):
        fastopt.Adam([ones(), ones(device=1)])


def test_parameters_of_two_dtypes_on_two_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cuda:1.* on cuda:0.*expected arrays on one device"):
        fastopt.Adam([ones(np.float32, 0), ones(np.float64, 1)])


def test_gradients_on_another_device_are_refused() -> None:
    params = [ones(np.float32), ones(np.float64)]
    optimizer = fastopt.SGD(params, lr=0.5)
    with pytest.raises(ValueError, match=r"^grads\[1\] lies on cuda:1, its parameter params\[1\] on cuda:0$"):
        optimizer.step([ones(np.float32), ones(np.float64, 1)])
    assert unchanged(*params)
    assert optimizer.steps == 0


@pytest.mark.parametrize("captured", [STREAM, OTHER_STREAM])
def test_a_step_that_would_be_recorded_in_part_is_refused(emulated: Any, captured: int) -> None:
    """One dtype's gradients are of a stream that is being captured, the other's of one that is not: such a step would be neither."""
    params = [ones(np.float32), ones(np.float64)]
    gradients = [ones(np.float32), ones(np.float64)]
    optimizer = fastopt.SGD(params, lr=0.5)
    made_on = [OnStream(g, stream) for g, stream in zip(gradients, (STREAM, OTHER_STREAM), strict=True)]
    emulated.begin_capture(captured)
    try:
        with pytest.raises((ValueError, RuntimeError), match=r"stream|captur"):
            optimizer.step(made_on)
    finally:
        recorded = emulated.end_capture(captured)
    assert not recorded
    assert optimizer.steps == 0
    assert unchanged(*params)


@pytest.mark.parametrize("named", [0, 1])
def test_a_stream_that_one_dtype_names_is_that_of_all(emulated: Any, named: int) -> None:
    params, gradients = [ones(np.float32), ones(np.float64)], [ones(np.float32), ones(np.float64)]
    optimizer = fastopt.SGD(params, lr=1.0)
    given: list[Any] = list(gradients)
    given[named] = OnStream(gradients[named], STREAM)
    before = len(emulated.launches)
    optimizer.step(given)
    assert [stream for _, _, stream in emulated.launches[before:]] == [STREAM, STREAM]
    assert all((to_host(p) == 0).all() for p in params)


@pytest.mark.parametrize("current", [0, 1])
def test_empty_arrays_go_where_the_others_are(current: int) -> None:
    """An array without elements may not say where it is."""
    from cuda.core import Device

    Device(current).set_current()
    empty = DeviceArray(0, (0,), np.dtype(np.float64), -1, None)
    for number in (0, 1):
        params = [empty, ones(np.float32, number)]
        optimizer = fastopt.Adam(params, lr=1.0, max_norm=0.5)
        optimizer.step([empty, ones(np.float32, number)])
        assert float(optimizer.grad_norm or 0.0) == pytest.approx(40**0.5)
        assert (to_host(params[1]) != 1).all()
    Device(0).set_current()


def test_a_step_of_two_dtypes_is_recorded_as_a_whole(emulated: Any) -> None:
    params, gradients = [ones(np.float32), ones(np.float64)], [ones(np.float32), ones(np.float64)]
    optimizer = fastopt.SGD(params, lr=0.5)
    emulated.begin_capture(STREAM)
    optimizer.step(gradients, stream=STREAM)
    graph = emulated.end_capture(STREAM)
    assert optimizer.steps == 0
    assert unchanged(*params)
    for _ in range(2):
        optimizer.advance(stream=STREAM)
        emulated.replay(graph, STREAM)
    assert all((to_host(p) == 0).all() for p in params)
    assert optimizer.steps == 2
