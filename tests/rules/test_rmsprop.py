"""RMSProp in its six forms, against numbers worked out by hand. All start at p = 1."""

from __future__ import annotations

import pytest

from tests.rules.hand_computed import BACKENDS, Anchor

LRS = (0.5, 0.25)
OUTSIDE = {"alpha": 0.75, "eps": 0.5, "eps_inside_root": False}
INSIDE = {"alpha": 0.75, "eps": 4.0, "eps_inside_root": True}
CENTERED = {"alpha": 0.75, "eps": 1.5, "eps_inside_root": True}

ANCHORS = [
    # v = 1/4 * 9 = 9/4,                        s(9/4) + 1/2 = 2,      p = 1 - 1/2 * 3 / 2 = 1/4
    # v = 3/4 * 9/4 + 1/4 * 225/4 = 63/4,       s(63/4) + 1/2 = 3 s(7)/2 + 1/2,  p = 1/4 - 1/4 * (15/2) / (3 s(7)/2 + 1/2)
    Anchor("rmsprop", LRS, (3.0, 7.5), (1.0, 0.25, 0.25 - 15 / 8 / (1.5 * 7**0.5 + 0.5)), {"v": (2.25, 15.75)}, OUTSIDE),
    # v = 1/4 * 9 = 9/4,                        s(9/4 + 4) = 5/2,      p = 1 - 1/2 * 3 / (5/2) = 2/5
    # v = 3/4 * 9/4 + 1/4 * 45^2/4 = 513/4,     s(513/4 + 4) = 23/2,   p = 2/5 + 1/4 * (45/2) / (23/2) = 2/5 + 45/92
    Anchor("rmsprop", LRS, (3.0, -22.5), (1.0, 0.4, 0.4 + 45 / 92), {"v": (2.25, 128.25)}, INSIDE),
    # v = 1/4 * 4 = 1,  a = 1/4 * 2 = 1/2,      s(1 - 1/4 + 3/2) = 3/2,  p = 1 - 1/2 * 2 / (3/2) = 1/3
    # v = 3/4 + 1/4 * 49/4 = 61/16,  a = 3/4 * 1/2 + 1/4 * (-7/2) = -1/2
    # s(61/16 - 1/4 + 3/2) = s(81/16) = 9/4,    p = 1/3 + 1/4 * (7/2) / (9/4) = 1/3 + 7/18 = 13/18
    Anchor("rmsprop_centered", LRS, (2.0, -3.5), (1.0, 1 / 3, 13 / 18), {"v": (1.0, 3.8125), "a": (0.5, -0.5)}, CENTERED),
    # v, a as in the last;                      s(1 - 1/4) + 1/2,        p = 1 - 1 / (s(3)/2 + 1/2)
    # s(61/16 - 1/4) + 1/2 = s(57)/4 + 1/2,     p = p + 7/8 / (s(57)/4 + 1/2)
    Anchor(
        "rmsprop_centered",
        LRS,
        (2.0, -3.5),
        (1.0, 1 - 1 / (3**0.5 / 2 + 0.5), 1 - 1 / (3**0.5 / 2 + 0.5) + 0.875 / (57**0.5 / 4 + 0.5)),
        {"v": (1.0, 3.8125), "a": (0.5, -0.5)},
        OUTSIDE,
    ),
    # v as in rmsprop, inside;  b = 3 / (5/2) = 6/5,     p = 1 - 1/2 * 6/5 = 2/5
    # b = 1/2 * 6/5 - (45/2) / (23/2) = 3/5 - 45/23 = -156/115,  p = 2/5 + 1/4 * 156/115 = 17/23
    Anchor(
        "rmsprop_momentum",
        LRS,
        (3.0, -22.5),
        (1.0, 0.4, 17 / 23),
        {"v": (2.25, 128.25), "b": (1.2, -156 / 115)},
        {**INSIDE, "momentum": 0.5},
    ),
    # v, a as in rmsprop_centered;  b = 2 / (3/2) = 4/3,     p = 1 - 1/2 * 4/3 = 1/3
    # b = 1/2 * 4/3 - (7/2) / (9/4) = 2/3 - 14/9 = -8/9,     p = 1/3 + 1/4 * 8/9 = 5/9
    Anchor(
        "rmsprop_centered_momentum",
        LRS,
        (2.0, -3.5),
        (1.0, 1 / 3, 5 / 9),
        {"v": (1.0, 3.8125), "a": (0.5, -0.5), "b": (4 / 3, -8 / 9)},
        {**CENTERED, "momentum": 0.5},
    ),
    # the learning rate in the buffer: b = 1/2 * 3 / (5/2) = 3/5,                    p = 1 - 3/5 = 2/5
    # b = 1/2 * 3/5 - 1/4 * (45/2) / (23/2) = 3/10 - 45/92 = -87/460,                p = 2/5 + 87/460 = 271/460
    Anchor(
        "rmsprop_velocity",
        LRS,
        (3.0, -22.5),
        (1.0, 0.4, 271 / 460),
        {"v": (2.25, 128.25), "b": (0.6, -87 / 460)},
        {**INSIDE, "momentum": 0.5},
    ),
    # b = 1/2 * 2 / (3/2) = 2/3,  p = 1 - 2/3 = 1/3;   b = 1/3 - 1/4 * (7/2) / (9/4) = 1/3 - 7/18 = -1/18,  p = 1/3 + 1/18 = 7/18
    Anchor(
        "rmsprop_centered_velocity",
        LRS,
        (2.0, -3.5),
        (1.0, 1 / 3, 7 / 18),
        {"v": (1.0, 3.8125), "a": (0.5, -0.5), "b": (2 / 3, -1 / 18)},
        {**CENTERED, "momentum": 0.5},
    ),
]


@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_anchor_is_worth_its_name(anchor: Anchor) -> None:
    anchor.is_worth_its_name()


@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_scalar_function_of_floats(anchor: Anchor) -> None:
    anchor.holds_for_floats()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("anchor", ANCHORS, ids=str)
def test_in_every_backend(anchor: Anchor, backend: str) -> None:
    anchor.holds_for(backend)
