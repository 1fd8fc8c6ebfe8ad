"""The `cython` backend: kernels compiled ahead, for several instruction sets, of which the CPU's best is loaded."""

from __future__ import annotations

import json
from functools import cache as once
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from fastopt import cache, threads
from fastopt.backends import cython_source
from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.transcribe import loop_body
from fastopt.worklist import WorkList

try:
    from fastopt.backends import _launch
except ImportError as error:
    _launch = None
    _import_error = str(error)

__all__ = ["PARALLEL_FROM", "Runner", "build_report", "has_kernel", "isa", "prepare", "thread_count", "unavailable"]

PARALLEL_FROM = 300_000
"""Bytes of traffic from which several threads are faster than one (measured: README, "Threads")."""


@once
def build_report() -> dict[str, Any]:
    """What setup.py found when it built the extension: {"isas": [...], "openmp": bool, "missing": [...]}."""
    path = Path(__file__).with_name("_built.json")
    return dict(json.loads(path.read_text())) if path.exists() else {"isas": [], "openmp": False, "missing": []}


@once
def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can."""
    if _launch is None:
        missing = build_report()["missing"]
        return f"the extension was not built: no {'; no '.join(missing)}" if missing else f"the extension is not built ({_import_error})"
    try:
        _kernels()
    except ImportError as error:
        return f"the kernels cannot be loaded ({error})"
    return None


@once
def isa() -> str:
    """The build of the kernels that is used: the best for this CPU among those that were built."""
    usable = {0: ("baseline",), 3: ("v3", "baseline"), 4: ("v4", "v3", "baseline")}[_launch.ISA_LEVEL]
    return next((name for name in usable if name in build_report()["isas"]), "baseline")


@once
def _kernels() -> ModuleType:
    return import_module(f"fastopt.backends._kernels_{isa()}")


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use. Raises ValueError if several are asked for and OpenMP was missing."""
    if not _launch.HAS_OPENMP:
        return threads.only_one(num_threads, "the cython backend was built without OpenMP")
    return threads.resolve(num_threads)


def has_kernel(rule: Rule) -> bool:
    """Whether the kernels of a rule were compiled ahead, from its present text."""
    names = _kernels().KERNELS
    for coupled in (False, True):
        body = loop_body(rule, coupled)
        for dtype in cython_source.DTYPES:
            _, known = names.get(cython_source.kernel_name(body, dtype), (0, ""))
            if known != cython_source.kernel_fingerprint(body, dtype):
                return False
    return True


def _address(rule: Rule, coupled: bool, dtype: str) -> int:
    """The kernel's entry point: from the extension, or compiled now if the rule is from outside or has changed since."""
    body = loop_body(rule, coupled)
    name = cython_source.kernel_name(body, dtype)
    wanted = cython_source.kernel_fingerprint(body, dtype)
    address, known = _kernels().KERNELS.get(name, (0, ""))
    if known != wanted:
        address, known = _compiled_now(rule).KERNELS[name]
    assert known == wanted
    return int(address)


@once
def _compiled_now(rule: Rule) -> ModuleType:
    from fastopt.backends.cython_build import build_module
    from fastopt.transcribe import fingerprint

    folder = cache.directory()
    if folder is None:
        raise RuntimeError(f"rule {rule.name!r} is not in the built extension, and there is no folder to compile it in (FASTOPT_CACHE_DIR)")
    source = cython_source.module_source([rule])
    return build_module(f"fastopt_{rule.name}_{isa()}_{fingerprint(source)}", source, folder / "cython", isa())


def prepare(rule: Rule, coupled: bool, work: WorkList) -> Runner:
    """Finds the kernel of a rule for a work list. Raises RuntimeError if a rule from outside cannot be compiled."""
    return Runner(rule, coupled, work)


class Runner:
    """Steps of one rule over one work list."""

    def __init__(self, rule: Rule, coupled: bool, work: WorkList) -> None:
        self.rule = rule
        dtype = work.dtype.name
        update, finite = _address(rule, coupled, dtype), _kernels().KERNELS[f"all_finite_{dtype}"][0]
        traffic = work.elements * rule.bytes_per_parameter(work.dtype.itemsize)
        several = work.threads > 1 and traffic >= PARALLEL_FROM
        self.serial = _launcher(update, work, several=False)
        self.best = _launcher(update, work, several)
        self.finite_serial = _launcher(finite, work, several=False)
        self.finite_best = _launcher(finite, work, several)

    def run(self, gradients: list[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients that the work list was refreshed with."""
        launch = self.serial if threads.forked() else self.best
        launch(settings.scalars(self.rule, step, grad_scale))

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return not (self.finite_serial if threads.forked() else self.finite_best)(())


def _launcher(address: int, work: WorkList, several: bool) -> Any:
    bounds = work.parallel if several else work.serial
    return _launch.Launcher(address, work.addresses, work.rows, bounds, work.dtype.itemsize == 8)
