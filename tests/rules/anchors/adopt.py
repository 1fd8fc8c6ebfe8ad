"""ADOPT, with and without clipping and Nesterov's look ahead. It starts at p = 10; its first step makes v = g^2, and nothing else.

Each quotient is g over the larger of s(v before) and eps, clipped to (t - 1)^2: to 1 at the second step, to 4 at the third.
"""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

LRS = (0.25, 0.5, 0.25)
CLIPPED = {"betas": (0.75, 0.5), "eps": 2.0, "clipping": True, "clip_exponent": 2.0}
AS_IT_IS = {**CLIPPED, "clipping": False}

ANCHORS = [
    # step 2: 7 / max(1, 2) = 7/2 -> 1,     m = 1/4,                  p = 10 - 1/2 * 1/4 = 79/8,            v = 1/2 + 49/2 = 25
    # step 3: -15 / max(5, 2) = -3,         m = 3/16 - 3/4 = -9/16,   p = 79/8 + 1/4 * 9/16 = 641/64,       v = 25/2 + 225/2 = 125
    Anchor(
        "adopt",
        LRS,
        (1.0, 7.0, -15.0),
        (10.0, 10.0, 79 / 8, 641 / 64),
        {"m": (0.0, 0.25, -0.5625), "v": (1.0, 25.0, 125.0)},
        CLIPPED,
    ),
    # step 2: 7/2,                          m = 7/8,                  p = 10 - 1/2 * 7/8 = 153/16,          v as before
    # step 3: -3,                           m = 21/32 - 3/4 = -3/32,  p = 153/16 + 1/4 * 3/32 = 1227/128
    Anchor(
        "adopt",
        LRS,
        (1.0, 7.0, -15.0),
        (10.0, 10.0, 153 / 16, 1227 / 128),
        {"m": (0.0, 0.875, -3 / 32), "v": (1.0, 25.0, 125.0)},
        AS_IT_IS,
    ),
    # step 2: 7/2 -> 1,                     m = 1/4,                  3/4 * 1/4 + 1/4 = 7/16
    #                                                                 p = 10 - 1/2 * 7/16 = 313/32,         v = 25
    # step 3: -30 / 5 = -6 -> -4,           m = 3/16 - 1 = -13/16,    -3/4 * 13/16 - 1 = -103/64
    #                                                                 p = 313/32 + 1/4 * 103/64 = 2607/256, v = 25/2 + 450 = 925/2
    Anchor(
        "nesterov_adopt",
        LRS,
        (1.0, 7.0, -30.0),
        (10.0, 10.0, 313 / 32, 2607 / 256),
        {"m": (0.0, 0.25, -0.8125), "v": (1.0, 25.0, 462.5)},
        CLIPPED,
    ),
    # step 2: 7/2,                          m = 7/8,                  3/4 * 7/8 + 7/8 = 49/32
    #                                                                 p = 10 - 1/2 * 49/32 = 591/64,        v = 25
    # step 3: -6,                           m = 21/32 - 3/2 = -27/32, -3/4 * 27/32 - 3/2 = -273/128
    #                                                                 p = 591/64 + 1/4 * 273/128 = 5001/512
    Anchor(
        "nesterov_adopt",
        LRS,
        (1.0, 7.0, -30.0),
        (10.0, 10.0, 591 / 64, 5001 / 512),
        {"m": (0.0, 0.875, -27 / 32), "v": (1.0, 25.0, 462.5)},
        AS_IT_IS,
    ),
]
