"""RMSProp in its four variants, against numbers worked out by hand. All start at p = 1."""

from __future__ import annotations

import pytest

from tests.rules.hand_computed import BACKENDS, Anchor

LRS = (0.5, 0.25)
PLAIN = {"alpha": 0.75, "eps": 0.5, "eps_root": 4.0}
CENTERED = {"alpha": 0.75, "eps": 0.5, "eps_root": 1.5}

ANCHORS = [
    # v = 1/4 * 9 = 9/4,                        s(9/4 + 4) = 5/2,      p = 1 - 1/2 * 3 / 3 = 1/2
    # v = 3/4 * 9/4 + 1/4 * 45^2/4 = 513/4,     s(513/4 + 4) = 23/2,   p = 1/2 + 1/4 * (45/2) / 12 = 31/32
    Anchor("rmsprop", LRS, (3.0, -22.5), (1.0, 0.5, 0.96875), {"v": (2.25, 128.25)}, PLAIN),
    # v = 1/4 * 4 = 1,  a = 1/4 * 2 = 1/2,      s(1 - 1/4 + 3/2) = 3/2,  p = 1 - 1/2 * 2 / 2 = 1/2
    # v = 3/4 + 1/4 * 49/4 = 61/16,  a = 3/4 * 1/2 + 1/4 * (-7/2) = -1/2
    # s(61/16 - 1/4 + 3/2) = s(81/16) = 9/4,    p = 1/2 + 1/4 * (7/2) / (11/4) = 1/2 + 7/22 = 9/11
    Anchor("rmsprop_centered", LRS, (2.0, -3.5), (1.0, 0.5, 9 / 11), {"v": (1.0, 3.8125), "a": (0.5, -0.5)}, CENTERED),
    # v as in rmsprop;  b = 3 / 3 = 1,          p = 1 - 1/2 * 1 = 1/2
    # b = 1/2 * 1 - (45/2) / 12 = -11/8,        p = 1/2 + 1/4 * 11/8 = 27/32
    Anchor(
        "rmsprop_momentum", LRS, (3.0, -22.5), (1.0, 0.5, 0.84375), {"v": (2.25, 128.25), "b": (1.0, -1.375)}, {**PLAIN, "momentum": 0.5}
    ),
    # v, a as in rmsprop_centered;  b = 2 / 2 = 1,      p = 1 - 1/2 = 1/2
    # b = 1/2 - (7/2) / (11/4) = 1/2 - 14/11 = -17/22,  p = 1/2 + 1/4 * 17/22 = 61/88
    Anchor(
        "rmsprop_centered_momentum",
        LRS,
        (2.0, -3.5),
        (1.0, 0.5, 61 / 88),
        {"v": (1.0, 3.8125), "a": (0.5, -0.5), "b": (1.0, -17 / 22)},
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
