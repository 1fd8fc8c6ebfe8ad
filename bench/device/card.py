"""The GPU in the record, and what is free on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastopt.cuda import runtime

from .. import machine
from .clock import answer

__all__ = ["PACKAGES", "describe", "emulated", "free_bytes", "rehearsal", "select", "slug"]

PACKAGES = ("numba-cuda", "cuda-core", "cuda-bindings", "cupy-cuda12x", "cupy-cuda13x", "apex", "jaxlib")
DRIVER = Path("/proc/driver/nvidia/version")


def select(device: int = 0) -> None:
    """Makes the device's primary context, which the frameworks use too, the one that this thread works in."""
    from cuda.core import Device

    Device(device).set_current()


def emulated(device: int = 0) -> bool:
    """Whether no GPU answers but a program, as in the tests: its device has a name that says so."""
    return "emulated" in runtime().describe(device).lower()


def describe(profile: str, device: int = 0) -> dict[str, Any]:
    """The machine as in every record, and the GPU under "device"."""
    found = machine.describe() | {"profile": profile, "device": _gpu(device)}
    found["packages"] |= machine.versions(PACKAGES)
    return found


def _gpu(device: int) -> dict[str, Any]:
    from cuda.bindings import driver
    from cuda.core import Device

    kind = driver.CUdevice_attribute
    handle = answer(driver.cuDeviceGet(device))

    def attribute(which: Any) -> int:
        return int(answer(driver.cuDeviceGetAttribute(which, handle)))

    major, minor = Device(device).compute_capability
    return {
        "name": str(Device(device).name),
        "simulated": emulated(device),
        "compute_capability": f"{major}.{minor}",
        "multiprocessors": attribute(kind.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        "l2_bytes": attribute(kind.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE),
        "memory_bytes": int(answer(driver.cuMemGetInfo())[1]),
        "memory_free_bytes": int(answer(driver.cuMemGetInfo())[0]),
        "driver": _driver_version(),
        "driver_cuda": _cuda_version(int(answer(driver.cuDriverGetVersion()))),
    }


def _driver_version() -> str | None:
    """NVIDIA's own number, such as 580.65.06; the driver API only says which CUDA it is of."""
    try:
        found = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", DRIVER.read_text())
    except OSError:
        return None
    return found.group(1) if found else None


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def free_bytes() -> int:
    """What is free on the device."""
    from cuda.bindings import driver

    return int(answer(driver.cuMemGetInfo())[0])


def rehearsal(described: dict[str, Any]) -> bool:
    """Whether a record's times mean nothing: the device was simulated, or the profile only tries whether all of it runs."""
    return bool(described["device"]["simulated"]) or described["profile"] == "smoke"


def slug(name: str) -> str:
    """A GPU's name as that of a folder.

    >>> slug("NVIDIA H200")
    'nvidia-h200'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
