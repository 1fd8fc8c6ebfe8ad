"""Numba's own device arrays and streams as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance


@pytest.fixture
def numba_cuda(device: str) -> Any:
    if device == "simulated":
        pytest.skip("the simulator's arrays have no interface")
    return pytest.importorskip("numba.cuda")


def test_arrays(numba_cuda: Any) -> None:
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(shape) for shape in ((3, 4), (), (0,), (700,))]
    host[0] = host[0].astype(np.float32)
    gradients = [np.asarray(rng.standard_normal(p.shape), p.dtype) for p in host]
    params = [numba_cuda.to_device(p) for p in host]
    on_device, on_host = fastopt.AdamW(params, lr=0.1), fastopt.AdamW(host, lr=0.1, backend="numpy")
    assert on_device.backend == "cuda"
    for _ in range(2):
        on_device.step([numba_cuda.to_device(g) for g in gradients])
        on_host.step(gradients)
    assert all(ulp_distance(p.copy_to_host(), q) == 0 for p, q in zip(params, host, strict=True))


def test_views_that_are_not_aligned_to_vectors(numba_cuda: Any) -> None:
    for start in range(5):
        whole, gradient = np.arange(40, dtype=np.float32), np.ones(40, np.float32)
        on_device = numba_cuda.to_device(whole)
        fastopt.SGD(on_device[start:37], lr=0.5).step(numba_cuda.to_device(gradient)[1 : 38 - start])
        whole[start:37] -= 0.5
        assert np.array_equal(on_device.copy_to_host(), whole), "an element beside the view was written to, or one of it was not"


def test_strided_views_are_refused(numba_cuda: Any) -> None:
    p = numba_cuda.to_device(np.ones((4, 6), np.float32))
    with pytest.raises(ValueError, match=r"^params: expected a dense array, .*; received strides \(24, 8\) for shape \(4, 3\)"):
        fastopt.SGD(p[:, ::2], lr=0.5)
    assert (p.copy_to_host() == 1).all()


def test_streams(numba_cuda: Any) -> None:
    p, g = (numba_cuda.to_device(np.ones(10, np.float32)) for _ in range(2))
    stream = numba_cuda.stream()
    optimizer = fastopt.SGD(p, lr=0.5)
    optimizer.step(g, stream=stream)
    stream.synchronize()
    assert (p.copy_to_host() == 0.5).all()
    elsewhere = numba_cuda.to_device(np.ones(10, np.float32), stream=stream)
    other = numba_cuda.to_device(np.ones(10, np.float32), stream=numba_cuda.stream())
    with pytest.raises(ValueError, match=r"^grads\[1\]: expected an array of stream 0x\w+, received one of stream 0x\w+; give step\(\)"):
        fastopt.SGD([p, g], lr=0.5).step([elsewhere, other])
    optimizer.step(elsewhere, stream=stream)
    stream.synchronize()
    assert (p.copy_to_host() == 0).all()
