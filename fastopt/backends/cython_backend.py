"""The `cython` backend: kernels compiled ahead, for several instruction sets, of which the CPU's best is loaded."""

from __future__ import annotations

import json
from functools import cache as once
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from fastopt import cache
from fastopt.backends import cython_source
from fastopt.host import launched
from fastopt.host.launched import LaunchedRunner
from fastopt.host.worklist import WorkList
from fastopt.kernel import AHEAD, Kernel, kernel_of
from fastopt.rules.entry import Rule, once_for_each
from fastopt.rules.sums import BEGIN, GO_ON
from fastopt.stages import COUPLED, PLAIN
from fastopt.storage import STORAGES
from fastopt.storage.choice import Choice

__all__ = ["ahead", "build_report", "has_kernel", "isa", "kernel_address", "prepare", "sums", "thread_count", "unavailable"]


@once
def build_report() -> dict[str, Any]:
    """What setup.py found when it built the extension: {"isas": [...], "threads": bool, "placement": bool, "missing": [...]}."""
    path = Path(__file__).with_name("_built.json")
    nothing = {"isas": [], "threads": False, "placement": False, "missing": []}
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else nothing


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


def ahead(rule: Rule) -> list[Kernel]:
    """The kernels of a rule that are compiled when fastopt is installed, if the rule is the package's."""
    found = []
    for parameter, gradient, asked in AHEAD:
        states = tuple(storage.name for storage in Choice(asked, narrow_from=0).of(rule, STORAGES[parameter], 0))
        found += [kernel_of(rule, stages, parameter, gradient, states) for stages in (PLAIN, COUPLED)]
    return list(dict.fromkeys(found))


SUMS = (("float32", "float32"), ("float32", "bfloat16"), ("float32", "float16"), ("float64", "float64"))
"""Storage of sums of gradients, and of what is added to them, for which kernels are compiled ahead too."""


def sums() -> list[Kernel]:
    """The kernels of sums of gradients (`fastopt.rules.sums`) that are compiled when fastopt is installed."""
    return [kernel_of(rule, PLAIN, *storages, ()) for rule in (BEGIN, GO_ON) for storages in SUMS]


@once_for_each
def has_kernel(kernel: Kernel) -> bool:
    """Whether a kernel was compiled ahead, from its present text."""
    _, known = _kernels().KERNELS.get(kernel.name, (0, ""))
    return bool(known == cython_source.kernel_fingerprint(kernel))


@once_for_each
def kernel_address(kernel: Kernel) -> int:
    """The kernel's entry point: from the extension, or compiled now if it is not there or has changed since.

    Raises RuntimeError if it cannot be compiled.
    """
    module = _kernels() if has_kernel(kernel) else _compiled_now(kernel.rule, _at_once(kernel))
    address, known = module.KERNELS[kernel.name]
    assert known == cython_source.kernel_fingerprint(kernel)
    return int(address)


@once_for_each
def _compiled_now(rule: Rule, kernels: tuple[Kernel, ...]) -> ModuleType:
    """Kernels of a rule that were not compiled ahead."""
    from fastopt.backends.cython_build import surroundings
    from fastopt.backends.cython_module import build_module
    from fastopt.transcribe import fingerprint

    folder = cache.readable()
    if folder is None:
        raise RuntimeError(f"rule {rule.name!r} is not in the built extension, and there is no folder to compile it in (FASTOPT_CACHE_DIR)")
    source = cython_source.module_source(kernels, with_gradients=False)
    name = f"fastopt_{rule.name}_{isa()}_{fingerprint(source + surroundings(isa()))}"
    return build_module(name, source, folder / "cython", isa())


def _at_once(kernel: Kernel) -> tuple[Kernel, ...]:
    """What is compiled with a kernel: what would be ahead, or the two with the decay in the gradient and without."""
    together = ahead(kernel.rule)
    return tuple(together if kernel in together else map(kernel.with_decay, (False, True)))


def prepare(kernel: Kernel, work: WorkList) -> LaunchedRunner:
    """Finds a kernel for a work list. Raises RuntimeError if it has to be compiled and cannot be."""
    return LaunchedRunner(kernel, work, kernel_address(kernel), lambda name: int(_kernels().KERNELS[name][0]))
