"""Arrays that see to it that every operation on them is one in float32.

An operation in float64 whose result is rounded back would not show in the dtypes of the results.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Watched(np.ndarray):
    """An array that raises AssertionError where a universal function computes in anything but float32, comparisons aside."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple[Any, ...] = (), **kwargs: Any) -> Any:
        plain = [a.view(np.ndarray) if isinstance(a, Watched) else a for a in inputs]
        if out:
            kwargs["out"] = tuple(a.view(np.ndarray) if isinstance(a, Watched) else a for a in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        assert result.dtype in (np.float32, np.bool_), f"{ufunc.__name__} computed in {result.dtype}"
        return result.view(Watched) if isinstance(result, np.ndarray) else result
