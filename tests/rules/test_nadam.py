"""NAdam, against numbers worked out by hand and beside torch and Keras. Its scalars remember the product of all momenta."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import fastopt
from tests.rules.hand_computed import BACKENDS, Anchor
from tests.test_agreement_with_frameworks import STEPS, assert_same_path, gradients, keras, learning_rate, start

__all__ = ["keras"]  # a fixture

# 0.96^t = 0.96, 0.9216, 0.884736: mu_1 = 1/2 (1 - 0.48) = 0.26, mu_2 = 1/2 (1 - 0.4608) = 0.2696, mu_3 = 1/2 (1 - 0.442368) = 0.278816
# M_1 = 0.26, M_2 = 0.26 * 0.2696 = 0.070096
# step 1: c2 = 1/4;   m = 1/2 * 6 = 3;        v = 1/4 * 36 = 9, s(v / c2) + 1/2 = 13/2
#         p = 10 - 1/2 (0.74 / 0.74 * 6 + 0.2696 / (1 - 0.26 * 0.2696) * 3) / (13/2)
# step 2: c2 = 7/16;  m = 3/2 - 3 = -3/2;     v = 27/4 + 9 = 63/4, v / c2 = 36
#         p = p - 1/4 (0.7304 / (1 - 0.070096) * (-6) + 0.278816 / (1 - 0.070096 * 0.278816) * (-3/2)) / (13/2)
FIRST = 10 - 0.5 * (6 + 0.2696 / (1 - 0.070096) * 3) / 6.5
SECOND = FIRST - 0.25 * (0.7304 / (1 - 0.070096) * -6 + 0.278816 / (1 - 0.070096 * 0.278816) * -1.5) / 6.5

ANCHORS = [
    Anchor(
        "nadam",
        (0.5, 0.25),
        (6.0, -6.0),
        (10.0, FIRST, SECOND),
        {"m": (3.0, -1.5), "v": (9.0, 15.75)},
        {"betas": (0.5, 0.75), "eps": 0.5, "momentum_decay": 1.0},
    )
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


def test_the_product_of_momenta_is_in_the_state() -> None:
    optimizer = fastopt.NAdam(np.ones(3), momentum_decay=1.0)
    for _ in range(2):
        optimizer.step(np.ones(3))
    (slot,) = optimizer.state_dict()["slots"]
    assert list(slot["memory"].values()) == pytest.approx([0.9 * (1 - 0.48) * 0.9 * (1 - 0.4608)], rel=1e-15)


def path(options: Mapping[str, Any]) -> list[Any]:
    """The parameter after each step."""
    p, ends = start(), []
    optimizer = fastopt.NAdam(p, **options)
    for step in range(STEPS):
        optimizer.lr = learning_rate(step)
        optimizer.step(gradients(step))
        ends.append(p.copy())
    return ends


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"betas": (0.8, 0.95), "eps": 1e-3, "momentum_decay": 0.01, "weight_decay": 0.3},
        {"weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True},
    ],
)
def test_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # else torch keeps the product of momenta in float32, and is off by 1e-9
    try:
        p = torch.tensor(start())
        theirs = torch.optim.NAdam([p], lr=0.02, **options)
        ends = []
        for step in range(STEPS):
            theirs.param_groups[0]["lr"] = learning_rate(step)
            p.grad = torch.tensor(gradients(step))
            theirs.step()
            ends.append(p.numpy().copy())
    finally:
        torch.set_default_dtype(before)
    assert_same_path(path(options), ends)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # Keras's own, with NumPy 2
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {}),
        (
            {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "weight_decay": 0.3},
            {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
        ),
    ],
)
def test_keras(keras: Any, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert os.environ["KERAS_BACKEND"] == "torch"
    p = keras.Variable(start(), dtype="float64")
    judge = keras.optimizers.Nadam(**theirs)
    ends = []
    for step in range(STEPS):
        judge.learning_rate = learning_rate(step)
        judge.apply([keras.ops.convert_to_tensor(gradients(step))], [p])
        ends.append(p.value.detach().numpy().copy())
    assert_same_path(path({"convention": "keras", **ours}), ends)
