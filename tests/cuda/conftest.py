"""On what the tests in this folder run.

Those of `test_on_device` and its neighbours take a device. That is the GPU of the machine, where there is one; or what stands in
for one, if the environment says so: FASTOPT_EMULATED_GPU=1 the emulated driver (`emulated_driver`), NUMBA_ENABLE_CUDASIM=1 Numba's
simulator. `test_stand_ins` runs them once on each in processes of their own, so that they run everywhere.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from tests.cuda.emulated_driver import EMULATED
from tests.cuda.simulator import SIMULATED


@pytest.fixture
def device() -> str:
    """Skips a test where there is no device; says which kind there is: "gpu", "emulated" or "simulated"."""
    import fastopt

    reason = fastopt.available_backends()["cuda"]
    if reason is not True:
        pytest.skip(f"backend 'cuda': {reason}")
    return "simulated" if SIMULATED else "gpu" if EMULATED is None else "emulated"


@pytest.fixture
def emulated(device: str) -> Any:
    """The emulated GPU; skips a test on anything else."""
    if EMULATED is None:
        pytest.skip("looks into the emulated GPU")
    return EMULATED


@pytest.fixture
def torch(device: str) -> Any:
    """PyTorch with a real GPU; skips a test where it finds none."""
    module = pytest.importorskip("torch")
    if device != "gpu" or not module.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    return module


_status = 0


def pytest_sessionfinish(exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Ends a process with an emulated driver at once: cuda.core gives things back after Python, and so the emulation, is gone."""
    if EMULATED is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status)
