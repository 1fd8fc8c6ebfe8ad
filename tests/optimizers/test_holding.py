"""What an optimizer holds, changed as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST as BACKENDS
from fastopt.rules.entry import RULES
from tests.conftest import needed
from tests.optimizers.arrays import arrays

EVERY = [pytest.param(rule, id=rule.name) for rule in RULES.values()]


@pytest.mark.parametrize("backend", BACKENDS)
def test_configure_holds_from_the_next_step_on(backend: str) -> None:
    needed(backend)
    params = arrays(5)
    optimizer = fastopt.Adam(params, 0.1, backend=backend)
    stages: list[dict[str, Any]] = [
        {},
        {"lr": 0.03, "betas": (0.5, 0.75)},
        {"weight_decay": 0.2},  # another kernel: coupled
        {"decoupled_weight_decay": True},
        {"weight_decay": 0.0, "maximize": True, "eps": 0.01},
    ]
    current: dict[str, Any] = {"lr": 0.1}
    own = [[p.copy(), np.zeros_like(p), np.zeros_like(p)] for p in arrays(5)]
    for step, changes in enumerate(stages):
        if changes:
            optimizer.configure(**changes)
        current |= changes
        gradients = arrays(60 + step)
        optimizer.step(gradients)
        for (p, m, v), g in zip(own, gradients, strict=True):
            fastopt.functional.adam(p, g, m, v, step=step + 1, backend=backend, **current)
        assert [p.tobytes() for p in params] == [p.tobytes() for p, _, _ in own], changes
    assert optimizer.lr == 0.03
    assert optimizer.hyperparameters == {
        "betas": (0.5, 0.75), "eps": 0.01, "amsgrad": False, "eps_root": 0.0, "eps_hat": False,
        "bias_correction": (True, True), "corrected_max": False, "cautious": False, "weight_decay": 0.0,
        "decoupled_weight_decay": True, "maximize": True, "clip_value": None, "ema_decay": None, "flush_denormals": False,
        "zero_grads": False,
        "convention": "torch",
    }  # fmt: skip


def test_configure_is_whole_or_not_at_all_when_a_kernel_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = fastopt.Adam(np.ones(3), 0.1, backend="numpy")
    state = optimizer.state_dict()

    def refuse(*_: Any) -> Any:
        raise RuntimeError("no compiler")

    with monkeypatch.context() as patch:
        patch.setattr(optimizer._backend, "prepare", refuse)
        with pytest.raises(RuntimeError, match="no compiler"):
            optimizer.configure(lr=0.5, weight_decay=0.1)
        changed = {"m": np.ones(3), "v": np.ones(3)}
        with pytest.raises(RuntimeError, match="no compiler"):
            optimizer.load_state_dict({**state, "steps": 5, "groups": [{**state["groups"][0], "weight_decay": 0.1}], "state": changed})
    after = optimizer.state_dict()
    assert optimizer.lr == 0.1
    assert optimizer.steps == 0
    assert after["groups"] == state["groups"]
    assert not after["state"]["m"].any()
    assert not after["state"]["v"].any()
