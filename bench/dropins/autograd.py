"""autograd's `adam` by fastopt's kernels, beside autograd's own: iterations on parameters in a flat array, and in a list of 20 arrays.

The gradient is a function that costs next to nothing, so what is timed is the optimizer and what autograd does to flatten parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "works"]

LIBRARY = "autograd"
MODULES = {"fastopt": "fastopt.interop.autograd", "autograd": "autograd.misc.optimizers"}
PARTS = 20

SIZES = {"smoke": (100,), "quick": (1_000, 100_000), "full": (1_000, 100_000)}
ITERATIONS = {100: 5, 1_000: 50, 100_000: 10}
"""Of one call, by the number of elements."""


def _contender(module: str, n: int, parts: int, threads: int) -> Contender:
    adam = import_module(module).adam
    options: dict[str, Any] = {"num_threads": threads} if module.startswith("fastopt") else {}
    whole = np.random.default_rng(0).standard_normal(n)
    given: Any = whole if parts == 1 else np.split(whole, parts)
    call = partial(adam, lambda x, i: given, given, num_iters=ITERATIONS[n], **options)
    return Contender(call, makes=ITERATIONS[n])


def works(profile: str) -> list[Work]:
    """A work for each number of elements, whole and in parts."""
    found = []
    for n in SIZES[profile]:
        for parts in (1, PARTS):
            makers: dict[str, Callable[[int], Contender]] = {
                name: partial(_contender, module, n, parts) for name, module in MODULES.items()
            }
            found.append(Work(f"Adam, {n:,} parameters in {parts} array{'s' if parts > 1 else ''}", makers, n, "iteration"))
    return found
