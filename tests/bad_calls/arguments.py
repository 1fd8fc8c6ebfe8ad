"""Values that no optimizer takes as this argument."""

from __future__ import annotations

import decimal
import math
from typing import Any

import numpy as np

import fastopt
from tests.bad_calls.construction import hyperparameter

NOT_A_NUMBER: tuple[tuple[Any, type[Exception], str], ...] = (
    (-0.1, ValueError, r"expected a finite number >= 0, received -0\.1$"),
    (math.nan, ValueError, "expected a finite number >= 0, received nan$"),
    (math.inf, ValueError, "expected a finite number >= 0, received inf$"),
    (-math.inf, ValueError, "received -inf$"),
    (10**400, ValueError, "received inf$"),
    (-(10**400), ValueError, "received -inf$"),
    (True, TypeError, r"received True \(bool\)$"),
    (np.True_, TypeError, r"received np\.True_ \(bool\)$"),
    ("0.1", TypeError, r"received '0\.1' \(str\)$"),
    (0.1j, TypeError, r"received 0\.1j \(complex\)$"),
    ([0.1], TypeError, r"received \[0\.1\] \(list\)$"),
    (np.array(0.1), TypeError, r"received an array of float64 and shape \(\)$"),
    (decimal.Decimal("0.1"), TypeError, r"received Decimal\('0\.1'\) \(Decimal\)$"),
)
NONE = (None, TypeError, "received None$")
NOT_A_FLAG = (
    *((value, TypeError, rf"expected True or False, received .*\({type(value).__name__}\)$") for value in (1, 0, "yes", 1.0, [])),
    NONE,
)
OUTSIDE_UNIT: tuple[tuple[Any, type[Exception], str], ...] = tuple(
    (value, ValueError, r"expected a number in \[0, 1\), received ") for value in (1.0, 1.5, -0.1, math.nan, math.inf)
)
NOT_THREADS: tuple[tuple[Any, type[Exception], str], ...] = (
    (0, ValueError, "expected an integer >= 1, received 0$"),
    (-1, ValueError, "expected an integer >= 1, received -1$"),
    (1.5, TypeError, r"expected an integer >= 1, received 1\.5 \(float\)$"),
    (2.0, TypeError, r"received 2\.0 \(float\)$"),
    (True, TypeError, r"received True \(bool\)$"),
    ("2", TypeError, r"received '2' \(str\)$"),
    (10**10, ValueError, "expected an integer from 1 to 1024, received 10000000000$"),
    (2**64, ValueError, "expected an integer >= 1 of 64 bits, received one of 65 bits$"),
)

REFUSED_ARGUMENTS = [
    *hyperparameter(fastopt.Adam, "lr", *NOT_A_NUMBER),
    *hyperparameter(fastopt.SGD, "lr", *NOT_A_NUMBER[:3]),
    *hyperparameter(fastopt.Adam, "eps", *NOT_A_NUMBER, NONE),
    *hyperparameter(fastopt.Adam, "eps_root", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(fastopt.Adam, "weight_decay", *NOT_A_NUMBER, NONE),
    *hyperparameter(fastopt.AdamW, "weight_decay", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(fastopt.SGD, "momentum", *NOT_A_NUMBER, NONE),
    *hyperparameter(fastopt.Momentum, "momentum", *NOT_A_NUMBER[:9], NONE),
    *hyperparameter(fastopt.Momentum, "momentum", *OUTSIDE_UNIT[:2], form="averaged"),
    *hyperparameter(fastopt.SGD, "dampening", *OUTSIDE_UNIT, NONE, momentum=0.9),
    *hyperparameter(fastopt.RMSProp, "alpha", *OUTSIDE_UNIT, NONE),
    *hyperparameter(fastopt.RMSProp, "eps", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(fastopt.RMSProp, "momentum", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(
        fastopt.Adam,
        "betas",
        ((1.0, 0.9), ValueError, r"^betas\[0\]: expected a number in \[0, 1\), received 1\.0$"),
        ((0.9, 1.0), ValueError, r"^betas\[1\]: expected"),
        ((-0.1, 0.9), ValueError, r"^betas\[0\]: .* received -0\.1$"),
        ((0.9, math.nan), ValueError, r"^betas\[1\]: .* received nan$"),
        ((True, 0.9), TypeError, r"^betas\[0\]: .* received True \(bool\)$"),
        (("0.9", 0.9), TypeError, r"^betas\[0\]: .* received '0\.9' \(str\)$"),
        ((0.9,), TypeError, r"expected 2 numbers, received \(0\.9,\) \(tuple\)$"),
        ((0.9, 0.9, 0.9), TypeError, "expected 2 numbers"),
        (0.9, TypeError, r"expected 2 numbers, received 0\.9 \(float\)$"),
        ("ab", TypeError, r"expected 2 numbers, received 'ab' \(str\)$"),
        ({0.9, 0.99}, TypeError, r"expected 2 numbers, received .*\(set\)$"),
        (np.array([0.9, 0.99]), TypeError, r"expected 2 numbers, received an array of float64 and shape \(2,\)$"),
        (None, TypeError, "expected 2 numbers, received None$"),
    ),
    *hyperparameter(fastopt.Adam, "amsgrad", *NOT_A_FLAG),
    *hyperparameter(fastopt.Adam, "maximize", *NOT_A_FLAG),
    *hyperparameter(fastopt.Adam, "flush_denormals", *NOT_A_FLAG),
    *hyperparameter(
        fastopt.Adam,
        "ema_decay",
        (1.0, ValueError, r"expected None or a number in \[0, 1\), received 1\.0$"),
        (-0.5, ValueError, r"expected None or a number in \[0, 1\), received -0\.5$"),
        ((0.9,), TypeError, r"expected None or a number in \[0, 1\), received \(0\.9,\) \(tuple\)$"),
    ),
    *hyperparameter(
        fastopt.Adam,
        "clip_value",
        (-1.0, ValueError, r"expected None or a finite number >= 0, received -1\.0$"),
        (np.inf, ValueError, r"expected None or a finite number >= 0, received inf$"),
        (True, TypeError, r"expected None or a finite number >= 0, received True \(bool\)$"),
        ("1", TypeError, r"expected None or a finite number >= 0, received '1' \(str\)$"),
    ),
    *hyperparameter(fastopt.Adam, "decoupled_weight_decay", *NOT_A_FLAG),
    *hyperparameter(fastopt.SGD, "nesterov", *NOT_A_FLAG, momentum=0.9),
    *hyperparameter(fastopt.RMSProp, "centered", *NOT_A_FLAG),
    *hyperparameter(fastopt.RMSProp, "eps_inside_root", *NOT_A_FLAG),
    *hyperparameter(
        fastopt.Adam,
        "nonfinite",
        ("ignore", ValueError, r"expected one of 'propagate', 'skip', 'raise'; received 'ignore'$"),
        (None, TypeError, r"expected one of 'propagate', 'skip', 'raise'; received None$"),
        (True, TypeError, r"received True \(bool\)$"),
    ),
    *hyperparameter(
        fastopt.Momentum,
        "form",
        ("nag", ValueError, r"expected one of 'heavy_ball', 'velocity', 'averaged'; received 'nag'$"),
        (None, TypeError, "received None$"),
    ),
    *hyperparameter(
        fastopt.Adam,
        "backend",
        ("gpu", ValueError, r"expected one of 'auto', 'numpy', 'numba', 'cython', 'cuda'; received 'gpu'$"),
        ("Numba", ValueError, "received 'Numba'$"),
        ("", ValueError, "received ''$"),
        (None, TypeError, "received None$"),
        (3, TypeError, r"received 3 \(int\)$"),
    ),
    *(entry for backend in ("cython", "numba") for entry in hyperparameter(fastopt.Adam, "num_threads", *NOT_THREADS, backend=backend)),
    *hyperparameter(fastopt.Adam, "num_threads", *NOT_THREADS[:6], backend="numpy"),
]
