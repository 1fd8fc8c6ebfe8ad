"""Gradients that a step leaves as 0: all of them, on every backend, and none that was not asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import storage
from fastopt.stages import Stages
from tests.conftest import LAUNCHINGS, needed
from tests.kernels import kernel
from tests.rules.hand_computed import BACKENDS

EVERY_WAY = pytest.mark.parametrize("launching", ["numpy", *LAUNCHINGS], indirect=True)


def gradient(size: int, dtype: Any = np.float32) -> Any:
    values = np.linspace(-2.0, 2.0, size).astype(dtype)
    values[:3] = [np.nan, -0.0, np.inf]
    return values


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
@EVERY_WAY
@pytest.mark.usefixtures("threads_for_all_sizes")
def test_every_element_becomes_plus_zero_and_all_else_as_without(launching: str, name: str) -> None:
    dtype = storage.find(name, "dtype").dtype
    p, own = np.ones(5000, dtype), np.ones(5000, dtype)
    options: dict[str, Any] = {"backend": launching, "num_threads": 1 if launching == "numpy" else 2}
    zeroing, plain = fastopt.Adam(p, 0.1, zero_grads=True, **options), fastopt.Adam(own, 0.1, **options)
    for _ in range(2):
        g, kept = gradient(5000, dtype), gradient(5000, dtype)
        assert zeroing.step(g)
        plain.step(kept)
        assert not g.view(np.uint8).any()
        assert kept.tobytes() == gradient(5000, dtype).tobytes()
        assert p.tobytes() == own.tobytes()
    states = [opt.state_dict()["state"] for opt in (zeroing, plain)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*(own.values() for own in states), strict=True))


@EVERY_WAY
def test_groups_decide_for_themselves_and_it_can_be_changed(launching: str) -> None:
    a, b, c = (np.zeros(3, np.float32) for _ in range(3))
    opt = fastopt.SGD([{"params": a, "zero_grads": True}, {"params": [b, c]}], 1.0, backend=launching)
    first, second = np.ones(3, np.float32), np.ones(3, np.float32)
    opt.step([first, [second, None]])
    assert (first.tolist(), second.tolist(), c.tolist()) == ([0.0] * 3, [1.0] * 3, [0.0] * 3)
    opt.groups[0].zero_grads, opt.groups[1].zero_grads = False, True
    first[:] = 2.0
    opt.step([first, [None, second]])
    assert (first.tolist(), second.tolist(), c.tolist()) == ([2.0] * 3, [0.0] * 3, [-1.0] * 3)
    assert (a.tolist(), b.tolist()) == ([-3.0] * 3, [-1.0] * 3)


@EVERY_WAY
def test_one_that_is_read_only_is_refused(launching: str) -> None:
    p, g = np.zeros(3), np.ones(3)
    opt = fastopt.SGD(p, 1.0, zero_grads=True, backend=launching)
    opt.step(g)
    g[:] = 1.0
    g.flags.writeable = False  # at the address of the step before
    with pytest.raises(ValueError, match=r"^grads: expected a writeable array, as zero_grads leaves it as 0, received a read-only one$"):
        opt.step(g)
    assert (p.tolist(), g.tolist(), opt.steps) == ([-1.0] * 3, [1.0] * 3, 1)


@EVERY_WAY
def test_two_that_share_memory_are_refused_again_and_again(launching: str) -> None:
    p = [np.zeros(3), np.zeros(3), np.zeros(3)]
    opt = fastopt.SGD(p, 1.0, zero_grads=True, backend=launching)
    buffer = np.ones(12)
    apart, shared = [buffer[:3], buffer[3:6], buffer[6:9]], [buffer[:3], buffer[6:9], buffer[8:11]]
    opt.step(apart)
    for _ in range(3):
        buffer[:] = 1.0
        with pytest.raises(ValueError, match=r"^grads\[1\] and grads\[2\] overlap in memory"):
            opt.step(shared)
        assert buffer.tolist() == [1.0] * 12
    opt.step([shared[0], None, shared[2]])
    assert buffer.tolist() == [0.0] * 3 + [1.0] * 5 + [0.0] * 3 + [1.0]
    with pytest.raises(ValueError, match=r"^grads\[1\] and grads\[2\] overlap in memory"):
        opt.step(shared)  # each where one lay before
    buffer[:] = 1.0
    opt.step(apart)
    assert (opt.steps, p[0][0], p[1][0], p[2][0]) == (3, -3.0, -2.0, -3.0)


@EVERY_WAY
def test_nor_may_one_lie_in_another_that_is_only_read(launching: str) -> None:
    p = [np.zeros(3, np.float32) for _ in range(4)]
    given = [{"params": p[:1]}, {"params": p[1:2], "zero_grads": True}, {"params": p[2:]}]
    opt = fastopt.SGD(given, 1.0, backend=launching)
    g, other = np.ones(3, np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"^grads\[\d\]\[\d\] and grads\[\d\]\[\d\] overlap in memory"):
        opt.step([[g], [other], [other, g]])
    assert not any(array.any() for array in p)
    opt.step([[g], [other], [g, g]])  # of those that are only read two may be one
    assert (g.tolist(), other.tolist()) == ([1.0] * 3, [0.0] * 3)


@pytest.mark.parametrize("nonfinite", ["skip", "raise"])
@EVERY_WAY
def test_a_step_that_is_skipped_leaves_them_as_zero_and_one_that_raises_as_they_came(launching: str, nonfinite: str) -> None:
    a, b = np.ones(3), np.ones(3)
    opt = fastopt.SGD([{"params": a, "zero_grads": True}, {"params": b}], 1.0, nonfinite=nonfinite, backend=launching)
    first, second = np.array([1.0, np.inf, 2.0]), np.ones(3)
    if nonfinite == "skip":
        assert opt.step([first, second]) is False
        assert first.tolist() == [0.0] * 3
    else:
        with pytest.raises(FloatingPointError, match=r"^grads\[0\]"):
            opt.step([first, second])
        assert first.tolist() == [1.0, np.inf, 2.0]
    assert (second.tolist(), a.tolist(), opt.steps) == ([1.0] * 3, [1.0] * 3, 0)


@EVERY_WAY
def test_clipped_by_their_norm_before(launching: str) -> None:
    p, g = np.zeros(2), np.array([3.0, 4.0])
    opt = fastopt.SGD(p, 1.0, zero_grads=True, max_norm=2.5, backend=launching)
    opt.step(g)
    assert (p.tolist(), g.tolist(), opt.grad_norm) == ([-1.5, -2.0], [0.0, 0.0], 5.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_by_a_function(backend: str) -> None:
    needed(backend)
    p, g = np.zeros(3, np.float32), np.ones(3, np.float32)
    fastopt.functional.sgd(p, g, step=1, lr=0.5, zero_grads=True, backend=backend)
    assert (p.tolist(), g.tolist()) == ([-0.5] * 3, [0.0] * 3)
    g.flags.writeable = False
    with pytest.raises(ValueError, match=r"^g: expected a writeable array, as zero_grads leaves it as 0"):
        fastopt.functional.sgd(p, g, step=1, lr=0.5, zero_grads=True, backend=backend)
    assert p.tolist() == [-0.5] * 3
    fastopt.functional.sgd(p, g, step=1, lr=0.5, backend=backend)


def test_its_bytes_are_those_that_it_writes() -> None:
    plain, zeroing = kernel("adam"), kernel("adam", zeroed=True)
    assert zeroing.bytes_per_parameter - plain.bytes_per_parameter == plain.gradient.itemsize
    assert (zeroing.stages, zeroing.body.written) == (Stages(zeroed=True), ("p", "m", "v", "g"))
