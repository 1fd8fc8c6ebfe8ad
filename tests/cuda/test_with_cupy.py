"""CuPy's arrays and streams, and arrays of CuPy and PyTorch side by side. Takes a real GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance


@pytest.fixture
def cupy(device: str) -> Any:
    if device != "gpu":
        pytest.skip("CuPy takes a real GPU")
    return pytest.importorskip("cupy")


def test_arrays(cupy: Any) -> None:
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(shape).astype(dtype) for shape, dtype in (((3, 4), "f4"), ((), "f8"), ((0,), "f4"), ((7_001,), "f8"))]
    params = [cupy.asarray(p) for p in host]
    host = [np.array(p) for p in host]
    on_device, on_host = fastopt.AdamW(params, lr=0.1), fastopt.AdamW(host, lr=0.1, backend="numpy")
    for _ in range(3):
        gradients = [np.asarray(rng.standard_normal(p.shape), p.dtype) for p in host]
        on_device.step([cupy.asarray(g) for g in gradients])
        on_host.step(gradients)
    assert on_device.backend == "cuda"
    assert all(ulp_distance(cupy.asnumpy(p), q) == 0 for p, q in zip(params, host, strict=True))


def test_the_current_stream(cupy: Any) -> None:
    p, g = cupy.zeros(1000, cupy.float32), cupy.ones(1000, cupy.float32)
    optimizer = fastopt.SGD(p, lr=1.0)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        optimizer.step(g)
        assert optimizer._plan.batches[0].work.stream == stream.ptr
    stream.synchronize()
    assert (p == -1).all()
    optimizer.step(g, stream=stream)
    stream.synchronize()
    assert (p == -2).all()


def test_strided_views_are_refused(cupy: Any) -> None:
    with pytest.raises(ValueError, match=r"^params: expected a dense array, .*; received strides"):
        fastopt.SGD(cupy.ones((4, 6), cupy.float32)[:, ::2], lr=0.5)


def test_gradients_of_another_framework(cupy: Any) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    p = cupy.zeros(100, cupy.float32)
    optimizer = fastopt.SGD(p, lr=1.0)
    optimizer.step(torch.ones(100, device="cuda"))
    torch.cuda.synchronize()
    assert (p == -1).all()
    with torch.cuda.stream(torch.cuda.Stream()):
        g = torch.ones(100, device="cuda")
        with pytest.raises(ValueError, match=r"^grads: expected an array of stream 0x1, received one of stream"):
            optimizer.step(g)


def test_numba_takes_what_fastopt_allocates(cupy: Any) -> None:
    from fastopt.cuda.memory import from_host

    own = from_host(np.arange(5, dtype=np.float32))
    assert cupy.asnumpy(cupy.asarray(own)).tolist() == [0, 1, 2, 3, 4]
