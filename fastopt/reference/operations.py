"""Operations of the language of rules that NumPy does not spell, or spells otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "maximum", "minimum", "zero"]

Array = NDArray[Any]


def maximum(a: Any, b: Any) -> Any:
    """The larger one, b where they compare equal: np.maximum leaves it to the CPU which zero it returns for (+0, -0)."""
    return np.where((a > b) | np.isnan(a), a, b)


def minimum(a: Any, b: Any) -> Any:
    return np.where((a < b) | np.isnan(a), a, b)


def zero(like: Array) -> Any:
    """0 in the dtype of an array, which a Python float would change under np.where."""
    return like.dtype.type(0.0)
