"""AdaMax, with eps in the maximum (torch, optax) and beside it (Keras). It starts at p = 10."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

HYPERPARAMETERS = {"betas": (0.75, 0.5), "eps": 2.0}

ANCHORS = [
    # step 1: c1 = 1/4;   m = -1/4 * 6 = -3/2, m/c1 = -6;             u = max(0, 6 + 2) = 8
    #         p = 10 + 1/2 * 6 / 8 = 83/8
    # step 2: c1 = 7/16;  m = -9/8 + 1/4 = -7/8, m/c1 = -2;           u = max(1/2 * 8, 1 + 2) = 4
    #         p = 83/8 + 1/4 * 2 / 4 = 21/2
    Anchor(
        "adamax",
        (0.5, 0.25),
        (-6.0, 1.0),
        (10.0, 83 / 8, 10.5),
        {"m": (-1.5, -0.875), "u": (8.0, 4.0)},
        {**HYPERPARAMETERS, "eps_outside": False},
    ),
    # m as before;  u = max(0, 6) = 6,        p = 10 + 1/2 * 6 / (6 + 2) = 83/8
    #               u = max(1/2 * 6, 1) = 3,  p = 83/8 + 1/4 * 2 / (3 + 2) = 419/40
    Anchor(
        "adamax",
        (0.5, 0.25),
        (-6.0, 1.0),
        (10.0, 83 / 8, 419 / 40),
        {"m": (-1.5, -0.875), "u": (6.0, 3.0)},
        {**HYPERPARAMETERS, "eps_outside": True},
    ),
]
