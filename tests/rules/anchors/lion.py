"""Lion. It starts at p = 1; at the third step the interpolation is 0, and so is its sign."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

ANCHORS = [
    # sign(1/4 * 2) = 1,                      p = 1 - 1/4 = 3/4,       m = 1/2 * 2 = 1
    # sign(3/4 * 1 - 1/4 * 2) = 1,            p = 3/4 - 1/2 = 1/4,     m = 1/2 - 1/2 * 2 = -1/2
    # sign(-3/4 * 1/2 + 1/4 * 3/2) = 0,       p = 1/4,                 m = -1/4 + 1/2 * 3/2 = 1/2
    # sign(3/4 * 1/2 - 1/4 * 4) = -1,         p = 1/4 + 1/2 = 3/4,     m = 1/4 - 1/2 * 4 = -7/4
    Anchor(
        "lion",
        (0.25, 0.5, 1.0, 0.5),
        (2.0, -2.0, 1.5, -4.0),
        (1.0, 0.75, 0.25, 0.25, 0.75),
        {"m": (1.0, -0.5, 0.5, -1.75)},
        {"betas": (0.75, 0.5)},
    )
]
