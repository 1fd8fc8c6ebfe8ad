"""NAdam, whose momentum grows (torch, Keras) or is beta1 from the start (optax). It starts at p = 10.

With betas (1/2, 3/4) and g = 6, -6:    m = 1/2 * 6 = 3,  3/2 - 3 = -3/2
    v = 1/4 * 36 = 9,  27/4 + 9 = 63/4;       v/c2 = 36,  16/7 * 63/4 = 36;       s(36 + 25/4) + 1/2 = 7
"""

from __future__ import annotations

import math

from tests.rules.hand_computed import Anchor

STATES = {"m": (3.0, -1.5), "v": (9.0, 15.75)}
BESIDE = {"betas": (0.5, 0.75), "eps": 0.5, "eps_root": 6.25}

# 0.96^t = 0.96, 0.9216, 0.884736: mu_1 = 1/2 (1 - 0.48) = 0.26, mu_2 = 1/2 (1 - 0.4608) = 0.2696, mu_3 = 1/2 (1 - 0.442368) = 0.278816
# M_1 = 0.26, M_2 = 0.26 * 0.2696 = 0.070096
# step 1: p = 10 - 1/2 (0.74 / 0.74 * 6 + 0.2696 / (1 - 0.26 * 0.2696) * 3) / 7
# step 2: p = p - 1/4 (0.7304 / (1 - 0.070096) * (-6) + 0.278816 / (1 - 0.070096 * 0.278816) * (-3/2)) / 7
FIRST = 10 - 0.5 * (6 + 0.2696 / (1 - 0.070096) * 3) / 7
SECOND = FIRST - 0.25 * (0.7304 / (1 - 0.070096) * -6 + 0.278816 / (1 - 0.070096 * 0.278816) * -1.5) / 7

ANCHORS = [
    Anchor("nadam", (0.5, 0.25), (6.0, -6.0), (10.0, FIRST, SECOND), STATES, {**BESIDE, "momentum_decay": 1.0}),
    # mu_t = 1/2, M_t = 1/2^t
    # step 1: (1/2) / (1/2) * 6 + (1/2) / (3/4) * 3 = 8,              p = 10 - 1/2 * 8 / 7 = 66/7
    # step 2: -(1/2) / (3/4) * 6 - (1/2) / (7/8) * 3/2 = -34/7,       p = 66/7 + 1/4 * (34/7) / 7 = 941/98
    Anchor("nadam", (0.5, 0.25), (6.0, -6.0), (10.0, 66 / 7, 941 / 98), STATES, {**BESIDE, "momentum_decay": math.inf}),
]
