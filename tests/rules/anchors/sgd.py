"""Gradient descent and its momentum forms. All start at p = 1."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

LRS, GRADIENTS = (0.25, 0.5), (2.0, -3.0)

ANCHORS = [
    # 1 - 1/4 * 2 = 1/2;   1/2 - 1/2 * (-3) = 2
    Anchor("sgd", LRS, GRADIENTS, (1.0, 0.5, 2.0)),
    # b = 2 (the first gradient, undampened), p = 1 - 1/4 * 2 = 1/2
    # b = 1/2 * 2 + 3/4 * (-3) = -5/4,        p = 1/2 + 1/2 * 5/4 = 9/8
    Anchor("momentum", LRS, GRADIENTS, (1.0, 0.5, 1.125), {"b": (2.0, -1.25)}, {"momentum": 0.5, "dampening": 0.25}),
    # b = 2,    p = 1 - 1/4 * (2 + 1/2 * 2) = 1/4
    # b = -5/4, p = 1/4 - 1/2 * (-3 + 1/2 * (-5/4)) = 1/4 + 29/16 = 33/16
    Anchor("nesterov", LRS, GRADIENTS, (1.0, 0.25, 2.0625), {"b": (2.0, -1.25)}, {"momentum": 0.5, "dampening": 0.25}),
    # b = -1/4 * 2 = -1/2,                    p = 1 - 1/2 = 1/2
    # b = 1/2 * (-1/2) - 1/2 * (-3) = 5/4,    p = 1/2 + 5/4 = 7/4
    Anchor("velocity", LRS, GRADIENTS, (1.0, 0.5, 1.75), {"b": (-0.5, 1.25)}, {"momentum": 0.5}),
    # b = -1/2, p = 1 + 1/2 * (-1/2) - 1/4 * 2 = 1/4
    # b = 5/4,  p = 1/4 + 1/2 * 5/4 - 1/2 * (-3) = 19/8
    Anchor("nesterov_velocity", LRS, GRADIENTS, (1.0, 0.25, 2.375), {"b": (-0.5, 1.25)}, {"momentum": 0.5}),
    # b = 1/4 * 2 = 1/2,                      p = 1 - 1/4 * 1/2 = 7/8
    # b = 3/4 * 1/2 + 1/4 * (-3) = -3/8,      p = 7/8 + 1/2 * 3/8 = 17/16
    Anchor("averaged_momentum", LRS, GRADIENTS, (1.0, 0.875, 1.0625), {"b": (0.5, -0.375)}, {"momentum": 0.75}),
]
