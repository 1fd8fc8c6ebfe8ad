"""Narrow storage on a device: parameters, gradients and states of two bytes, with the bits of the oracle."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.cuda.memory import from_host, to_host
from fastopt.storage import STORAGES
from tests.cuda.narrow import COMBINATIONS, arrays_of, differing
from tests.cuda.simulator import SIMULATED

pytestmark = pytest.mark.usefixtures("device")

LENGTHS = (0, 1, 5, 8, 17) if SIMULATED else (0, 1, 3, 7, 8, 9, 64, 257, 3001)


def pair(storages: tuple[str, str, str], rule: str, **options: Any) -> tuple[list[Any], list[Any], list[Any], np.random.Generator]:
    """Parameters on a device and in NumPy, of elements behind a multiple of 256 bytes by turns; and their two optimizers."""
    rng = np.random.default_rng(0)
    parameter, gradient, state = storages
    host = arrays_of(LENGTHS, parameter, rng)
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


def test_states_by_blocks_are_refused() -> None:
    p = from_host(np.ones(5000, np.float32))
    with pytest.raises(ValueError, match=r"^state_dtype: expected 'bfloat16', 'float16' or 'float32' for arrays on a device.* 'int8'$"):
        fastopt.Adam(p, state_dtype="int8")
    small = fastopt.Adam(from_host(np.ones(5, np.float32)), state_dtype="int8")  # stays float32
    small.step(from_host(np.ones(5, np.float32)))


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_parameters_that_are_drawn(rule: str) -> None:
    params, host, optimizers, rng = pair(("bfloat16", "bfloat16", "bfloat16"), rule, stochastic_rounding=True)
    for step in range(3):
        gradients = arrays_of(LENGTHS, "bfloat16", rng, special=step == 0)
        optimizers[0].step([from_host(g, offset=step * g.itemsize) for g in gradients])
        optimizers[1].step(gradients)
    assert sum(differing(to_host(p), q) for p, q in zip(params, host, strict=True)) == 0


def test_corrections_are_refused() -> None:
    p = from_host(np.ones(9, STORAGES["bfloat16"].dtype))
    with pytest.raises(ValueError, match=r"^master_bits: expected None for arrays on a device"):
        fastopt.Adam(p, master_bits=32)


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
