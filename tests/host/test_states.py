"""Where states lie: zeros, like their parameter, at its own place within a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt import layout
from fastopt.host.states import LINE, PAGE, PLACED_FROM, zeros_beside


def one_beside(parameter: Any, dtype: np.dtype[Any]) -> Any:
    ((state,),) = zeros_beside([parameter], dtype, 1)
    return state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 7, 1000, PLACED_FROM // 8, PLACED_FROM // 4, 40_001])
@pytest.mark.parametrize("offset", [0, 1, 13])
def test_zeros_beside(size: int, offset: int, dtype: Any) -> None:
    parameter = np.ones(size + offset, dtype)[offset:]
    state = one_beside(parameter, parameter.dtype)
    assert state.shape == parameter.shape
    assert state.dtype == parameter.dtype
    assert state.flags.c_contiguous
    assert state.flags.aligned
    assert state.flags.writeable
    assert not state.any()
    assert not np.shares_memory(state, parameter)
    if parameter.nbytes >= PLACED_FROM:
        assert (state.ctypes.data - parameter.ctypes.data) % PAGE == 0
    state[...] = 3.0  # all of it may be written
    assert (parameter == 1).all()


def test_the_memory_is_its_own() -> None:
    """A view into a buffer that is kept alive by the state alone, and ends within it."""
    state = one_beside(np.ones(40_000, np.float32), np.dtype(np.float32))
    buffer: Any = state
    while isinstance(buffer.base, np.ndarray):
        buffer = buffer.base
    first, last = buffer.ctypes.data, buffer.ctypes.data + buffer.nbytes
    assert first <= state.ctypes.data
    assert state.ctypes.data + state.nbytes <= last
    assert buffer.nbytes - state.nbytes <= PAGE


def test_shapes() -> None:
    for shape in ((), (0, 5), (100, 200), (3, 4, 5)):
        assert one_beside(np.ones(shape), np.dtype(float)).shape == shape
    assert type(one_beside(np.ones((2, 2)).view(np.matrix), np.dtype(float))) is np.ndarray
    assert type(one_beside(np.ones((200, 200)).view(np.matrix), np.dtype(float))) is np.ndarray


@pytest.mark.parametrize("shape", [(3, 4), (200, 300), (2, 3, 400, 50)])
def test_a_state_lies_as_its_parameter_does(shape: tuple[int, ...]) -> None:
    for parameter in (np.ones(shape), np.ones(shape, order="F"), np.moveaxis(np.ones(shape), 0, -1), np.swapaxes(np.ones(shape), 0, 1)):
        for dtype in (np.dtype(np.float64), np.dtype(np.float16)):
            state = one_beside(parameter, dtype)
            assert (state.shape, state.dtype) == (parameter.shape, dtype)
            assert [8 * stride for stride in state.strides] == [dtype.itemsize * stride for stride in parameter.strides]
            if state.nbytes >= PLACED_FROM:
                assert (state.ctypes.data - parameter.ctypes.data) % PAGE == 0


def test_states_of_many() -> None:
    """Small and large ones of several shapes and layouts, 0-d and empty ones: each is its own, and small ones begin with a cache line."""
    shapes: list[tuple[int, ...]] = [(), (1,), (0, 5), (7,), (1000,), (3, 5), (40, 50), (200, 300)]
    parameters = [np.ones(shape, np.float32) for shape in shapes * 3]
    parameters += [np.ones(shape, np.float32).T for shape in shapes] + [np.ones((2, 3, 5), np.float32).transpose(1, 2, 0)] * 2
    for dtype in (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.float64)):
        states = zeros_beside(parameters, dtype, 3)
        for parameter, own in zip(parameters, states, strict=True):
            assert len(own) == 3
            for state in own:
                assert type(state) is np.ndarray
                assert (state.shape, state.dtype) == (parameter.shape, dtype)
                assert layout.same(parameter.shape, layout.of(state), layout.of(parameter))
                assert state.flags.writeable
                assert state.nbytes >= PLACED_FROM or not state.size or state.ctypes.data % LINE == 0
        every = [state for own in states for state in own]
        for k, state in enumerate(every):  # what one overwrote of another would be seen
            assert not state.any()
            state[...] = k + 1
        for k, state in enumerate(every):
            assert (state == k + 1).all()
