"""The `cython` backend: kernels compiled ahead, for several instruction sets, of which the CPU's best is loaded."""

from __future__ import annotations

import json
from functools import cache as once
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from fastopt import cache
from fastopt.backends import cython_source, launched
from fastopt.backends.launched import LaunchedRunner
from fastopt.rules.entry import Rule, once_for_each_rule
from fastopt.transcribe import loop_body
from fastopt.worklist import WorkList

__all__ = ["build_report", "has_kernel", "isa", "kernel_address", "prepare", "thread_count", "unavailable"]


@once
def build_report() -> dict[str, Any]:
    """What setup.py found when it built the extension: {"isas": [...], "threads": bool, "placement": bool, "missing": [...]}."""
    path = Path(__file__).with_name("_built.json")
    nothing = {"isas": [], "threads": False, "placement": False, "missing": []}
    return dict(json.loads(path.read_text())) if path.exists() else nothing


@once
def unavailable() -> str | None:
    """Why this backend cannot be used, or None if it can."""
    if launched.launcher() is None:
        missing = build_report()["missing"]
        return (
            f"the extension was not built: not found: {'; '.join(missing)}"
            if missing
            else f"the extension is not built ({launched.why_not})"
        )
    try:
        _kernels()
    except ImportError as error:
        return f"the kernels cannot be loaded ({error})"
    return None


@once
def isa() -> str:
    """The build of the kernels that is used: the best for this CPU among those that were built."""
    usable = {0: ("baseline",), 3: ("v3", "baseline"), 4: ("v4", "v3", "baseline")}[launched.launcher().ISA_LEVEL]
    return next((name for name in usable if name in build_report()["isas"]), "baseline")


@once
def _kernels() -> ModuleType:
    return import_module(f"fastopt.backends._kernels_{isa()}")


def thread_count(num_threads: int | None) -> int:
    """How many threads a step may use. Raises ValueError if several are asked for and there was no pool of them."""
    return launched.thread_count(num_threads)


@once_for_each_rule
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


@once_for_each_rule
def kernel_address(rule: Rule, coupled: bool, dtype: str) -> int:
    """The kernel's entry point: from the extension, or compiled now if the rule is from outside or has changed since.

    Raises RuntimeError if a rule from outside cannot be compiled.
    """
    body = loop_body(rule, coupled)
    name = cython_source.kernel_name(body, dtype)
    wanted = cython_source.kernel_fingerprint(body, dtype)
    address, known = _kernels().KERNELS.get(name, (0, ""))
    if known != wanted:
        address, known = _compiled_now(rule).KERNELS[name]
    assert known == wanted
    return int(address)


@once_for_each_rule
def _compiled_now(rule: Rule) -> ModuleType:
    from fastopt.backends.cython_build import build_module
    from fastopt.transcribe import fingerprint

    folder = cache.directory()
    if folder is None:
        raise RuntimeError(f"rule {rule.name!r} is not in the built extension, and there is no folder to compile it in (FASTOPT_CACHE_DIR)")
    source = cython_source.module_source([rule])
    return build_module(f"fastopt_{rule.name}_{isa()}_{fingerprint(source)}", source, folder / "cython", isa())


def prepare(rule: Rule, coupled: bool, work: WorkList) -> LaunchedRunner:
    """Finds the kernel of a rule for a work list. Raises RuntimeError if a rule from outside cannot be compiled."""
    dtype = work.dtype.name
    return LaunchedRunner(rule, work, kernel_address(rule, coupled, dtype), lambda: int(_kernels().KERNELS[f"all_finite_{dtype}"][0]))
