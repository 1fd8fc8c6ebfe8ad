"""`Adam` and `AdamW`: which rule their arguments choose, and the decay that tells them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt

Made = fastopt.Adam | fastopt.AdamW


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize(
    ("make", "decay", "decoupled"),
    [
        (fastopt.Adam, 0.0, False),
        (fastopt.AdamW, 1e-2, True),
    ],
)
def test_chooses(make: type[Made], decay: float, decoupled: bool, amsgrad: bool) -> None:
    optimizer = make(np.ones(2), 0.25, (0.5, 0.75), 0.125, amsgrad, eps_root=0.5, backend="numpy")
    assert optimizer.rule.name == ("amsgrad" if amsgrad else "adam")
    assert optimizer.lr == 0.25
    assert optimizer.hyperparameters == {
        "betas": (0.5, 0.75), "eps": 0.125, "amsgrad": amsgrad, "eps_root": 0.5, "eps_hat": False,
        "bias_correction": (True, True), "corrected_max": False, "cautious": False, "weight_decay": decay,
        "decoupled_weight_decay": decoupled, "maximize": False, "clip_value": None, "ema_decay": None, "flush_denormals": False,
        "zero_grads": False,
        "convention": "torch",
    }  # fmt: skip
    plain = make(np.ones(2), backend="numpy")
    assert (plain.lr, plain.hyperparameters["betas"], plain.hyperparameters["eps"]) == (1e-3, (0.9, 0.999), 1e-8)


def test_adamw_by_hand() -> None:
    """P = 2, g = 3, lr = 1/4, weight decay 1/2; betas (1/2, 3/4), eps = 1.

    Decay first: p = (1 - 1/8) * 2 = 7/4. Then m/c1 = 3, v/c2 = 9: p = 7/4 - 1/4 * 3 / (3 + 1) = 25/16.
    Adam adds the decay to the gradient: g = 3 + 1 = 4, m/c1 = 4, v/c2 = 16: p = 2 - 1/4 * 4 / (4 + 1) = 9/5.
    """
    for make, expected in ((fastopt.AdamW, 25 / 16), (fastopt.Adam, 9 / 5)):
        p: Any = np.array([2.0])
        make(p, 0.25, (0.5, 0.75), 1.0, weight_decay=0.5, backend="numpy").step(np.array([3.0]))
        assert p[0] == pytest.approx(expected, rel=1e-15)


def test_adam_with_decoupled_decay_is_adamw() -> None:
    ends = []
    for optimizer in (
        fastopt.Adam(np.ones(2), weight_decay=0.1, decoupled_weight_decay=True, backend="numpy"),
        fastopt.AdamW(np.ones(2), weight_decay=0.1, backend="numpy"),
    ):
        optimizer.step(np.array([1.0, -2.0]))
        ends.append(optimizer.params.tolist())
    assert ends[0] == ends[1]


def test_amsgrad_divides_by_the_largest() -> None:
    """After one large gradient, steps of AMSGrad stay small."""
    moved = []
    for amsgrad in (False, True):
        p: Any = np.zeros(1)
        optimizer = fastopt.Adam(p, 0.1, (0.0, 0.5), amsgrad=amsgrad, backend="numpy")
        optimizer.step(np.array([1000.0]))
        start = p.copy()
        for _ in range(30):
            optimizer.step(np.array([1.0]))
        moved.append(abs(p - start)[0])
    assert moved[1] < 0.05 * moved[0]
