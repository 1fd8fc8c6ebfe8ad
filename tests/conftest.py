"""What several test files share: the ways in which a kernel is launched, threads for small arrays, and a table put back."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Iterator

import pytest

# first: either may put itself in the place of what fastopt looks for
import tests.cuda.emulated_driver
import tests.cuda.simulator  # noqa: F401

# isort: split
import fastopt
from fastopt.backends import HOST, numba_backend
from fastopt.host import launched
from fastopt.rules.entry import RULES

# what a test starts is no worker of pytest-xdist: pytest-benchmark measures nothing in one
os.environ.pop("PYTEST_XDIST_WORKER", None)

# compilers make many objects, all of which are kept: to look through them again and again takes a fifth of the time to compile a kernel
gc.set_threshold(100_000, 20, 100)

AVAILABLE = fastopt.available_backends()

LAUNCHINGS = (*(name for name in reversed(HOST) if name != "numpy"), "numba's prange")
"""Everything compiled that can run a step: the backends, and numba as it is where the launcher was not built."""


def needed(backend: str) -> None:
    """Skips a test whose backend cannot be used on this machine, with the reason that fastopt gives."""
    reason = AVAILABLE[backend]
    if reason is not True:
        pytest.skip(f"backend {backend!r}: {reason}")


def a_compiler_at_hand() -> None:
    """Skips a test where a rule cannot be compiled for the cython backend now."""
    for module in ("Cython", "setuptools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: kernels cannot be compiled now")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no C compiler ({compiler})")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests choose backends and threads themselves, whatever the developer's environment says."""
    monkeypatch.delenv("FASTOPT_BACKEND", raising=False)
    monkeypatch.delenv("FASTOPT_NUM_THREADS", raising=False)


@pytest.fixture(autouse=True)
def _table_put_back() -> Iterator[None]:
    """The table of rules as it was, whatever a test entered."""
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


@pytest.fixture
def nothing_derived() -> Iterator[None]:
    """Nothing is known of any rule: for tests that change what it would be derived from."""

    def forget() -> None:
        for rule in RULES.values():
            rule.derived.clear()

    forget()
    yield
    forget()


@pytest.fixture
def threads_for_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares out the smallest step too, so that small arrays go through the threads."""
    monkeypatch.setattr(launched, "PARALLEL_FROM", 0)
    monkeypatch.setattr(launched, "WAKE_FROM", 0)
    monkeypatch.setattr(numba_backend, "PARALLEL_FROM", 0)


@pytest.fixture
def without_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where fastopt was installed without a C compiler: Numba calls its kernels itself."""
    monkeypatch.setattr(launched, "_launch", None)
    monkeypatch.setattr(launched, "why_not", "taken away by a test", raising=False)


@pytest.fixture
def launching(request: pytest.FixtureRequest) -> str:
    """One of `LAUNCHINGS`, given by indirect parametrization, made to be so; answers the name of the backend."""
    way: str = request.param
    needed(way.split("'")[0])
    if way == "numba's prange":
        request.getfixturevalue("without_launcher")
    return way.split("'")[0]
