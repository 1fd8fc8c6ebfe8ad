"""What there is room for, read from a made-up machine's files, and from libraries that say what a GPU has."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastopt.training import Batches, Capacity, Fit, capacity, fits, room

MIB = 1024**2


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def cache(index: int, kind: str, level: int, size: str) -> dict[str, str]:
    folder = f"sys/devices/system/cpu/cpu0/cache/index{index}/"
    return {folder + "type": kind + "\n", folder + "level": f"{level}\n", folder + "size": size + "\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (cache(0, "Data", 1, "48K") | cache(1, "Instruction", 1, "64K") | cache(2, "Unified", 2, "2048K"), 2 * MIB),
        (cache(0, "Data", 1, "48K") | cache(2, "Unified", 2, "1M") | cache(3, "Unified", 3, "32M"), 32 * MIB),
        (cache(0, "Instruction", 9, "48K"), None),
        (cache(0, "Data", 1, "a lot"), None),
        ({}, None),
    ],
)
def test_last_level_of_cache(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    assert room._last_cache(written(tmp_path, files)) == expected


def test_memory_that_is_available(tmp_path: Path) -> None:
    assert room._available(tmp_path) is None
    written(tmp_path, {"proc/meminfo": "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   64 kB\n"})
    assert room._available(tmp_path) == 64 * 1024


V2 = "0::/user/run\n"
V1 = "9:name=systemd:/\n4:cpu,memory:/run\n0::/\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": V2}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/run/memory.max": "max", "sys/fs/cgroup/user/run/memory.current": "5"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user/run/memory.max": "100", "sys/fs/cgroup/user/run/memory.current": "30"}, 70),
        # a group above has the tighter limit, and idle pages of files that it would give up
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/user/run/memory.max": "100",
                "sys/fs/cgroup/user/run/memory.current": "30",
                "sys/fs/cgroup/user/memory.max": "60",
                "sys/fs/cgroup/user/memory.current": "50",
                "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 7\n",
            },
            17,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "100", "sys/fs/cgroup/memory.current": "130"}, 0),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "100",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "90",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 5\n",
            },
            15,
        ),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    assert room._group(written(tmp_path, files)) == expected


def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)


def test_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Free memory, and what the library's own allocator holds unused; nothing is imported to find out."""
    without_gpu(monkeypatch)
    assert room._device() is None
    assert "torch" not in sys.modules
    cuda = SimpleNamespace(
        is_available=lambda: True, mem_get_info=lambda: (1000, 5000), memory_reserved=lambda: 300, memory_allocated=lambda: 100
    )
    pool = SimpleNamespace(free_bytes=lambda: 50)
    runtime = SimpleNamespace(memGetInfo=lambda: (2000, 5000))
    cupy = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True, runtime=runtime), get_default_memory_pool=lambda: pool)
    monkeypatch.setitem(sys.modules, "cupy", cupy)  # type: ignore[arg-type]
    assert room._device() == 2050
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    assert room._device() == 1200
    cuda.is_available = cupy.cuda.is_available = lambda: False
    assert room._device() is None


@pytest.mark.parametrize(
    ("nbytes", "expected"), [(10, (True, True, None)), (11, (False, True, None)), (100, (False, True, None)), (101, (False, False, None))]
)
def test_what_fits(nbytes: int, expected: tuple[Any, ...]) -> None:
    fit = Fit(nbytes, Capacity(cache=10, memory=100, device=None))
    assert (fit.cache, fit.memory, fit.device) == expected
    assert Fit(5, Capacity(None, None, 5)).device is True
    assert Fit(6, Capacity(None, None, 5)).device is False


def test_in_words() -> None:
    fit = Fit(3 * MIB // 2, Capacity(MIB, 8 * 1024**3, None))
    assert str(fit) == "1.5 MiB: does not fit the last-level cache (1.0 MiB), fits the memory (8.0 GiB), may fit the GPU's memory (unknown)"
    assert str(Fit(12, Capacity(2048, 11, 12))) == (
        "12 bytes: fits the last-level cache (2.0 KiB), does not fit the memory (11 bytes), fits the GPU's memory (12 bytes)"
    )


def test_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch)
    found = capacity()
    if sys.platform == "linux":
        assert found.memory is not None
        assert 0 < found.memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert found.cache is None or found.cache >= 2**14
    batch = Batches(np.zeros((100, 784), np.float32)).nbytes
    assert batch is not None
    fit = fits(batch, beside=1000)
    assert fit.nbytes == 100 * 784 * 4 + 1000
    assert fit.memory is not False
    assert fits(2**62).memory in (False, None)


def test_on_a_machine_that_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_gpu(monkeypatch)
    monkeypatch.setattr(room, "Path", lambda _: tmp_path)
    assert capacity() == Capacity(None, None, None)
    assert (fits(1).cache, fits(1).memory) == (None, None)


def test_the_tighter_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_gpu(monkeypatch)
    monkeypatch.setattr(room, "Path", lambda _: tmp_path)
    written(tmp_path, {"proc/meminfo": "MemAvailable: 1 kB\n", "proc/self/cgroup": "0::/\n"})
    assert capacity().memory == 1024
    written(tmp_path, {"sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/memory.current": "400"})
    assert capacity().memory == 600


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match=r"^nbytes: expected an integer >= 0, received None$"):
        fits(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^beside: expected an integer >= 0, received -1$"):
        fits(1, beside=-1)
