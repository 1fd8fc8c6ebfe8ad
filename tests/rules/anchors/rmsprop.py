"""RMSProp in its eight forms. All start at p = 1, with alpha = 3/4; with bias correction c = 1/4, then 7/16.

A form that has a buffer b takes the quotients q = g / (...) of the form that has none, with momentum 1/2.
"""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

LRS = (0.5, 0.25)
MOMENTUM = {"momentum": 0.5}


def _settings(eps: float, inside: bool, initial: float, corrected: bool) -> dict[str, object]:
    names = ("alpha", "eps", "eps_inside_root", "initial_accumulator_value", "bias_correction")
    return dict(zip(names, (0.75, eps, inside, initial, corrected), strict=True))


OUTSIDE, INSIDE = _settings(0.5, False, 4.0, False), _settings(5.0, True, 4.0, False)
OUTSIDE_CORRECTED, INSIDE_CORRECTED = _settings(0.5, False, 4.0, True), _settings(9.0, True, 4.0, True)

PLAIN = [
    # v = 3 + 1/4 * 4 = 4,                  s(4) + 1/2 = 5/2,           p = 1 - 1/2 * 2 / (5/2) = 3/5
    # v = 3 + 1/4 * 1/4 = 49/16,            s(49/16) + 1/2 = 9/4,       p = 3/5 + 1/4 * (1/2) / (9/4) = 59/90
    Anchor("rmsprop", LRS, (2.0, -0.5), (1.0, 0.6, 59 / 90), {"v": (4.0, 49 / 16)}, OUTSIDE),
    # v = 4,                                s(4 + 5) = 3,               q = 2/3,        p = 1 - 1/2 * 2/3 = 2/3
    # v = 3 + 1/4 * 49 = 61/4,              s(61/4 + 5) = 9/2,          q = -14/9,      p = 2/3 + 1/4 * 14/9 = 19/18
    Anchor("rmsprop", LRS, (2.0, -7.0), (1.0, 2 / 3, 19 / 18), {"v": (4.0, 15.25)}, INSIDE),
    # v/c = 16,                             s(16) + 1/2 = 9/2,          q = 4/9,        p = 1 - 1/2 * 4/9 = 7/9
    # v = 3 + 1/4 * 100 = 28, v/c = 64,     s(64) + 1/2 = 17/2,         q = -20/17,     p = 7/9 + 1/4 * 20/17 = 164/153
    Anchor("rmsprop", LRS, (2.0, -10.0), (1.0, 7 / 9, 164 / 153), {"v": (4.0, 28.0)}, OUTSIDE_CORRECTED),
    # v/c = 16,                             s(16 + 9) = 5,              p = 1 - 1/2 * 2/5 = 4/5
    # v = 49/16, v/c = 7,                   s(7 + 9) = 4,               p = 4/5 + 1/4 * (1/2) / 4 = 133/160
    Anchor("rmsprop", LRS, (2.0, -0.5), (1.0, 0.8, 133 / 160), {"v": (4.0, 49 / 16)}, INSIDE_CORRECTED),
    # b = 2/3,                      p = 1 - 1/2 * 2/3 = 2/3
    # b = 1/3 - 14/9 = -11/9,       p = 2/3 + 1/4 * 11/9 = 35/36
    Anchor(
        "rmsprop_momentum",
        LRS,
        (2.0, -7.0),
        (1.0, 2 / 3, 35 / 36),
        {"v": (4.0, 15.25), "b": (2 / 3, -11 / 9)},
        {**INSIDE, **MOMENTUM},
    ),
    # b = 4/9,                      p = 1 - 1/2 * 4/9 = 7/9
    # b = 2/9 - 20/17 = -146/153,   p = 7/9 + 1/4 * 146/153 = 311/306
    Anchor(
        "rmsprop_momentum",
        LRS,
        (2.0, -10.0),
        (1.0, 7 / 9, 311 / 306),
        {"v": (4.0, 28.0), "b": (4 / 9, -146 / 153)},
        {**OUTSIDE_CORRECTED, **MOMENTUM},
    ),
    # the learning rate in the buffer: b = 1/2 * 2/3 = 1/3,         p = 1 - 1/3 = 2/3
    # b = 1/6 - 1/4 * 14/9 = -2/9,                                  p = 2/3 + 2/9 = 8/9
    Anchor(
        "rmsprop_velocity",
        LRS,
        (2.0, -7.0),
        (1.0, 2 / 3, 8 / 9),
        {"v": (4.0, 15.25), "b": (1 / 3, -2 / 9)},
        {**INSIDE, **MOMENTUM},
    ),
    # b = 1/2 * 4/9 = 2/9,                          p = 1 - 2/9 = 7/9
    # b = 1/9 - 1/4 * 20/17 = -28/153,              p = 7/9 + 28/153 = 49/51
    Anchor(
        "rmsprop_velocity",
        LRS,
        (2.0, -10.0),
        (1.0, 7 / 9, 49 / 51),
        {"v": (4.0, 28.0), "b": (2 / 9, -28 / 153)},
        {**OUTSIDE_CORRECTED, **MOMENTUM},
    ),
    # b as in the velocity;  p = 1 - (1/2 * 1/3 + 1/3) = 1/2;       p = 1/2 + 1/2 * 2/9 + 1/4 * 14/9 = 1
    Anchor(
        "rmsprop_nesterov",
        LRS,
        (2.0, -7.0),
        (1.0, 0.5, 1.0),
        {"v": (4.0, 15.25), "b": (1 / 3, -2 / 9)},
        {**INSIDE, **MOMENTUM},
    ),
    # p = 1 - (1/2 * 2/9 + 2/9) = 2/3;              p = 2/3 + 1/2 * 28/153 + 1/4 * 20/17 = 161/153
    Anchor(
        "rmsprop_nesterov",
        LRS,
        (2.0, -10.0),
        (1.0, 2 / 3, 161 / 153),
        {"v": (4.0, 28.0), "b": (2 / 9, -28 / 153)},
        {**OUTSIDE_CORRECTED, **MOMENTUM},
    ),
]

# centered: g = 2, -7/2;    a = 1/4 * 2 = 1/2,  3/8 - 7/8 = -1/2;     a/c = 2,  -8/7
AVERAGES = (0.5, -0.5)
C_INSIDE, C_OUTSIDE = _settings(1.0, True, 3.0, False), _settings(0.5, False, 2.0, False)
C_INSIDE_CORRECTED, C_OUTSIDE_CORRECTED = _settings(7.0, True, 3.0, True), _settings(1.0, False, 3.0, True)
# from 3: v = 9/4 + 1/4 * 4 = 13/4,  39/16 + 1/4 * 49/4 = 11/2
THREE = {"v": (3.25, 5.5), "a": AVERAGES}
# v/c - (a/c)^2 = 13 - 4 = 9,  16/7 * 11/2 - 64/49 = 552/49
#   with eps = 1 outside:  q = 2 / (3 + 1) = 1/2,  -7/2 / (s(552)/7 + 1)
Q = -3.5 / (552**0.5 / 7 + 1)

CENTERED = [
    # s(13/4 - 1/4 + 1) = 2,                q = 1,          p = 1 - 1/2 = 1/2
    # s(11/2 - 1/4 + 1) = 5/2,              q = -7/5,       p = 1/2 + 1/4 * 7/5 = 17/20
    Anchor("rmsprop_centered", LRS, (2.0, -3.5), (1.0, 0.5, 0.85), THREE, C_INSIDE),
    # v = 3/2 + 1 = 5/2,                    s(5/2 - 1/4) + 1/2 = 2,                     p = 1 - 1/2 * 2 / 2 = 1/2
    # v = 15/8 + 1/4 * 49/4 = 79/16,        s(79/16 - 1/4) + 1/2 = 5 s(3)/4 + 1/2,      p = 1/2 + 1/4 * (7/2) / (5 s(3)/4 + 1/2)
    Anchor(
        "rmsprop_centered",
        LRS,
        (2.0, -3.5),
        (1.0, 0.5, 0.5 + 0.875 / (1.25 * 3**0.5 + 0.5)),
        {"v": (2.5, 79 / 16), "a": AVERAGES},
        C_OUTSIDE,
    ),
    # p = 1 - 1/2 * 1/2 = 3/4
    Anchor("rmsprop_centered", LRS, (2.0, -3.5), (1.0, 0.75, 0.75 - Q / 4), THREE, C_OUTSIDE_CORRECTED),
    # s(9 + 7) = 4,                         p = 1 - 1/2 * 2 / 4 = 3/4
    # s(552/49 + 7) = s(895)/7,             p = 3/4 + 1/4 * (7/2) / (s(895)/7) = 3/4 + 49/8 / s(895)
    Anchor("rmsprop_centered", LRS, (2.0, -3.5), (1.0, 0.75, 0.75 + 49 / 8 / 895**0.5), THREE, C_INSIDE_CORRECTED),
    # b = 1,                        p = 1 - 1/2 = 1/2
    # b = 1/2 - 7/5 = -9/10,        p = 1/2 + 1/4 * 9/10 = 29/40
    Anchor(
        "rmsprop_centered_momentum",
        LRS,
        (2.0, -3.5),
        (1.0, 0.5, 29 / 40),
        {**THREE, "b": (1.0, -0.9)},
        {**C_INSIDE, **MOMENTUM},
    ),
    # b = 1/2,  1/4 + q
    Anchor(
        "rmsprop_centered_momentum",
        LRS,
        (2.0, -3.5),
        (1.0, 0.75, 0.75 - (0.25 + Q) / 4),
        {**THREE, "b": (0.5, 0.25 + Q)},
        {**C_OUTSIDE_CORRECTED, **MOMENTUM},
    ),
    # b = 1/2,                              p = 1 - 1/2 = 1/2
    # b = 1/4 - 1/4 * 7/5 = -1/10,          p = 1/2 + 1/10 = 3/5
    Anchor(
        "rmsprop_centered_velocity",
        LRS,
        (2.0, -3.5),
        (1.0, 0.5, 0.6),
        {**THREE, "b": (0.5, -0.1)},
        {**C_INSIDE, **MOMENTUM},
    ),
    # b = 1/4,  1/8 + q/4
    Anchor(
        "rmsprop_centered_velocity",
        LRS,
        (2.0, -3.5),
        (1.0, 0.75, 0.625 - Q / 4),
        {**THREE, "b": (0.25, 0.125 + Q / 4)},
        {**C_OUTSIDE_CORRECTED, **MOMENTUM},
    ),
    # b as in the velocity;  p = 1 - (1/2 * 1/2 + 1/2) = 1/4;       p = 1/4 + 1/2 * 1/10 + 1/4 * 7/5 = 13/20
    Anchor(
        "rmsprop_centered_nesterov",
        LRS,
        (2.0, -3.5),
        (1.0, 0.25, 0.65),
        {**THREE, "b": (0.5, -0.1)},
        {**C_INSIDE, **MOMENTUM},
    ),
    # p = 1 - (1/2 * 1/4 + 1/4) = 5/8;      p = 5/8 - (1/16 + q/8 + q/4) = 9/16 - 3/8 q
    Anchor(
        "rmsprop_centered_nesterov",
        LRS,
        (2.0, -3.5),
        (1.0, 0.625, 9 / 16 - 3 / 8 * Q),
        {**THREE, "b": (0.25, 0.125 + Q / 4)},
        {**C_OUTSIDE_CORRECTED, **MOMENTUM},
    ),
]

ANCHORS = [*PLAIN, *CENTERED]
