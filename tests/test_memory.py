"""Which memory arrays lie in, asked without importing what made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import memory
from fastopt.cuda.arrays import DeviceArray

DEVICE = DeviceArray(4096, (3,), np.dtype(np.float32), 0, None)


class OfAFramework:
    """An array that says where it lies as DLPack has it."""

    def __init__(self, device: int) -> None:
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        raise AssertionError("nothing is to be exported to find out where it lies")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.device, 0)


def test_what_is_one_array_and_what_is_a_collection() -> None:
    for value in (np.ones(3), np.array(1.0), DEVICE, OfAFramework(1)):
        assert memory.is_array(value)
    for value in ([np.ones(3)], (np.ones(3),), {"a": np.ones(3)}, "abc", 3.0, None, iter([])):
        assert not memory.is_array(value)


def test_host() -> None:
    assert memory.of([np.ones(3), np.ones(4)], ["a", "b"]) is memory.host
    assert memory.of([], []) is memory.host
    assert memory.of([OfAFramework(1)], ["a"]) is memory.host, "no device's: refused later, as no NumPy array"
    with pytest.raises(
        TypeError, match=r"^params: expected a NumPy array of float32, float64, float16 or bfloat16, received <.*OfAFramework"
    ):
        fastopt.Adam(OfAFramework(1))


def test_a_tensor_of_torch_on_the_host_is_one_array_and_refused_as_such() -> None:
    torch = pytest.importorskip("torch")
    for params, label in ((torch.ones(3), "params"), ([torch.ones(3)], r"params\[0\]")):
        with pytest.raises(TypeError, match=rf"^{label}: expected a NumPy array of float32, float64, float16 or bfloat16, received tensor"):
            fastopt.Adam(params)


@pytest.mark.parametrize("other", [np.ones(3), OfAFramework(1)])
def test_a_mixture_is_refused_with_both_named(other: Any) -> None:
    for arrays, labels in (([DEVICE, other], ["d", "h"]), ([other, DEVICE], ["h", "d"])):
        with pytest.raises(
            TypeError, match=r"^d lies in device memory, h in host memory: expected all arrays in one; received .*DeviceArray"
        ):
            memory.of(arrays, labels)


def test_a_device_that_cannot_be_used() -> None:
    if fastopt.available_backends()["cuda"] is True:
        pytest.skip("there is one")
    reason = str(fastopt.available_backends()["cuda"])
    for build in (
        lambda: fastopt.Adam(DEVICE),
        lambda: fastopt.functional.sgd(DEVICE, DEVICE, step=1),
        lambda: fastopt.SGD([OfAFramework(2)]),
    ):
        with pytest.raises(RuntimeError, match=r"^backend: 'cuda' cannot be used: ") as caught:
            build()
        assert reason in str(caught.value)
