"""What happens to the results of any rule before they are stored, written once for all rules.

Scalar functions in the language of rules, of one result each. A kernel has them only where somebody asked for them.
"""

from __future__ import annotations

from fastopt.rules.language import absolute

__all__ = ["averaged", "flushed", "smallest_normal", "zeroed"]


def averaged(ema: float, new_p: float, ema_decay: float, ema_rest: float) -> float:
    """The moving average of the parameter after a step; `ema_rest` is 1 - ema_decay."""
    return ema_decay * ema + ema_rest * new_p


def smallest_normal(flush_zero: float, smallest_single: float, smallest_double: float) -> float:
    """That of the compute dtype. Scalars are rounded to it once, and in float32 the smallest one of float64 is 0."""
    return smallest_double if smallest_double > flush_zero else smallest_single


def flushed(x: float, flush_zero: float, smallest_normal: float) -> float:
    """A denormal number, and a zero of either sign, as +0; all else, NaN too, as it is."""
    return flush_zero if absolute(x) < smallest_normal else x


def zeroed(zero_gradient: float) -> float:
    """What the gradient is left as, for the next one to be added to: +0, whatever it was."""
    return zero_gradient
