"""The sum of what blocks of gradients were summed up to: in compiled code where it was built, else as NumPy does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastopt import global_norm
from fastopt.host import launched

__all__ = ["total"]


def total(sums: NDArray[np.float64]) -> float:
    """The sum of values >= 0, by blocks of 256 until one is left; they may be overwritten."""
    launcher = launched.launcher()
    if launcher is not None:
        return float(launcher.fold(sums))
    with np.errstate(all="ignore"):
        return global_norm.total(sums)
