"""AdaDelta. It starts at x = 10; RMS[x] is the root of a mean square and eps, both running with rho = 5/8."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

ANCHORS = [
    # E[g^2] = 3/8 * 64 = 24,                   RMS[g] = s(24 + 1) = 5,       RMS[dx] = s(0 + 1) = 1
    # dx = -1/5 * 8 = -8/5,                     E[dx^2] = 3/8 * 64/25 = 24/25,                      x = 10 - 1/2 * 8/5 = 46/5
    # E[g^2] = 15 + 3/8 * 1024 = 399,           RMS[g] = s(399 + 1) = 20,     RMS[dx] = s(24/25 + 1) = 7/5
    # dx = (7/5) / 20 * 32 = 56/25,             E[dx^2] = 3/5 + 3/8 * 3136/625 = 1551/625,          x = 46/5 + 1/4 * 56/25 = 244/25
    Anchor(
        "adadelta",
        (0.5, 0.25),
        (8.0, -32.0),
        (10.0, 9.2, 9.76),
        {"v": (24.0, 399.0), "u": (0.96, 1551 / 625)},
        {"rho": 0.625, "eps": 1.0},
    )
]
