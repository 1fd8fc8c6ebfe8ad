"""`SGD` and `Momentum`: which rule their arguments choose, and with what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt


@pytest.mark.parametrize(
    ("arguments", "rule", "hyperparameters"),
    [
        ({}, "sgd", {"momentum": 0.0, "dampening": 0.0}),
        ({"momentum": 0.5}, "momentum", {"momentum": 0.5, "dampening": 0.0}),
        ({"momentum": 0.5, "dampening": 0.25}, "momentum", {"momentum": 0.5, "dampening": 0.25}),
        ({"momentum": 0.5, "nesterov": True}, "nesterov", {"momentum": 0.5, "dampening": 0.0}),
        ({"momentum": 1.5}, "momentum", {"momentum": 1.5, "dampening": 0.0}),
    ],
)
def test_sgd_chooses(arguments: dict[str, Any], rule: str, hyperparameters: dict[str, float]) -> None:
    optimizer = fastopt.SGD(np.ones(2), 0.1, **arguments, weight_decay=0.2, maximize=True, backend="numpy")
    assert optimizer.rule.name == rule
    assert optimizer.lr == 0.1
    assert optimizer.hyperparameters == {
        **hyperparameters, "nesterov": arguments.get("nesterov", False), "form": "heavy_ball", "weight_decay": 0.2,
        "decoupled_weight_decay": False, "maximize": True, "clip_value": None, "ema_decay": None, "flush_denormals": False,
        "zero_grads": False,
        "convention": "torch",
    }  # fmt: skip
    assert fastopt.SGD(np.ones(2)).lr == 1e-3  # torch's default


@pytest.mark.parametrize(
    ("arguments", "rule", "hyperparameters"),
    [
        ({}, "momentum", {"momentum": 0.9}),
        ({"nesterov": True, "momentum": 0.5}, "nesterov", {"momentum": 0.5}),
        ({"form": "velocity", "momentum": 0.5}, "velocity", {"momentum": 0.5}),
        ({"form": "velocity", "nesterov": True}, "nesterov_velocity", {"momentum": 0.9}),
        ({"form": "averaged", "momentum": 0.5}, "averaged_momentum", {"momentum": 0.5}),
    ],
)
def test_momentum_chooses(arguments: dict[str, Any], rule: str, hyperparameters: dict[str, float]) -> None:
    optimizer = fastopt.Momentum(np.ones(2), **arguments, backend="numpy")
    assert optimizer.rule.name == rule
    assert optimizer.lr == 1e-2
    assert {name: optimizer.hyperparameters[name] for name in hyperparameters} == hyperparameters


def test_the_forms_walk_one_path_at_a_constant_rate_and_differ_at_another() -> None:
    """As the docstring says: velocity as heavy ball; averaged with lr / (1 - momentum)."""

    def walk(form: str, lrs: list[float]) -> np.ndarray[Any, Any]:
        p = np.array([1.0, -2.0])
        optimizer = fastopt.Momentum(p, momentum=0.75, form=form, backend="numpy")
        for step, lr in enumerate(lrs):
            optimizer.lr = lr * (4.0 if form == "averaged" else 1.0)
            optimizer.step(np.array([step - 1.5, 0.5]))
        return p

    constant = [walk(form, [0.125] * 4) for form in ("heavy_ball", "velocity", "averaged")]
    assert np.allclose(constant[0], constant[1], rtol=1e-14)
    assert np.allclose(constant[0], constant[2], rtol=1e-14)
    changing = [walk(form, [0.125, 0.5, 0.0625, 0.25]) for form in ("heavy_ball", "velocity")]
    assert not np.allclose(changing[0], changing[1], rtol=1e-3)
