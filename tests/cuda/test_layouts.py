"""Dense arrays with their dimensions in another order than C's: worked on as they lie, where gradient and states lie alike."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.memory import assign, from_host, to_host

pytestmark = pytest.mark.usefixtures("device")

ORDERS = [(1, 0), (0, 2, 1), (2, 0, 1), (0, 2, 3, 1), (3, 2, 1, 0)]
SHAPES = {2: (3, 5), 3: (2, 3, 4), 4: (2, 3, 1, 4)}


def dense(order: tuple[int, ...], rng: np.random.Generator) -> Any:
    """An array of the shape above whose dimensions lie in this order."""
    shape = SHAPES[len(order)]
    flat = rng.standard_normal([shape[axis] for axis in order]).astype(np.float32)
    return flat.transpose(np.argsort(order))


@pytest.mark.parametrize("order", ORDERS)
def test_copies_keep_values_and_layout(order: tuple[int, ...]) -> None:
    values = dense(order, np.random.default_rng(0))
    on_device = from_host(values, offset=4)
    assert on_device.shape == values.shape
    assert np.array_equal(to_host(on_device), values)
    assert to_host(on_device).strides == values.strides or 1 in values.shape
    assign(on_device, np.ascontiguousarray(values + 1))
    assert np.array_equal(to_host(on_device), values + 1)
    again = copy.deepcopy(on_device)
    assert again.strides == on_device.strides
    assert np.array_equal(to_host(again), values + 1)


def test_copies_of_arrays_with_gaps_are_contiguous() -> None:
    values = np.arange(24.0).reshape(4, 6)
    for given in (values[:, ::2], values[::-1], np.broadcast_to(np.float32(2), (3, 4)), values[:0].T, np.array(3.0)):
        assert from_host(given).contiguous
        assert np.array_equal(to_host(from_host(given)), given)


@pytest.mark.parametrize("order", ORDERS)
def test_steps(order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    host = [dense(order, rng), np.ones(4, np.float32)]
    params = [from_host(p) for p in host]
    optimizers = [fastopt.Adam(own, lr=0.1, backend=b) for own, b in ((params, "auto"), (host, "numpy"))]
    for _ in range(2):
        gradients = [dense(order, rng), np.ones(4, np.float32)]
        optimizers[0].step([from_host(g) for g in gradients])
        optimizers[1].step(gradients)
    assert all(ulp_distance(to_host(p), np.asarray(q)) == 0 for p, q in zip(params, host, strict=True))
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert all(np.array_equal(a, b) for name, own in states[0].items() for a, b in zip(own, states[1][name], strict=True))
    assert optimizers[0]._states[0][0].strides == params[0].strides
    optimizers[0].load_state_dict(optimizers[0].state_dict())
    assert np.array_equal(optimizers[0].state_dict()["state"]["m"][0], states[0]["m"][0])


def test_a_gradient_that_lies_otherwise_is_refused() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    p = from_host(values.T)
    optimizer = fastopt.SGD(p, lr=1.0)
    with pytest.raises(ValueError, match=r"^grads: expected its elements in the order of params's, with strides \(1, 3\) in elements"):
        optimizer.step(from_host(np.ascontiguousarray(values.T)))
    assert np.array_equal(to_host(p), values.T)
    optimizer.step(from_host(values.T))
    assert (to_host(p) == 0).all()


def test_strides_of_dimensions_of_length_1_say_nothing() -> None:
    p, g = (from_host(np.ones((4, 1), np.float32)) for _ in range(2))
    other = DeviceArray(g.address, (4, 1), g.dtype, g.device, g, strides=(1, 4))
    fastopt.SGD(p, lr=1.0).step(other)
    assert (to_host(p) == 0).all()
    assert (to_host(other) == 1).all()


def test_functional() -> None:
    rng = np.random.default_rng(2)
    host = [np.abs(dense((2, 0, 1), rng)) for _ in range(4)]
    device = [from_host(a) for a in host]
    fastopt.functional.adam(*device, step=1)
    fastopt.functional.adam(*host, step=1, backend="numpy")
    assert all(ulp_distance(to_host(a), np.asarray(b)) == 0 for a, b in zip(device, host, strict=True))
    with pytest.raises(ValueError, match=r"^m: expected its elements in the order of p's"):
        fastopt.functional.adam(device[0], device[1], from_host(np.ascontiguousarray(host[2])), device[3], step=1)
