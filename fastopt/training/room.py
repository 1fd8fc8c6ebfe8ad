"""What the machine has room for: its last cache, its memory, its GPU's memory; and whether a mini-batch fits.

What cannot be found out is None, and never guessed: a Linux kernel says all of it, other systems less.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from fastopt import arguments

__all__ = ["Capacity", "Fit", "capacity", "fits"]

UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True)
class Capacity:
    """Bytes that there is room for.

    Attributes
    ----------
    cache
        The CPU's last level of cache, as the first CPU sees it (it may be shared with others, and with other guests of the machine).
    memory
        Host memory that can be used without swapping, now: what the system has available, or less where the process is limited to less
        (control groups, as containers have them).
    device
        Memory of the present GPU that can be used now, as PyTorch or CuPy say; None where neither has been imported, or finds no GPU.
    """

    cache: int | None
    memory: int | None
    device: int | None


@dataclass(frozen=True)
class Fit:
    """Whether so many bytes fit: True, False, or None where the capacity is not known."""

    nbytes: int
    capacity: Capacity

    @property
    def cache(self) -> bool | None:
        """Whether they fit the last level of cache: then a second pass over them does not wait for memory."""
        return _within(self.nbytes, self.capacity.cache)

    @property
    def memory(self) -> bool | None:
        """Whether they fit the host memory that is available."""
        return _within(self.nbytes, self.capacity.memory)

    @property
    def device(self) -> bool | None:
        """Whether they fit the GPU's memory that is available."""
        return _within(self.nbytes, self.capacity.device)

    def __str__(self) -> str:
        rooms = (("last-level cache", self.capacity.cache), ("memory", self.capacity.memory), ("GPU's memory", self.capacity.device))
        parts = [f"{_verdict(self.nbytes, room)} the {name} ({'unknown' if room is None else _readable(room)})" for name, room in rooms]
        return f"{_readable(self.nbytes)}: " + ", ".join(parts)


def fits(nbytes: int, *, beside: int = 0) -> Fit:
    """Whether a mini-batch fits the caches, the memory, and a GPU's memory.

    Parameters
    ----------
    nbytes
        Bytes of the mini-batch (`Batches.nbytes`).
    beside
        Bytes of all that has to be there at the same time: parameters, gradients, an optimizer's states, what the layers keep for the way
        back.

    Examples
    --------
    >>> print(fastopt.training.fits(512 * 784 * 4))  # doctest: +SKIP
    1.5 MiB: fits the last-level cache (32.0 MiB), fits the memory (21.6 GiB), may fit the GPU's memory (unknown)
    """
    total = arguments.whole_number(nbytes, "nbytes", 0) + arguments.whole_number(beside, "beside", 0)
    return Fit(total, capacity())


def capacity() -> Capacity:
    """What there is room for on this machine at present."""
    root = Path("/")
    limits = [room for room in (_available(root), _group(root)) if room is not None]
    return Capacity(_last_cache(root), min(limits, default=None), _device())


def _last_cache(root: Path) -> int | None:
    """Bytes of the largest level of data cache, from sysfs."""
    found: list[tuple[int, int]] = []
    for index in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        kind, level, size = (_text(index / name) for name in ("type", "level", "size"))
        if kind in ("Data", "Unified") and level.isdecimal() and size.rstrip("KMG").isdecimal():
            found.append((int(level), int(size.rstrip("KMG")) * UNITS.get(size[-1], 1)))
    return max(found)[1] if found else None


def _available(root: Path) -> int | None:
    """MemAvailable of /proc/meminfo: the kernel's estimate of what can be used without swapping."""
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _group(root: Path) -> int | None:
    """What the process's control groups leave of their limits; None where there is no limit.

    Pages of files that were not used of late count as used by a group, and are given up for whoever needs memory.
    """
    left = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage, inactive = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            limit, usage, inactive = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(base):
                break
            most, used = _text(folder / limit), _text(folder / usage)
            if most.isdecimal() and used.isdecimal():  # a limit may be the word "max"
                idle = dict(entry.split() for entry in _text(folder / "memory.stat").splitlines()).get(inactive, "0")
                left.append(max(0, int(most) - int(used) + int(idle)))
    return min(left, default=None)


def _device() -> int | None:
    """Free memory of the present GPU, as a library says that the caller has imported: to import one starts a driver."""
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and torch.cuda.is_available():
        free = int(torch.cuda.mem_get_info()[0])
        # what its allocator holds and nothing uses is there for the next tensor
        return free + int(torch.cuda.memory_reserved()) - int(torch.cuda.memory_allocated())
    if cupy is not None and cupy.cuda.is_available():
        return int(cupy.cuda.runtime.memGetInfo()[0]) + int(cupy.get_default_memory_pool().free_bytes())
    return None


def _text(path: Path) -> str:
    """A small file's text; nothing for one that is not there or may not be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _within(nbytes: int, room: int | None) -> bool | None:
    return None if room is None else nbytes <= room


def _verdict(nbytes: int, room: int | None) -> str:
    return {None: "may fit", True: "fits", False: "does not fit"}[_within(nbytes, room)]


def _readable(nbytes: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes} bytes"
