"""What is looked at before each step, in compiled code (`fastopt.interop.torch._look`) or, where that was not built, in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import is_
from typing import Any

try:
    from fastopt.interop.torch._look import HostGatherer, gradients, same, unchanged
except ImportError:  # no compiler at hand when fastopt was installed
    HostGatherer = None

    def gradients(params: list[Any]) -> list[Any]:
        """The `grad` of each tensor."""
        return [p.grad for p in params]

    def same(parts: Sequence[list[Any]], together: list[Any]) -> bool:
        """Whether some lists, one behind the other, have the very objects of another one."""
        return sum(map(len, parts)) == len(together) and all(map(is_, chain.from_iterable(parts), together))

    def unchanged(state: Mapping[Any, Any], held: list[Any]) -> bool:
        """Whether the values of a dictionary's dictionaries are the very objects of a list, in order."""
        try:
            there = list(chain.from_iterable(map(dict.values, state.values())))
        except TypeError:  # one is no dictionary
            return False
        return len(there) == len(held) and all(map(is_, there, held))


__all__ = ["HostGatherer", "gradients", "same", "unchanged"]
