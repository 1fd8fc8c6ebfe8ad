"""The tests that take a device, on what stands in for one: the emulated driver, and Numba's simulator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastopt.cuda import driver

pytestmark = pytest.mark.long

ON_DEVICE = [
    *(f"test_{name}.py" for name in ("on_device", "devices", "graphs", "groups", "held", "interrupts", "layouts", "norm")),
    *(f"test_{name}.py" for name in ("storages", "with_numba")),
    "driver/test_contexts.py",
    "driver/test_events.py",
    "driver/test_uploads.py",
]


@pytest.mark.parametrize("stand_in", ["FASTOPT_EMULATED_GPU", "NUMBA_ENABLE_CUDASIM"])
def test_on_a_stand_in(stand_in: str, tmp_path: Path) -> None:
    reason = driver.toolchain_missing()
    if reason is not None:
        pytest.skip(reason)
    if stand_in == "FASTOPT_EMULATED_GPU" and shutil.which("cc") is None:
        pytest.skip("the emulated driver takes a C compiler")
    files = [str(Path(__file__).parent / name) for name in ON_DEVICE]
    command = [sys.executable, "-m", "pytest", *files, "-p", "no:cacheprovider", "--tb=short", "-rs"]
    kept = {name: value for name, value in os.environ.items() if name == "FASTOPT_CACHE_DIR" or not name.startswith(("FASTOPT_", "NUMBA_"))}
    environment = kept | {stand_in: "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "backend 'cuda'" not in done.stdout, "the stand-in was not there, and the tests were skipped"
