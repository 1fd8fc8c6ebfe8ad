"""RAdam and its form that looks ahead, with eps before and after the second moment's bias correction. All start at p = 20.

The second moment rests on less than t gradients, and is used where these are more than 9/2: at the fifth step, with beta2 = 15/16.

    r_inf = 31,     r_5 = 31 - 10 (15/16)^5 / c2 = 31 - 7593750/289201 = 1371481/289201 = 4.74...,      c2 = 289201/1048576
    R^2 = (214677/289201) (793079/289201) 31 / (27 * 29 * 1371481/289201)
    v = 1/16 * 256 = 16 at the first step, and stays 15/16 * 16 + 1/16 * 16
"""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

LRS, GRADIENTS = (0.25, 0.5, 0.25, 0.5, 0.25), (16.0, -4.0, 4.0, -4.0, 4.0)
STATES = {"m": (8.0, 2.0, 3.0, -0.5, 1.75), "v": (16.0,) * 5}
BESIDE = {"betas": (0.5, 15 / 16), "eps": 1.0, "eps_root": 9.0, "threshold": 4.5}

C2 = 289201 / 1048576
R = (214677 * 793079 * 31 / (289201 * 27 * 29 * 1371481)) ** 0.5
HAT = C2**0.5 / 6  # s(c2) / (s(16 + 9) + 1)
CORRECTED = 1 / ((16 / C2 + 9) ** 0.5 + 1)

# m = 1/2 * 16 = 8,  4 - 2 = 2,  1 + 2 = 3,  3/2 - 2 = -1/2,  -1/4 + 2 = 7/4
# m/c1 = 16,  4/3 * 2 = 8/3,  8/7 * 3 = 24/7,  -16/15 * 1/2 = -8/15,  32/31 * 7/4 = 56/31
# p = 20 - 4 = 16,  16 - 4/3 = 44/3,  44/3 - 6/7 = 290/21,  290/21 + 4/15 = 1478/105
PLAIN = (20.0, 16.0, 44 / 3, 290 / 21, 1478 / 105)

# 1/2 m / (1 - 1/2^(t + 1)) + 1/2 g/c1 = 16/3 + 16,  8/7 - 8/3 = -32/21,  8/5 + 16/7 = 136/35,  -8/31 - 32/15 = -1112/465
#                                        8/9 + 64/31 = 824/279
# p = 20 - 16/3 = 44/3,  44/3 + 16/21 = 108/7,  108/7 - 34/35 = 506/35,  506/35 + 556/465 = 10190/651
AHEAD = (20.0, 44 / 3, 108 / 7, 506 / 35, 10190 / 651)

ANCHORS = [
    Anchor("radam", LRS, GRADIENTS, (*PLAIN, PLAIN[4] - 14 / 31 * R * HAT), STATES, {**BESIDE, "eps_hat": True}),
    Anchor("radam", LRS, GRADIENTS, (*PLAIN, PLAIN[4] - 14 / 31 * R * CORRECTED), STATES, {**BESIDE, "eps_hat": False}),
    Anchor("nesterov_radam", LRS, GRADIENTS, (*AHEAD, AHEAD[4] - 206 / 279 * R * HAT), STATES, {**BESIDE, "eps_hat": True}),
    Anchor("nesterov_radam", LRS, GRADIENTS, (*AHEAD, AHEAD[4] - 206 / 279 * R * CORRECTED), STATES, {**BESIDE, "eps_hat": False}),
]
