"""AdaGrad. It starts at p = 1."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

OUTSIDE = {"lr_decay": 1.0, "initial_accumulator_value": 7.0, "eps": 0.5, "eps_inside_root": False}

ANCHORS = [
    # h = 7 + 9 = 16,   s(16) + 1/2 = 9/2,       p = 1 - 1/2 * 3 / (9/2) = 2/3
    # h = 16 + 9 = 25,  lr = 1/2 / (1 + 1) = 1/4
    #                   s(25) + 1/2 = 11/2,      p = 2/3 - 1/4 * 3 / (11/2) = 2/3 - 3/22 = 35/66
    Anchor("adagrad", (0.5, 0.5), (3.0, 3.0), (1.0, 2 / 3, 35 / 66), {"h": (16.0, 25.0)}, OUTSIDE),
    # h = 3 + 9 = 12,   s(12 + 4) = 4,           p = 1 - 1/2 * 3 / 4 = 5/8
    # h = 12 + 20.25 = 129/4, s(129/4 + 4) = s(145)/2, lr = 3/2 / (1 + 1/2) = 1:   p = 5/8 + 9/2 / (s(145)/2) = 5/8 + 9 / s(145)
    Anchor(
        "adagrad",
        (0.5, 1.5),
        (3.0, -4.5),
        (1.0, 0.625, 0.625 + 9 / 145**0.5),
        {"h": (12.0, 32.25)},
        {"lr_decay": 0.5, "initial_accumulator_value": 3.0, "eps": 4.0, "eps_inside_root": True},
    ),
]
