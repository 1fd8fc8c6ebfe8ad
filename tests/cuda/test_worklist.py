"""Rows on a device: every element in exactly one, few and even; and addresses that go to the device where they changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.worklist import LEAST, LEAST_OF_BLOCKS, MOST, DeviceWorkList, cut, row_length
from fastopt.host.worklist import BLOCK
from tests.cuda.kernels import kernel

H200 = SimpleNamespace(multiprocessors=132, most_blocks=2**31 - 1, threads=256)


class Recorder:
    """A runtime that does nothing and remembers what it was asked for."""

    def __init__(self) -> None:
        self.uploads: list[tuple[int, list[int], int, bool]] = []
        self.capturing: int | None = None
        self.next = 1 << 20

    def shape(self, device: int) -> Any:
        return H200

    def allocate(self, device: int, size: int) -> tuple[int, object]:
        self.next += 1 << 20
        return self.next, object()

    def copy_to_device(self, device: int, address: int, values: Any) -> None:
        assert values.flags.c_contiguous

    def upload(self, device: int, capacity: int) -> Any:
        def upload(address: int, values: Any, stream: int, capturing: bool) -> None:
            self.uploads.append((address, values.tolist(), stream, capturing))

        return upload

    def capture(self, device: int, stream: int) -> int | None:
        return self.capturing


def arrays(base: int, sizes: list[int], device: int = 0) -> list[DeviceArray]:
    starts = base + 4096 * np.arange(len(sizes))
    return [DeviceArray(int(at), (n,), np.dtype(np.float32), device, None) for at, n in zip(starts, sizes, strict=True)]


def work_list(sizes: list[int], runtime: Any, states: int = 1) -> DeviceWorkList:
    params, own = arrays(1 << 32, sizes), [arrays((k + 2) << 32, sizes) for k in range(states)]
    labels, gradients = [f"params[{i}]" for i in range(len(sizes))], [f"grads[{i}]" for i in range(len(sizes))]
    own_kernel = kernel({0: "sgd", 1: "momentum"}[states], False, "float32")
    return DeviceWorkList(
        own_kernel, params, list(zip(*own, strict=True)) or [()] * len(sizes), labels, gradients, [0] * len(sizes), runtime
    )


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(sizes=st.lists(st.one_of(st.integers(0, 40), st.integers(1000, 9000)), max_size=30), length=st.sampled_from([1024, 2048, 8192]))
def test_every_element_is_in_one_row(sizes: list[int], length: int) -> None:
    rows = cut(sizes, length)
    covered = [np.zeros(size, int) for size in sizes]
    for tensor, start, count in rows:
        assert 0 < count <= length
        assert start % BLOCK == 0
        covered[tensor][start : start + count] += 1
    assert all((c == 1).all() for c in covered)
    assert len(rows) == sum(-(-size // length) for size in sizes)
    assert rows.dtype == np.int64
    assert rows.shape == (len(rows), 3)
    assert rows.flags.c_contiguous


def test_rows_beyond_32_bits() -> None:
    rows = cut([2**33 + 5], MOST)
    assert rows[-1].tolist() == [0, 2**33, 5]
    assert len(rows) == 2**33 // MOST + 1


@pytest.mark.parametrize("elements", [0, 1, 1_000, 10**5, 10**6, 10**7, 10**8, 10**9])
@pytest.mark.parametrize("least", [LEAST, LEAST_OF_BLOCKS])
def test_row_length(elements: int, least: int) -> None:
    length = row_length(elements, H200, least)  # type: ignore[arg-type]
    assert least <= length <= MOST
    assert length % least == 0
    rows = -(-elements // length)
    if length > least:
        assert rows >= 8 * H200.multiprocessors, "multiprocessors without work, and rows longer than they need to be"
    if elements >= 10**8:
        assert length == MOST


def gradients_at(base: int, sizes: list[int]) -> list[DeviceArray]:
    return arrays(base, sizes)


def test_uploads_are_what_changed() -> None:
    runtime, sizes = Recorder(), [10, 20, 30, 40]
    work = work_list(sizes, runtime)
    line = work.streams_at + 4 * 8

    def step(gradients: list[DeviceArray]) -> list[tuple[int, list[int], int, bool]]:
        runtime.uploads.clear()
        work.refresh(gradients, stream=5)
        work.place()
        return list(runtime.uploads)

    first, second = gradients_at(1 << 40, sizes), gradients_at(2 << 40, sizes)
    addresses = [g.address for g in first]
    assert step(first) == [(line, addresses, 5, False)]
    assert step(first) == []
    mixed = [first[0], second[1], second[2], first[3]]
    assert step(mixed) == [(line + 8, [second[1].address, second[2].address], 5, False)]
    assert step(mixed) == []
    work.refresh(second)  # and then the step is not made
    assert step(mixed) == []
    runtime.capturing = 9
    assert step(second) == [(line, [g.address for g in second], 5, True)]
    runtime.capturing = None
    work.captured = work.absent[:-1].copy()
    assert step(second) == [(line, [g.address for g in second], 5, False)]
    assert step(second) == [(line, [g.address for g in second], 5, False)], "a replay may have brought others"


def test_streams() -> None:
    runtime, sizes = Recorder(), [10]
    work = work_list(sizes, runtime)
    gradients = gradients_at(1 << 40, sizes)
    work.refresh(gradients)
    assert work.stream == 1, "arrays without a stream: the legacy default one"
    for stream, handle in ((0, 1), (7, 7), (SimpleNamespace(cuda_stream=8), 8), (SimpleNamespace(ptr=9), 9)):
        work.refresh(gradients, stream)
        assert work.stream == handle


def test_arrays_on_several_devices_are_refused() -> None:
    params = [*arrays(1 << 32, [5]), *arrays(2 << 32, [5], device=1)]
    with pytest.raises(ValueError, match=r"^b lies on cuda:1, a on cuda:0: expected arrays on one device$"):
        DeviceWorkList(kernel("sgd", False, "float32"), params, [(), ()], ["a", "b"], ["g", "h"], [0, 1], Recorder())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^state 0 of a lies on cuda:1, a on cuda:0: expected arrays on one device$"):
        DeviceWorkList(kernel("momentum", False, "float32"), params[:1], [tuple(params[1:])], ["a"], ["g"], [0], Recorder())  # type: ignore[arg-type]


def test_overlaps_are_refused() -> None:
    p = arrays(1 << 32, [5])
    with pytest.raises(ValueError, match=r"^(a and state 0 of a|state 0 of a and a) overlap"):
        DeviceWorkList(kernel("momentum", False, "float32"), p, [tuple(p)], ["a"], ["g"], [0], Recorder())  # type: ignore[arg-type]
    work = work_list([10, 20], Recorder())
    before = work.streams.copy()
    with pytest.raises(ValueError, match=r"overlap"):
        work.refresh([gradients_at(1 << 40, [10])[0], DeviceArray((2 << 32) + 8, (20,), np.dtype(np.float32), 0, None)])
    assert np.array_equal(work.streams, before)
