"""SignSGD and Signum. Both start at p = 1; at the third step they look at a 0, whose sign is 0."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

LRS = (0.25, 0.5, 1.0)

ANCHORS = [
    # p = 1 - 1/4 = 3/4;   p = 3/4 + 1/2 = 5/4;   p = 5/4
    Anchor("signsgd", LRS, (2.0, -3.0, 0.0), (1.0, 0.75, 1.25, 1.25)),
    # m = 1/4 * 2 = 1/2,                      p = 1 - 1/4 = 3/4
    # m = 3/4 * 1/2 - 1/4 = 1/8,              p = 3/4 - 1/2 = 1/4
    # m = 3/4 * 1/8 - 1/4 * 3/8 = 0,          p = 1/4
    Anchor("signum", LRS, (2.0, -1.0, -0.375), (1.0, 0.75, 0.25, 0.25), {"m": (0.5, 0.125, 0.0)}, {"momentum": 0.75}),
]
