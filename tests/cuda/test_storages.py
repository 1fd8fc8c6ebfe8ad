"""Narrow storage on a device, with the bits of the oracle: elements of two bytes, states by blocks, and corrections beside parameters."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.memory import from_host, to_host
from fastopt.storage import STORAGES
from tests.cuda.narrow import COMBINATIONS, arrays_of, differing
from tests.cuda.simulator import SIMULATED

pytestmark = pytest.mark.usefixtures("device")

LENGTHS = (0, 1, 5, 8, 17) if SIMULATED else (0, 1, 3, 7, 8, 9, 64, 257, 3001)
OF_BLOCKS = (0, 1, 300, 256) if SIMULATED else (0, 1, 255, 256, 257, 512, 3001)

STORED: dict[str, tuple[tuple[str, str, str], dict[str, Any]]] = {
    "int8": (("float32", "float32", "int8"), {}),
    "int8 beside bfloat16": (("bfloat16", "bfloat16", "int8"), {}),
    "int8 beside 32 bits": (("bfloat16", "bfloat16", "int8"), {"master_bits": 32}),
    "int8 beside 24 bits": (("bfloat16", "bfloat16", "int8"), {"master_bits": 24, "stochastic_rounding": True}),
    "32 bits": (("bfloat16", "bfloat16", "float32"), {"master_bits": 32}),
    "24 bits": (("bfloat16", "bfloat16", "bfloat16"), {"master_bits": 24}),
}
"""Parameters, gradients and states, and other arguments: storages for which more than one array is kept."""


def pair(
    storages: tuple[str, str, str], rule: str, lengths: tuple[int, ...] = LENGTHS, **options: Any
) -> tuple[list[Any], list[Any], list[Any], np.random.Generator]:
    """Parameters on a device and in NumPy, of elements behind a multiple of 256 bytes by turns; and their two optimizers."""
    rng = np.random.default_rng(0)
    parameter, gradient, state = storages
    host = arrays_of(lengths, parameter, rng)
    params = [from_host(p, offset=i % 3 * p.itemsize) for i, p in enumerate(host)]
    options |= {"grad_dtype": gradient, "state_dtype": state}
    optimizers = [fastopt.Optimizer(own, rule, 0.1, backend=b, **options) for own, b in ((params, "auto"), (host, "numpy"))]
    return params, host, optimizers, rng


@pytest.mark.parametrize("storages", COMBINATIONS, ids="-".join)
@pytest.mark.parametrize(("rule", "options"), [("sgd", {"weight_decay": 0.1}), ("adam", {})])
def test_steps(storages: tuple[str, str, str], rule: str, options: dict[str, Any]) -> None:
    params, host, optimizers, rng = pair(storages, rule, **options)
    for step in range(3):
        gradients = arrays_of(LENGTHS, storages[1], rng, special=step == 0)
        optimizers[0].step([from_host(g, offset=step * g.itemsize) for g in gradients], grad_scale=2.0)
        optimizers[1].step(gradients, grad_scale=2.0)
    assert sum(differing(to_host(p), q) for p, q in zip(params, host, strict=True)) == 0
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    for name, own in states[0].items():
        assert {state.dtype for state in own} == {STORAGES[storages[2]].dtype}
        assert sum(differing(a, b) for a, b in zip(own, states[1][name], strict=True)) == 0


def test_states_lie_as_their_parameter_does() -> None:
    """As many elements behind the beginning of a vector, however wide the elements are."""
    for offset in range(9):
        for parameter, state in (("float32", "bfloat16"), ("bfloat16", "float32"), ("float16", "float16")):
            p = from_host(np.ones(20, STORAGES[parameter].dtype), offset=offset * STORAGES[parameter].itemsize)
            optimizer = fastopt.Adam(p, state_dtype=state)
            for own in optimizer._states[0]:
                assert own.address // own.dtype.itemsize % 8 == p.address // p.dtype.itemsize % 8


@pytest.mark.parametrize("stored", list(STORED))
@pytest.mark.parametrize(("rule", "options"), [("adam", {"weight_decay": 0.1}), ("momentum", {"ema_decay": 0.9, "max_norm": 1.0})])
def test_steps_with_more_than_one_array_to_a_state_or_parameter(stored: str, rule: str, options: dict[str, Any]) -> None:
    """All of it: parameters, codes, scales, corrections and averages, over steps with and without numbers that are not finite."""
    storages, asked = STORED[stored]
    if storages[2] == "int8":
        asked = asked | {"narrow_from": 0}
    params, host, optimizers, rng = pair(storages, rule, OF_BLOCKS, **asked, **options)
    for step in range(3):
        gradients = arrays_of(OF_BLOCKS, storages[1], rng, special=step == 2)
        optimizers[0].step([from_host(g, offset=step * g.itemsize) for g in gradients], grad_scale=2.0)
        optimizers[1].step(gradients, grad_scale=2.0)
        assert sum(differing(to_host(p), q) for p, q in zip(params, host, strict=True)) == 0
        states = [optimizer.state_dict()["state"] for optimizer in optimizers]
        assert set(states[0]) == set(states[1])
        for name, own in states[0].items():
            assert sum(differing(a, b) for a, b in zip(own, states[1][name], strict=True)) == 0
    names = set(optimizers[0].state_dict()["state"])
    assert ("correction" in names) == ("master_bits" in asked)
    assert any(name.endswith("_scale") for name in names) == (storages[2] == "int8")


@pytest.mark.parametrize("stored", list(STORED))
def test_a_checkpoint_of_a_device_goes_on_on_the_host_and_a_copy_beside_it(stored: str, tmp_path: Any) -> None:
    storages, asked = STORED[stored]
    if storages[2] == "int8":
        asked = asked | {"narrow_from": 0}
    params, host, optimizers, rng = pair(storages, "adam", OF_BLOCKS, **asked)
    steps = [arrays_of(OF_BLOCKS, storages[1], rng, special=False) for _ in range(3)]
    optimizers[0].step([from_host(g) for g in steps[0]])
    optimizers[0].save(tmp_path / "state.safetensors")
    optimizers[1].load(tmp_path / "state.safetensors")
    for p, q in zip(params, host, strict=True):
        q[...] = to_host(p)
    copied = pickle.loads(pickle.dumps(optimizers[0]))
    for gradients in steps[1:]:
        for optimizer in (optimizers[0], copied):
            optimizer.step([from_host(g) for g in gradients])
        optimizers[1].step(gradients)
    wanted = optimizers[1].state_dict()["state"]
    for optimizer in (optimizers[0], copied):
        assert sum(differing(to_host(p), q) for p, q in zip(optimizer.params, host, strict=True)) == 0
        for name, own in optimizer.state_dict()["state"].items():
            assert sum(differing(a, b) for a, b in zip(own, wanted[name], strict=True)) == 0


def test_another_storage_is_converted_into_codes_and_corrections() -> None:
    """As on the host: from float32 states, and to them."""
    _, _, optimizers, rng = pair(("bfloat16", "bfloat16", "int8"), "adam", OF_BLOCKS, narrow_from=0, master_bits=32)
    _, _, others, _ = pair(("bfloat16", "bfloat16", "float32"), "adam", OF_BLOCKS, master_bits=24)
    gradients = arrays_of(OF_BLOCKS, "bfloat16", rng, special=False)
    for own in (*optimizers, *others):
        own.step([from_host(g) for g in gradients] if own.backend == "cuda" else gradients)
    saved = optimizers[1].state_dict(), others[1].state_dict()
    for k, own in enumerate((optimizers, others)):
        for optimizer in own:
            optimizer.load_state_dict(saved[1 - k], convert=True)
        states = [optimizer.state_dict()["state"] for optimizer in own]
        assert set(states[0]) == set(states[1])
        for name, values in states[0].items():
            assert sum(differing(a, b) for a, b in zip(values, states[1][name], strict=True)) == 0
    wholes = [optimizer.master_params() for optimizer in optimizers]
    assert all(isinstance(p, np.ndarray) and p.dtype == np.float32 for p in wholes[0])
    assert sum(differing(a, b) for a, b in zip(*wholes, strict=True)) == 0


def test_small_tensors_stay_as_they_are_beside_int8() -> None:
    small, large = (from_host(np.ones(size, np.float32)) for size in (5, 4096))
    optimizer = fastopt.Adam([small, large], state_dtype="int8")
    assert [own.dtype.name for own in optimizer._states[0]] == ["float32", "float32"]
    assert [own.dtype.name for own in optimizer._states[1]] == ["int8", "uint8", "float32", "float32"]
    assert [own.shape for own in optimizer._states[1]] == [(4096,), (4096,), (16,), (16,)]


@pytest.mark.parametrize("master_bits", [None, 32])
def test_a_gradient_that_shares_memory_with_what_is_kept_is_refused(master_bits: int | None) -> None:
    p = from_host(np.ones(512, STORAGES["bfloat16"].dtype))
    optimizer = fastopt.Adam(p, state_dtype="int8", narrow_from=0, master_bits=master_bits)
    before = to_host(p).tobytes()
    for k, held in enumerate(optimizer._states[0]):
        inside = DeviceArray(held.address // 2 * 2, p.shape, p.dtype, p.device, held.owner)
        with pytest.raises(ValueError, match=rf"^(grads and state {k} of params|state {k} of params and grads) overlap in memory"):
            optimizer.step(inside)
    assert to_host(p).tobytes() == before


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_parameters_that_are_drawn(rule: str) -> None:
    params, host, optimizers, rng = pair(("bfloat16", "bfloat16", "bfloat16"), rule, stochastic_rounding=True)
    for step in range(3):
        gradients = arrays_of(LENGTHS, "bfloat16", rng, special=step == 0)
        optimizers[0].step([from_host(g, offset=step * g.itemsize) for g in gradients])
        optimizers[1].step(gradients)
    assert sum(differing(to_host(p), q) for p, q in zip(params, host, strict=True)) == 0


def test_a_gradient_of_another_storage_is_refused() -> None:
    p = from_host(np.ones(4, STORAGES["bfloat16"].dtype))
    with pytest.raises(TypeError, match=r"^grads: expected dtype bfloat16 like params, received float16$"):
        fastopt.SGD(p, lr=0.1).step(from_host(np.ones(4, np.float16)))
    with pytest.raises(TypeError, match=r"^grads: expected dtype float32 beside params of bfloat16, received bfloat16$"):
        fastopt.SGD(p, lr=0.1, grad_dtype="float32").step(from_host(np.ones(4, p.dtype)))
    assert (to_host(p) == 1).all()


@pytest.mark.parametrize("storages", COMBINATIONS, ids="-".join)
def test_functional(storages: tuple[str, str, str]) -> None:
    rng = np.random.default_rng(0)
    host = [np.abs(arrays_of((33,), name, rng, special=False)[0]) for name in (*storages, storages[2])]
    device = [from_host(values) for values in host]
    fastopt.functional.adam(*device, step=2, lr=0.1)
    fastopt.functional.adam(*host, step=2, lr=0.1, backend="numpy")
    assert sum(differing(to_host(a), b) for a, b in zip(device, host, strict=True)) == 0


def test_a_copy_and_a_checkpoint(tmp_path: Any) -> None:
    _, _, optimizers, rng = pair(("bfloat16", "bfloat16", "bfloat16"), "adam")
    for _ in range(2):
        gradients = arrays_of(LENGTHS, "bfloat16", rng, special=False)
        optimizers[0].step([from_host(g) for g in gradients])
    copied = pickle.loads(pickle.dumps(optimizers[0]))
    optimizers[0].save(tmp_path / "state.safetensors")
    optimizers[1].load(tmp_path / "state.safetensors")
    wanted = optimizers[0].state_dict()["state"]
    for other in (copied, optimizers[1]):
        for name, states in other.state_dict()["state"].items():
            assert sum(differing(a, b) for a, b in zip(states, wanted[name], strict=True)) == 0
    assert sum(differing(to_host(p), to_host(q)) for p, q in zip(copied.params, optimizers[0].params, strict=True)) == 0
