"""Two emulated GPUs: a library in the place of NVIDIA's driver, for the real cuda.bindings, cuda.core and `fastopt.cuda.driver`.

It keeps what is launched in queues, one a stream, and does nothing of it before it is waited for: so what a copy reads is
what lies there when the device gets to it. Kernels run on `ptx_machine`. During the capture of a graph it refuses what CUDA
refuses then. It has no clock and no frameworks: PyTorch and CuPy do not find a GPU here.

To be imported before anything in the process imports `cuda`, with FASTOPT_EMULATED_GPU=1 in the environment; takes a C compiler.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from tests.cuda.emulated_gpu import CONTEXTS, LEGACY, MEMORY, EmulatedGpu
from tests.cuda.ptx_machine import Program

__all__ = ["EMULATED", "install"]

INVALID_VALUE, INVALID_CONTEXT, NOT_READY, CAPTURE_UNSUPPORTED, UNKNOWN = 1, 201, 600, 900, 999
RELAXED = 2
ATTRIBUTES = {1: 1024, 2: 1024, 5: 2**31 - 1, 10: 32, 16: 4, 38: 1 << 20, 39: 2048, 75: 9, 76: 0, 82: 65536}
"""CUdevice_attribute: 16 multiprocessors, 5 the largest grid, 75 and 76 the compute capability, 38 the L2 cache, ..."""

i32, i64, pointer = ctypes.c_int, ctypes.c_ulonglong, ctypes.c_void_p


def _written(place: int, kind: Any, value: Any) -> None:
    if place:
        kind.from_address(place).value = value


class _LaunchConfiguration(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("gx", "gy", "gz", "bx", "by", "bz", "shared")),
        ("stream", pointer),
        ("attributes", pointer),
        ("attribute_count", ctypes.c_uint),
    )


def _functions(gpu: EmulatedGpu) -> dict[str, tuple[Callable[..., int], tuple[Any, ...]]]:
    """The driver's functions by name, and the types of their arguments."""

    def gives(kind: Any, value: Callable[..., Any]) -> Callable[..., int]:
        def function(place: int, *rest: Any) -> int:
            _written(place, kind, value(*rest))
            return 0

        return function

    def succeeds(*_: Any) -> int:
        return 0

    def set_current(context: int | None) -> int:
        gpu.context = context or 0
        return 0

    def get_name(place: int, length: int, device: int) -> int:
        ctypes.memmove(place, b"Emulated GPU\0"[:length], min(length, 13))
        return 0

    def get_uuid(place: int, device: int) -> int:
        ctypes.memset(place, 7 + device, 16)
        return 0

    def allowed(function: Callable[..., int]) -> Callable[..., int]:
        """For what may not be called while a graph is captured, and needs a context."""

        def checked(*arguments: Any) -> int:
            return CAPTURE_UNSUPPORTED if gpu.captures and gpu.mode != RELAXED else function(*arguments)

        return current(checked)

    def current(function: Callable[..., int]) -> Callable[..., int]:
        """For what needs a context, as PyTorch's and CuPy's threads have one, and others do not."""

        def checked(*arguments: Any) -> int:
            return function(*arguments) if gpu.context else INVALID_CONTEXT

        return checked

    def exchange_mode(place: int) -> int:
        wanted = i32.from_address(place).value
        _written(place, i32, gpu.mode)
        gpu.mode = wanted
        return 0

    def push_context(context: int) -> int:
        gpu.contexts.append(context)
        return 0

    def pop_context(place: int) -> int:
        _written(place, i64, gpu.context)
        gpu.contexts.pop()
        return 0

    def allocate(place: int, size: int) -> int:
        if not size:
            return INVALID_VALUE
        _written(place, i64, gpu.heaps[gpu.device].allocate(size))
        return 0

    def free(address: int) -> int:
        gpu.run()
        gpu.heap(address).free(address)
        return 0

    def fill(address: int, value: int, size: int) -> int:
        gpu.heap(address).view(address, size)[:] = value
        return 0

    def allocate_host(place: int, size: int, *_: Any) -> int:
        buffer = np.empty(size, np.uint8)
        gpu.pinned[buffer.ctypes.data] = buffer
        _written(place, i64, buffer.ctypes.data)
        return 0

    def free_host(address: int) -> int:
        del gpu.pinned[address]
        return 0

    def to_device(address: int, source: int, size: int) -> int:
        gpu.heap(address).view(address, size)[:] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(source))
        return 0

    def to_host(place: int, address: int, size: int) -> int:
        gpu.run()
        ctypes.memmove(place, gpu.heap(address).view(address, size).ctypes.data, size)
        return 0

    def to_device_later(address: int, source: int, size: int, stream: int | None) -> int:
        gpu.enqueue(stream or LEGACY, lambda: cast(None, to_device(address, source, size)))
        return 0

    def on_device_later(address: int, source: int, size: int, stream: int | None) -> int:
        def copy() -> None:
            gpu.heap(address).view(address, size)[:] = gpu.heap(source).view(source, size)

        gpu.enqueue(stream or LEGACY, copy)
        return 0

    def synchronize(*_: Any) -> int:
        gpu.run()
        return 0

    streams: dict[int, int] = {}

    def create_stream(place: int, flags: int) -> int:
        handle = gpu.handle()
        streams[handle] = gpu.context
        _written(place, i64, handle)
        return 0

    def create_event(place: int, flags: int) -> int:
        _written(place, i64, gpu.handle())
        return 0

    def record_event(event: int, stream: int | None, *_: Any) -> int:
        gpu.events[event] = None
        gpu.enqueue(stream or LEGACY, lambda: gpu.events.__setitem__(event, time.perf_counter()))
        return 0

    def query_event(event: int) -> int:
        return NOT_READY if gpu.events.get(event, 0.0) is None else 0

    def elapsed(place: int, start: int, end: int, *_: Any) -> int:
        happened = [gpu.events.get(event) for event in (start, end)]
        if None in happened:
            return NOT_READY
        _written(place, ctypes.c_float, 1e3 * (cast(float, happened[1]) - cast(float, happened[0])))
        return 0

    def memory_info(free: int, total: int) -> int:
        _written(free, i64, MEMORY)
        _written(total, i64, MEMORY)
        return 0

    def capture_info(stream: int | None, status: int, number: int, *_: Any) -> int:
        found = gpu.captures.get(stream or LEGACY)
        _written(status, i32, 0 if found is None else 1)
        _written(number, i64, 0 if found is None else found[0])
        return 0

    def stream_context(stream: int | None, place: int) -> int:
        _written(place, i64, streams.get(stream or LEGACY, gpu.context or CONTEXTS[0]))
        return 0

    def load_library(place: int, code: int, *_: Any) -> int:
        handle = gpu.handle()
        gpu.programs[handle] = Program(ctypes.string_at(code).decode())
        _written(place, i64, handle)
        return 0

    def get_kernel(place: int, library: int, name: int) -> int:
        if gpu.programs[library].entry != ctypes.string_at(name).decode():
            return 500
        _written(place, i64, library)
        return 0

    def get_kernel_attribute(place: int, attribute: int, kernel: int, device: int) -> int:
        _written(place, i32, 48)
        gpu.loaded.add((kernel, device))
        return 0

    def launch(configuration: int, kernel: int, parameters: int, extra: int | None) -> int:
        shape = _LaunchConfiguration.from_address(configuration)
        program = gpu.programs[kernel]
        kinds = {"u64": ctypes.c_int64, "f32": ctypes.c_float, "f64": ctypes.c_double}
        places = (pointer * len(program.parameters)).from_address(parameters)
        values = [kinds[kind].from_address(place).value for place, (_, kind) in zip(places, program.parameters, strict=True)]
        blocks, threads = shape.gx, shape.bx
        if not blocks or not 0 < threads <= 1024 or (shape.gy, shape.gz, shape.by, shape.bz) != (1, 1, 1, 1):
            return INVALID_VALUE
        device = gpu.device
        if gpu.captures and (kernel, device) not in gpu.loaded:
            return CAPTURE_UNSUPPORTED
        gpu.loaded.add((kernel, device))
        gpu.launches.append((blocks, threads, shape.stream or LEGACY))
        gpu.enqueue(shape.stream or LEGACY, lambda: program.run(gpu.heaps[device], blocks, threads, values))
        return 0

    def pointer_attribute(place: int, attribute: int, address: int) -> int:
        device = gpu.device_of(address)
        if device is None:
            return INVALID_VALUE
        _written(place, i32, device)
        return 0

    message = ctypes.create_string_buffer(b"an emulated error")
    asked = (pointer, i32)
    return {
        "cuInit": (succeeds, (ctypes.c_uint,)),
        "cuGetErrorName": (lambda error, place: gives(i64, lambda: ctypes.addressof(message))(place), (i32, pointer)),
        "cuGetErrorString": (lambda error, place: gives(i64, lambda: ctypes.addressof(message))(place), (i32, pointer)),
        "cuDriverGetVersion": (gives(i32, lambda: 13000), (pointer,)),
        "cuDeviceGetCount": (gives(i32, lambda: len(CONTEXTS)), (pointer,)),
        "cuDeviceGet": (gives(i32, lambda ordinal: ordinal), asked),
        "cuDeviceGetName": (get_name, (pointer, i32, i32)),
        "cuDeviceGetUuid": (get_uuid, asked),
        "cuDeviceGetAttribute": (gives(i32, lambda attribute, device: ATTRIBUTES.get(attribute, 0)), (pointer, i32, i32)),
        "cuDeviceTotalMem": (gives(i64, lambda device: MEMORY), asked),
        "cuDevicePrimaryCtxRetain": (gives(i64, CONTEXTS.__getitem__), asked),
        "cuDevicePrimaryCtxRelease": (succeeds, (i32,)),
        "cuCtxGetCurrent": (gives(i64, lambda: gpu.context), (pointer,)),
        "cuCtxSetCurrent": (set_current, (pointer,)),
        "cuCtxPushCurrent": (push_context, (pointer,)),
        "cuCtxPopCurrent": (pop_context, (pointer,)),
        "cuCtxGetDevice": (gives(i32, lambda: gpu.device), (pointer,)),
        "cuCtxSynchronize": (allowed(synchronize), ()),
        "cuMemAlloc": (allowed(allocate), (pointer, ctypes.c_size_t)),
        "cuMemFree": (allowed(free), (i64,)),
        "cuMemGetInfo": (memory_info, (pointer, pointer)),
        "cuMemsetD8": (allowed(fill), (i64, ctypes.c_ubyte, ctypes.c_size_t)),
        "cuMemAllocHost": (allowed(allocate_host), (pointer, ctypes.c_size_t)),
        "cuMemFreeHost": (allowed(free_host), (pointer,)),
        "cuMemcpyHtoD": (allowed(to_device), (i64, pointer, ctypes.c_size_t)),
        "cuMemcpyDtoH": (allowed(to_host), (pointer, i64, ctypes.c_size_t)),
        "cuMemcpyHtoDAsync": (current(to_device_later), (i64, pointer, ctypes.c_size_t, pointer)),
        "cuMemcpyDtoDAsync": (current(on_device_later), (i64, i64, ctypes.c_size_t, pointer)),
        "cuPointerGetAttribute": (pointer_attribute, (pointer, i32, i64)),
        "cuStreamCreate": (current(create_stream), (pointer, ctypes.c_uint)),
        "cuStreamSynchronize": (allowed(synchronize), (pointer,)),
        "cuStreamGetCtx": (stream_context, (pointer, pointer)),
        "cuStreamGetCaptureInfo": (current(capture_info), (pointer, pointer, pointer, pointer, pointer, pointer, pointer)),
        "cuThreadExchangeStreamCaptureMode": (exchange_mode, (pointer,)),
        "cuEventCreate": (current(create_event), (pointer, ctypes.c_uint)),
        "cuEventRecord": (current(record_event), (pointer, pointer)),
        "cuEventQuery": (allowed(query_event), (pointer,)),
        "cuEventSynchronize": (allowed(synchronize), (pointer,)),
        "cuEventElapsedTime": (elapsed, (pointer, pointer, pointer)),
        "cuLibraryLoadData": (current(load_library), (pointer, pointer, *(pointer, pointer, ctypes.c_uint) * 2)),
        "cuLibraryGetKernel": (get_kernel, (pointer, pointer, pointer)),
        "cuKernelGetAttribute": (current(get_kernel_attribute), (pointer, i32, pointer, i32)),
        "cuLaunchKernelEx": (current(launch), (pointer, pointer, pointer, pointer)),
    }


NOTHING = (b"cuStreamDestroy", b"cuEventDestroy", b"cuLibraryUnload")
"""What nothing comes of, and is called from where objects go away."""

_kept: list[Any] = []


def _answering(function: Callable[..., int]) -> Callable[..., int]:
    """A function that answers with an error code where it fails: nothing would stop at an exception in a callback."""

    def answer(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except Exception:
            traceback.print_exc()
            return UNKNOWN

    return answer


def install() -> EmulatedGpu:
    """Puts the emulated driver in the place of the real one, for this process."""
    folder = Path(tempfile.mkdtemp(prefix="fastopt-emulated-driver-"))
    library = folder / "libcuda.so.1"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), "-Wl,-soname,libcuda.so.1", str(source)], check=True)
    loaded = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    gpu = EmulatedGpu()
    for name, (function, types) in _functions(gpu).items():
        callback = ctypes.CFUNCTYPE(i32, *types)(_answering(function))
        text = name.encode()
        _kept.extend((callback, text))
        loaded.emulated_register(text, ctypes.cast(callback, pointer))
    for text in NOTHING:
        loaded.emulated_register(text, ctypes.cast(loaded.emulated_nothing, pointer))
    return gpu


EMULATED = install() if os.environ.get("FASTOPT_EMULATED_GPU") == "1" else None
"""The emulated GPU of this process, if the environment asks for one."""
