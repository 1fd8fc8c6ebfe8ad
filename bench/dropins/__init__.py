"""Drop-ins beside the libraries whose interfaces they have: the step alone, and whole work through the interface.

A library is a module of this package, found by being there. It has `LIBRARY`, what has to be importable, and `works(profile)`, what is
measured; both are asked for without the library being imported where it is not installed.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from ..interleave import Contender

__all__ = ["Work", "libraries", "works"]


@dataclass(frozen=True)
class Work:
    """What several contenders do in turns: the drop-in first, then the library.

    `makers` make each of them for a number of threads. `elements` are the parameters that a step is over; the seconds are of a `unit`.
    """

    label: str
    makers: Mapping[str, Callable[[int], Contender]]
    elements: int
    unit: str = "step"


def libraries() -> dict[str, ModuleType]:
    """The modules of the libraries that are installed, by the modules' names."""
    modules = {found.name: import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)}
    return {name: module for name, module in modules.items() if find_spec(module.LIBRARY) is not None}


def works(profile: str) -> dict[str, Work]:
    """All that is measured here, by "library: label"."""
    return {f"{name}: {work.label}": work for name, module in libraries().items() for work in module.works(profile)}
