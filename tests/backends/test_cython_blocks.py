"""Rows of blocks, which compiled kernels take two by two, and their ends: the bits of the oracle, and nothing written behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import awkward_arrays, ulp_distance
from fastopt.host import memory
from fastopt.storage.blocks import BLOCK

Array = np.ndarray[Any, Any]

LENGTHS = (1, 31, 255, 256, 257, 511, 512, 513, 767, 768, 1023, 1024, 1025, 2305)
FENCE = 2048
"""Bytes on either side of an array: more than a pair of blocks of any stream has."""
UNTOUCHED = 0xA5

STORED: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "32 bits": {"dtype": "bfloat16", "master_bits": 32},
    "24 bits, drawn": {"dtype": "bfloat16", "master_bits": 24, "stochastic_rounding": True},
    "drawn": {"dtype": "bfloat16", "stochastic_rounding": True, "grad_dtype": "float32"},
}


class Fenced:
    """Arrays with bytes around them that nobody may write to."""

    def __init__(self) -> None:
        self.buffers: list[tuple[Array, int]] = []

    def like(self, shape: tuple[int, ...], dtype: Any) -> Array:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = np.full(size + 2 * FENCE, UNTOUCHED, np.uint8)
        self.buffers.append((buffer, size))
        found = buffer[FENCE : FENCE + size].view(dtype).reshape(shape)
        found[...] = 0
        return found

    def copy(self, values: Array) -> Array:
        found = self.like(values.shape, values.dtype)
        found[...] = values
        return found

    def whole(self) -> bool:
        return all((buffer[:FENCE] == UNTOUCHED).all() and (buffer[FENCE + size :] == UNTOUCHED).all() for buffer, size in self.buffers)


@pytest.fixture
def fenced(monkeypatch: pytest.MonkeyPatch) -> Fenced:
    """What is held beside parameters is fenced too."""
    made = Fenced()

    def zeros(views: Sequence[Array], dtype: Any, count: int) -> list[list[Array]]:
        return [[made.like(view.shape, dtype) for _ in range(count)] for view in views]

    monkeypatch.setattr(memory, "zeros_beside", zeros)
    monkeypatch.setattr(
        memory, "scales_beside", lambda views, n: [[made.like((-(-v.size // BLOCK),), "f4") for _ in range(n)] for v in views]
    )
    return made


@pytest.mark.parametrize("backend", ["cython", "numba"])
@pytest.mark.parametrize("stored", list(STORED))
def test_ends_of_rows(backend: str, stored: str, fenced: Fenced) -> None:
    """With gradients that are written too, over as many threads as there are and one, and more rows than threads."""
    if fastopt.available_backends()[backend] is not True:
        pytest.skip(f"backend {backend!r} is not available")
    asked = {**STORED[stored]}
    dtype = asked.pop("dtype")
    asked |= {"state_dtype": "int8", "narrow_from": 0, "zero_grads": True, "ema_decay": 0.9}
    rng = np.random.default_rng(0)
    start = awkward_arrays(LENGTHS, dtype, rng, False)
    for threads in (1, 2):
        params = [fenced.copy(p) for p in start]
        compiled = fastopt.Adam(params, lr=0.1, backend=backend, num_threads=threads, **asked)
        expected = [p.copy() for p in start]
        oracle = fastopt.Adam(expected, lr=0.1, backend="numpy", **asked)
        for step in range(3):
            gradients = [fenced.copy(g) for g in awkward_arrays(LENGTHS, compiled._kernels[0].gradient.name, rng, step == 2)]
            oracle.step([g.copy() for g in gradients])
            compiled.step(gradients)
            assert all((g == 0).all() for g in gradients)
            assert fenced.whole(), "something was written behind the end of an array, or before its beginning"
        assert max(ulp_distance(a, b) for a, b in zip(params, expected, strict=True)) == 0
        for name, own in compiled.state_dict()["state"].items():
            assert all(a.tobytes() == b.tobytes() for a, b in zip(own, oracle.state_dict()["state"][name], strict=True)), name
