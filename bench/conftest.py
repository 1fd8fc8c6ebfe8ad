"""What every benchmark module shares: the profile, the machine in the record, and progress on the console."""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fastopt.host import threads as fastopt_threads

from .replay import figures

__all__ = ["figures"]

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--profile", choices=("smoke", "quick", "full"), default="quick", help="how much to measure (default: quick)")


def pytest_configure(config: pytest.Config) -> None:
    for module in filter(None, os.environ.get("FASTOPT_RULES", "").split(",")):
        import_module(module)  # rules from outside enter the table, and so the benchmark
    config.pluginmanager.register(_Progress(), "fastopt-progress")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Training first: glibc never returns memory to the system any more once arrays of 32 MiB were freed, and NumPy's update,
    # which allocates at every operation, is up to four times faster then than it is in a process that only trains.
    # The peers last: the thread pools that they start stay, and would stand in the way of what is measured alone. Of those with
    # peers the calls go first, whose times are the shortest, and the many peers after the one.
    order = [f"test_{name}.py" for name in ("training", "first_step", "step", "calls", "between", "peers")]
    items.sort(key=lambda item: order.index(item.path.name) if item.path.name in order else -1)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))  # peers warn of what is not ours to mend


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    from .machine import describe

    machine_info["fastopt"] = describe() | {"profile": config.getoption("--profile")}


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> str:
    """One of "smoke" (does it run), "quick" (the report, in minutes) and "full"."""
    return str(request.config.getoption("--profile"))


@pytest.fixture(scope="session")
def threads() -> int:
    """The threads that every contender gets."""
    return fastopt_threads.resolve(None)


class _Progress:
    """One line that moves, or, where the output is no terminal, a line every twentieth of the way."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.started = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.total = len(session.items)
        self.started = time.monotonic()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.done += 1
        console = sys.__stdout__  # pytest holds sys.stdout back while it runs a test
        if console is None:
            return
        line = f"{self.done}/{self.total}  {time.monotonic() - self.started:4.0f} s  {nodeid.split('::')[-1]}"
        if console.isatty():
            console.write(f"\r\x1b[K{line[:150]}")
        elif self.done % max(1, self.total // 20) == 0 or self.done == self.total:
            console.write(f"{line}\n")
        console.flush()

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No letter a test: the line above says more."""
        return ("passed", "", "") if report.when == "call" and report.passed else None
