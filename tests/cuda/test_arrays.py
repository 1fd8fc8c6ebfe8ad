"""What a device array is, whoever made it: read from its interface, and refused with words where a kernel cannot work on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastopt import arguments
from fastopt.cuda import arrays, runtime
from fastopt.cuda.arrays import DeviceArray, current_stream, kind_of, on_device, stream_handle, view
from tests.cuda.simulator import SIMULATED

FLOAT32 = np.dtype(np.float32)


class Interface:
    """An array with `__cuda_array_interface__` alone, as Numba's have it."""

    def __init__(self, **changes: Any) -> None:
        plain = {"shape": (2, 3), "typestr": "<f4", "data": (4096, False), "version": 3, "strides": None, "stream": None}
        self.interface = plain | changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.interface


class OnHost:
    """What JAX's arrays are like on a CPU: a class with the interface, whose objects have none."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise AttributeError("not on a GPU")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.fixture(autouse=True)
def _one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime(), "device_of", lambda address: 3)


def test_the_interface_of_numba() -> None:
    found = view(Interface(), "p")
    assert (found.address, found.shape, found.dtype, found.device, found.readonly, found.foreign) == (4096, (2, 3), FLOAT32, 3, False, True)
    assert (found.size, found.nbytes) == (6, 24)
    assert view(Interface(typestr="<f8"), "p").dtype == np.float64
    assert view(Interface(typestr="<f2"), "p").dtype == np.float16
    assert found.strides == (3, 1)
    assert found.contiguous
    transposed = view(Interface(strides=(4, 8)), "p")
    assert transposed.strides == (1, 2)
    assert not transposed.contiguous
    assert view(Interface(shape=()), "p").size == 1
    assert view(Interface(shape=(0, 3), data=(None, False)), "p").size == 0
    assert view(Interface(strides=(12, 4)), "p").shape == (2, 3)
    assert view(Interface(shape=(1, 3), strides=(999, 4)), "p").shape == (1, 3)
    assert view(Interface(shape=(0, 3), strides=(8, 8), data=(0, False)), "p").size == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"typestr": "<i4"}, TypeError, rf"^p: expected dtype {arguments.KINDS}, received int32$"),
        ({"typestr": ">f4"}, TypeError, rf"^p: expected dtype {arguments.KINDS} in native byte order, received >f4$"),
        ({"strides": (4, 4)}, ValueError, r"^p: expected a dense array, .*; received strides \(4, 4\) for shape \(2, 3\)"),
        ({"strides": (24, 8)}, ValueError, r"^p: expected a dense array"),
        ({"strides": (-12, 4)}, ValueError, r"^p: expected a dense array"),
        ({"data": (4098, False)}, ValueError, r"^p: expected an array aligned to its 4-byte elements, received address 0x1002$"),
        ({"data": (0, False)}, ValueError, r"^p: expected an array with memory of its own, such as the local part of a distributed one"),
        ({"mask": object()}, TypeError, r"^p: expected an array without a mask"),
    ],
)
def test_what_a_kernel_cannot_work_on(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        view(Interface(**changes), "p")


def test_parameters_must_be_writeable_and_gradients_need_not() -> None:
    readonly = Interface(data=(4096, True))
    with pytest.raises(ValueError, match=r"^p: expected a writeable array, received a read-only one$"):
        arrays.parameter(readonly, "p")
    beside = view(Interface(data=(8192, False)), "p")
    assert arrays.gradient(readonly, "g", beside, "p", FLOAT32).address == 4096


def test_gradients_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = DeviceArray(8192, (2, 3), FLOAT32, 0, None)
    with pytest.raises(ValueError, match=r"^g lies on cuda:3, its parameter p on cuda:0$"):
        arrays.gradient(Interface(), "g", beside, "p", FLOAT32)


def test_what_is_on_a_device() -> None:
    assert on_device(Interface())
    assert on_device(DeviceArray(4096, (1,), FLOAT32, 0, None))
    for value in (np.ones(3), OnHost(), [1.0], None, 3.0):
        assert not on_device(value)
        with pytest.raises(TypeError, match=rf"^p: expected a device array of {arguments.KINDS}, received "):
            view(value, "p")


def test_tensors_of_torch_on_the_host() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(3, requires_grad=True)
    assert not on_device(tensor)
    assert kind_of(tensor) == "a torch tensor on cpu"
    with pytest.raises(TypeError, match=rf"^p: expected a device array of {arguments.KINDS}, received a torch tensor on cpu$"):
        view(tensor, "p")
    with pytest.raises(TypeError, match=r"^p: expected a dense tensor, received one of layout torch.sparse_coo$"):
        view(torch.eye(3).to_sparse(), "p")


def test_arrays_that_never_change() -> None:
    """JAX's: to write into one would change what JAX takes for a constant."""

    class Array(OnHost):
        __module__ = "jaxlib._jax"

        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

    with pytest.raises(TypeError, match=r"^p: expected an array that can be written in place, received one of JAX"):
        view(Array(), "p")


def test_dlpack() -> None:
    """Arrays with no other interface are read by cuda.core; here one in host memory that says it is on a device."""
    pytest.importorskip("cuda.core")
    if SIMULATED:
        pytest.skip("the simulator has no DLPack")

    class Array:
        def __init__(self, values: Any, device: tuple[int, int]) -> None:
            self.values, self.device = values, device

        def __dlpack__(self, **options: Any) -> Any:
            options.pop("stream", None)
            return self.values.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.device

    from fastopt.cuda import driver

    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    address, shape, strides, dtype, _, readonly = driver.dlpack(Array(values, (1, 0)))
    assert (address, shape, dtype, readonly) == (values.ctypes.data, (2, 3), "float32", False)
    assert strides in (None, (3, 1))
    assert driver.dlpack(Array(values.T, (1, 0)))[2] == (1, 3)


class Cuda12Stream:
    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, 55)


class Stream:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__ |= attributes


@pytest.mark.parametrize(
    ("stream", "handle"),
    [(0, 1), (1, 1), (2, 2), (77, 77), (Cuda12Stream(), 55), (Stream(cuda_stream=5), 5), (Stream(cuda_stream=0), 1), (Stream(ptr=6), 6)],
)
def test_streams_of_all_kinds(stream: Any, handle: int) -> None:
    assert stream_handle(stream) == handle


@pytest.mark.parametrize("stream", [True, -1, 1.0, "1", object(), Stream(ptr="x"), None])
def test_what_is_no_stream(stream: Any) -> None:
    with pytest.raises(TypeError, match=r"^stream: expected a CUDA stream \(PyTorch's, CuPy's, Numba's, cuda.core's\) or its handle"):
        stream_handle(stream)


def test_the_stream_that_an_array_was_made_on() -> None:
    assert current_stream(Interface(stream=44), 0) == 44
    assert current_stream(Interface(), 0) is None
    assert current_stream(object(), 0) is None


def test_an_array_of_fastopt_speaks_the_interface() -> None:
    own = DeviceArray(4096, (2, 3), FLOAT32, 0, None)
    assert view(own, "p") is own
    again = view(Interface(**own.__cuda_array_interface__), "p")
    assert (again.address, again.shape, again.dtype) == (own.address, own.shape, own.dtype)
    transposed = DeviceArray(4096, (2, 3), FLOAT32, 0, None, strides=(1, 2))
    assert view(Interface(**transposed.__cuda_array_interface__), "p").strides == (1, 2)
