"""Which stages a kernel has around its rule: each is text in the kernel, costs what it does itself, and is not there where nobody asked.

What a stage does is stated in `fastopt.rules.prologue`, before the rule, and in `fastopt.rules.epilogue`, after it.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

__all__ = ["AVERAGE", "COUPLED", "FLUSHING", "PLAIN", "ZEROING", "Stages"]

AVERAGE = "ema"
"""What the moving average of a parameter is called among the states."""


class Stages(NamedTuple):
    """Which there are; a tuple, since it is looked up at each call of a function of `fastopt.functional`.

    Attributes
    ----------
    coupled
        The weight decay goes through the gradient, and not past the rule.
    limited
        Gradients' elements are limited to an interval around 0.
    averaged
        A moving average of the parameter is kept, as one more array.
    flushed
        Denormal numbers that the states would be left with become 0.
    zeroed
        The gradient is left as 0, and so is one more array that a step writes.
    """

    coupled: bool = False
    limited: bool = False
    averaged: bool = False
    flushed: bool = False
    zeroed: bool = False

    @property
    def suffix(self) -> str:
        """What the name of a kernel has behind its rule's."""
        own = "_limit" * self.limited + "_ema" * self.averaged + "_flush" * self.flushed + "_zero" * self.zeroed
        return "_l2" * self.coupled + own

    @property
    def states(self) -> tuple[str, ...]:
        """The arrays that are kept beside those of the rule: each begins as a copy of the parameter, in the compute dtype."""
        return (AVERAGE,) if self.averaged else ()


PLAIN = Stages()
COUPLED = Stages(coupled=True)

FLUSHING = (0.0, 2.0**-126, sys.float_info.min)
"""Scalars: 0, and the smallest normal number of float32 and of float64 (`fastopt.rules.epilogue.smallest_normal` takes one of them)."""

ZEROING = (0.0,)
"""Scalars: what a gradient is left as; the language of rules has no constants."""
