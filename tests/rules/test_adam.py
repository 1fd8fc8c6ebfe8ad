"""Adam and AMSGrad, against numbers worked out by hand in the textbook's form. Both start at p = 10."""

from __future__ import annotations

import pytest

from tests.rules.hand_computed import BACKENDS, Anchor

HYPERPARAMETERS = {"betas": (0.75, 0.5), "eps": 0.5, "eps_root": 6.25, "eps_hat": False}
HAT = {**HYPERPARAMETERS, "eps_root": 7.0, "eps_hat": True}

ANCHORS = [
    # step 1: c1 = 1/4, c2 = 1/2;   m = 1/4 * 6 = 3/2, m/c1 = 6;   v = 1/2 * 36 = 18, v/c2 = 36
    #         s(36 + 25/4) = 13/2;  p = 10 - 1/2 * 6 / 7 = 67/7
    # step 2: c1 = 7/16, c2 = 3/4;  m = 3/4 * 3/2 - 1/4 * 9 = -9/8, m/c1 = -18/7;  v = 9 + 81/2 = 99/2, v/c2 = 66
    #         s(66 + 25/4) = 17/2;  p = 67/7 + 1/4 * (18/7) / 9 = 67/7 + 1/14 = 135/14
    Anchor("adam", (0.5, 0.25), (6.0, -9.0), (10.0, 67 / 7, 135 / 14), {"m": (1.5, -1.125), "v": (18.0, 49.5)}, HYPERPARAMETERS),
    # with eps and eps_root uncorrected: p <- p - lr (m / c1) s(c2) / (s(v + 7) + 1/2)
    # step 1: s(18 + 7) = 5;    p = 10 - 1/2 * 6 s(1/2) / (11/2) = 10 - 6/11 s(1/2)
    # step 2: v = 9 + 1/2 * 144 = 81, s(81 + 7) = s(88), m = 9/8 + 1/4 * 12 = 33/8, m/c1 = 66/7, s(3/4) = s(3)/2
    #         p = p - 1/4 * 66/7 * s(3)/2 / (s(88) + 1/2) = p - 33/28 s(3) / (s(88) + 1/2)
    Anchor(
        "adam",
        (0.5, 0.25),
        (6.0, 12.0),
        (10.0, 10 - 6 / 11 * 0.5**0.5, 10 - 6 / 11 * 0.5**0.5 - 33 / 28 * 3**0.5 / (88**0.5 + 0.5)),
        {"m": (1.5, 4.125), "v": (18.0, 81.0)},
        HAT,
    ),
    # the same; then v = 9 + 1/2 * 4 = 11 < v_max = 18, s(18 + 7) = 5, m = 5/8, m/c1 = 10/7
    #         p = p - 1/4 * 10/7 * s(3)/2 / (11/2) = p - 5/154 s(3)
    Anchor(
        "amsgrad",
        (0.5, 0.25),
        (6.0, -2.0),
        (10.0, 10 - 6 / 11 * 0.5**0.5, 10 - 6 / 11 * 0.5**0.5 - 5 / 154 * 3**0.5),
        {"m": (1.5, 0.625), "v": (18.0, 11.0), "v_max": (18.0, 18.0)},
        HAT,
    ),
    # step 1: as adam, v_max = 18
    # step 2: m = 9/8 - 1/4 * 2 = 5/8, m/c1 = 10/7;   v = 9 + 1/2 * 4 = 11 < v_max = 18, v_max/c2 = 24
    #         s(24 + 25/4) = 11/2;  p = 67/7 - 1/4 * (10/7) / 6 = 67/7 - 5/84 = 799/84
    Anchor(
        "amsgrad",
        (0.5, 0.25),
        (6.0, -2.0),
        (10.0, 67 / 7, 799 / 84),
        {"m": (1.5, 0.625), "v": (18.0, 11.0), "v_max": (18.0, 18.0)},
        HYPERPARAMETERS,
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
