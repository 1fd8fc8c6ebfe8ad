"""Adam, AMSGrad and cautious Adam, in the textbook's form. All start at p = 10."""

from __future__ import annotations

from tests.rules.hand_computed import Anchor

HYPERPARAMETERS = {"betas": (0.75, 0.5), "eps": 0.5, "eps_root": 6.25, "eps_hat": False, "bias_correction": (True, True)}
HAT = {**HYPERPARAMETERS, "eps_root": 7.0, "eps_hat": True}
OF_MEAN = {**HYPERPARAMETERS, "eps_root": 7.0, "bias_correction": (True, False)}
OF_SQUARE = {**HYPERPARAMETERS, "bias_correction": (False, True)}
HAT_OF_SQUARE = {**HAT, "bias_correction": (False, True)}
UNCORRECTED = {**HAT, "bias_correction": (False, False)}
AFTER, BEFORE = {"corrected_max": False}, {"corrected_max": True}

LRS = (0.5, 0.25)

# the first step of all: g = 6, c1 = 1/4, c2 = 1/2;   m = 1/4 * 6 = 3/2, m/c1 = 6;   v = 1/2 * 36 = 18, v/c2 = 36
#   with both corrections:  s(36 + 25/4) + 1/2 = 7,           p = 10 - 1/2 * 6 / 7 = 67/7
#   of the mean alone:      s(18 + 7) + 1/2 = 11/2,           p = 10 - 1/2 * 6 / (11/2) = 104/11
#   of the square alone:                                      p = 10 - 1/2 * (3/2) / 7 = 277/28
#   with neither:                                             p = 10 - 1/2 * (3/2) / (11/2) = 217/22
#   with eps and eps_root uncorrected, p - lr (m/c1) s(c2) / (s(v + 7) + 1/2):  p = 10 - 6/11 s(1/2)
#   ... and the mean too:                                     p = 10 - 3/22 s(1/2)
FIRST_HAT = 10 - 6 / 11 * 0.5**0.5
FIRST_HAT_OF_SQUARE = 10 - 3 / 22 * 0.5**0.5
# the second: c1 = 7/16, c2 = 3/4, m before = 9/8, v before = 9

ADAM = [
    # m = 9/8 - 1/4 * 9 = -9/8, m/c1 = -18/7;     v = 9 + 81/2 = 99/2, v/c2 = 66;       s(66 + 25/4) + 1/2 = 9
    # p = 67/7 + 1/4 * (18/7) / 9 = 135/14
    Anchor("adam", LRS, (6.0, -9.0), (10.0, 67 / 7, 135 / 14), {"m": (1.5, -1.125), "v": (18.0, 49.5)}, HYPERPARAMETERS),
    # v = 9 + 1/2 * 144 = 81, s(81 + 7) = s(88);  m = 9/8 + 1/4 * 12 = 33/8, m/c1 = 66/7;       s(3/4) = s(3)/2
    # p = p - 1/4 * 66/7 * s(3)/2 / (s(88) + 1/2) = p - 33/28 s(3) / (s(88) + 1/2)
    Anchor(
        "adam",
        LRS,
        (6.0, 12.0),
        (10.0, FIRST_HAT, FIRST_HAT - 33 / 28 * 3**0.5 / (88**0.5 + 0.5)),
        {"m": (1.5, 4.125), "v": (18.0, 81.0)},
        HAT,
    ),
    # m = -9/8;   s(66 + 25/4) + 1/2 = 9;         p = 277/28 + 1/4 * (9/8) / 9 = 2223/224
    Anchor("adam", LRS, (6.0, -9.0), (10.0, 277 / 28, 2223 / 224), {"m": (1.5, -1.125), "v": (18.0, 49.5)}, OF_SQUARE),
    # m = 9/8 - 1/4 * 16 = -23/8, m/c1 = -46/7;   v = 9 + 1/2 * 256 = 137, s(137 + 7) + 1/2 = 25/2
    # p = 104/11 + 1/4 * (46/7) / (25/2) = 104/11 + 23/175
    Anchor("adam", LRS, (6.0, -16.0), (10.0, 104 / 11, 104 / 11 + 23 / 175), {"m": (1.5, -2.875), "v": (18.0, 137.0)}, OF_MEAN),
    # the same without 1/c1:  p = 217/22 + 1/4 * (23/8) / (25/2) = 217/22 + 23/400
    Anchor("adam", LRS, (6.0, -16.0), (10.0, 217 / 22, 217 / 22 + 23 / 400), {"m": (1.5, -2.875), "v": (18.0, 137.0)}, UNCORRECTED),
]

AMSGRAD = [
    # in all but one g = -2: m = 9/8 - 1/2 = 5/8, m/c1 = 10/7;    v = 9 + 1/2 * 4 = 11 < v_max = 18
    # v_max/c2 = 24, s(24 + 25/4) + 1/2 = 6;      p = 67/7 - 1/4 * (10/7) / 6 = 67/7 - 5/84 = 799/84
    Anchor(
        "amsgrad",
        LRS,
        (6.0, -2.0),
        (10.0, 67 / 7, 799 / 84),
        {"m": (1.5, 0.625), "v": (18.0, 11.0), "v_max": (18.0, 18.0)},
        {**HYPERPARAMETERS, **AFTER},
    ),
    # s(18 + 7) + 1/2 = 11/2;     p = p - 1/4 * 10/7 * s(3)/2 / (11/2) = p - 5/154 s(3)
    Anchor(
        "amsgrad",
        LRS,
        (6.0, -2.0),
        (10.0, FIRST_HAT, FIRST_HAT - 5 / 154 * 3**0.5),
        {"m": (1.5, 0.625), "v": (18.0, 11.0), "v_max": (18.0, 18.0)},
        {**HAT, **AFTER},
    ),
    # the maximum of v/c2: v/c2 = 44/3 < v_max = 36, and 7 as before;     p = 67/7 - 1/4 * (10/7) / 7 = 933/98
    Anchor(
        "amsgrad",
        LRS,
        (6.0, -2.0),
        (10.0, 67 / 7, 933 / 98),
        {"m": (1.5, 0.625), "v": (18.0, 11.0), "v_max": (36.0, 36.0)},
        {**HYPERPARAMETERS, **BEFORE},
    ),
    # g = -9: m = -9/8;   v = 99/2, v/c2 = 66 > 36;   s(66 + 25/4) + 1/2 = 9;     p = 277/28 + 1/4 * (9/8) / 9 = 2223/224
    Anchor(
        "amsgrad",
        LRS,
        (6.0, -9.0),
        (10.0, 277 / 28, 2223 / 224),
        {"m": (1.5, -1.125), "v": (18.0, 49.5), "v_max": (36.0, 66.0)},
        {**OF_SQUARE, **BEFORE},
    ),
    # the maximum of v as it is:  s(18 + 7) + 1/2 = 11/2;     p = 104/11 - 1/4 * (10/7) / (11/2) = 104/11 - 5/77 = 723/77
    Anchor(
        "amsgrad",
        LRS,
        (6.0, -2.0),
        (10.0, 104 / 11, 723 / 77),
        {"m": (1.5, 0.625), "v": (18.0, 11.0), "v_max": (18.0, 18.0)},
        {**OF_MEAN, **BEFORE},
    ),
]

CAUTIOUS_LRS = (0.5, 0.25, 0.25)

CAUTIOUS = [
    # step 2: g = 9,  m = 9/8 + 9/4 = 27/8, m/c1 = 54/7;  v = 99/2, v/c2 = 66, s(66 + 25/4) + 1/2 = 9
    #         p = 67/7 - 1/4 * (54/7) / 9 = 131/14
    # step 3: g = -1, m = 81/32 - 1/4 = 73/32 > 0, stays;             v = 99/4 + 1/2 = 101/4
    Anchor(
        "cautious_adam",
        CAUTIOUS_LRS,
        (6.0, 9.0, -1.0),
        (10.0, 67 / 7, 131 / 14, 131 / 14),
        {"m": (1.5, 3.375, 73 / 32), "v": (18.0, 49.5, 25.25)},
        HYPERPARAMETERS,
    ),
    # step 2: g = -2, m = 9/8 - 1/2 = 5/8 > 0, stays;     v = 9 + 2 = 11
    # step 3: g = 5,  m = 15/32 + 5/4 = 55/32, m/c1 = 64/37 * 55/32 = 110/37;     v = 11/2 + 25/2 = 18, 11/2 as at first
    #         p = 104/11 - 1/4 * (110/37) / (11/2) = 104/11 - 5/37
    Anchor(
        "cautious_adam",
        CAUTIOUS_LRS,
        (6.0, -2.0, 5.0),
        (10.0, 104 / 11, 104 / 11, 104 / 11 - 5 / 37),
        {"m": (1.5, 0.625, 55 / 32), "v": (18.0, 11.0, 18.0)},
        OF_MEAN,
    ),
    # step 2: g = -12, m = 9/8 - 3 = -15/8;   v = 9 + 72 = 81;        p = p + 1/4 * 15/8 * s(3)/2 / (s(88) + 1/2)
    # step 3: g = 1,   m = -45/32 + 1/4 = -37/32 < 0, stays;          v = 81/2 + 1/2 = 41
    Anchor(
        "cautious_adam",
        CAUTIOUS_LRS,
        (6.0, -12.0, 1.0),
        (10.0, FIRST_HAT_OF_SQUARE, *(FIRST_HAT_OF_SQUARE + 15 / 64 * 3**0.5 / (88**0.5 + 0.5),) * 2),
        {"m": (1.5, -1.875, -37 / 32), "v": (18.0, 81.0, 41.0)},
        HAT_OF_SQUARE,
    ),
]

ANCHORS = [*ADAM, *AMSGRAD, *CAUTIOUS]
