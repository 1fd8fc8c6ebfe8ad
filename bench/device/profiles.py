"""What is measured, and how long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arrays import gpt2_shapes
from ..sources import Shape

__all__ = ["FRESH", "PROFILES", "Profile", "row_label"]

FRESH = ", fresh gradients"
"""How the label of a row ends whose gradients lie elsewhere at every step."""


@dataclass(frozen=True)
class Profile:
    """Sizes, and seconds of timing."""

    sizes: dict[str, tuple[int, ...]]
    """Parameters in one tensor, by dtype: every rule."""

    rows: dict[str, list[Shape]]
    """Adam in float32 beside the others, by label; lists of tensors also with fresh gradients."""

    launch: int
    """Parameters where the cost of a call is measured."""

    block: float
    """Seconds of a block at the most; 0 makes it one step."""

    per_cell: float
    """Seconds of timing a rule and size."""

    per_row: float
    """Seconds of timing a row beside the others."""


def row_label(size: int) -> str:
    """The label of a row of one tensor."""
    return f"1 x {size:,}"


def _ones(*sizes: int) -> dict[str, list[Shape]]:
    return {row_label(size): [size] for size in sizes}


_POWERS = tuple(10**k for k in range(3, 10))
_LISTS: dict[str, list[Shape]] = {"1,000 x 1,000": [1_000] * 1_000, "GPT-2 small": [*gpt2_shapes(1)]}
_ROWS = _ones(10**3, 10**5, 10**6, 10**7, 10**8, 10**9) | _LISTS

PROFILES = {
    "smoke": Profile({"float32": (100, 400), "float64": (100,)}, _ones(100) | {"3 x 10": [10] * 3}, 100, 0.0, 0.0, 0.0),
    "quick": Profile({"float32": _POWERS, "float64": (10**5, 10**7, 10**8)}, _ROWS, 1_000, math.inf, 0.25, 1.5),
    "full": Profile({"float32": _POWERS, "float64": _POWERS}, _ROWS, 1_000, math.inf, 1.0, 6.0),
}
