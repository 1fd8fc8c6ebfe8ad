"""What precedes every rule: scaling, direction and weight decay, by hand and in every backend."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import fastopt
from fastopt.rules import prologue
from fastopt.rules.language import parse
from tests.conftest import needed
from tests.rules.hand_computed import BACKENDS

# SGD from p = 2 with g = 4, then g = -2; lr = 1/4, then 1/2; weight decay 1/2; gradients came multiplied by 2
ANCHORS = [
    # g = 4/2 + 1/2 * 2 = 3,  p = 2 - 1/4 * 3 = 5/4;     g = -2/2 + 1/2 * 5/4 = -3/8,  p = 5/4 + 1/2 * 3/8 = 23/16
    pytest.param({"weight_decay": 0.5}, (1.25, 1.4375), id="coupled"),
    # g = -4/2 + 1/2 * 2 = -1, p = 2 + 1/4 = 9/4;        g = 2/2 + 1/2 * 9/4 = 17/8,   p = 9/4 - 1/2 * 17/8 = 19/16
    pytest.param({"weight_decay": 0.5, "maximize": True}, (2.25, 1.1875), id="coupled, maximize"),
    # p = (1 - 1/8) * 2 = 7/4, then - 1/4 * 2 = 5/4;     p = (1 - 1/4) * 5/4 = 15/16, then + 1/2 * 1 = 23/16
    pytest.param({"weight_decay": 0.5, "decoupled_weight_decay": True}, (1.25, 1.4375), id="decoupled"),
    # p = 7/4, then + 1/4 * 2 = 9/4;                     p = 3/4 * 9/4 = 27/16, then - 1/2 * 1 = 19/16
    pytest.param({"weight_decay": 0.5, "decoupled_weight_decay": True, "maximize": True}, (2.25, 1.1875), id="decoupled, maximize"),
    # p = 2 - 1/4 * 2 = 3/2;                             p = 3/2 + 1/2 * 1 = 2
    pytest.param({}, (1.5, 2.0), id="scaled alone"),
    # g = min(3/4, 4/2) + 1/2 * 2 = 7/4, p = 2 - 7/16 = 25/16; g = max(-3/4, -2/2) + 1/2 * 25/16 = 1/32, p = 25/16 - 1/64 = 99/64
    pytest.param({"clip_value": 0.75, "weight_decay": 0.5}, (1.5625, 1.546875), id="limited, coupled"),
    # p = 7/4, then + 1/4 * 3/4 = 31/16;                 p = 3/4 * 31/16 = 93/64, then - 1/2 * 3/4 = 69/64
    pytest.param(
        {"clip_value": 0.75, "weight_decay": 0.5, "decoupled_weight_decay": True, "maximize": True},
        (1.9375, 1.078125),
        id="limited, decoupled, maximize",
    ),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("options", "expected"), ANCHORS)
def test_by_hand_with_sgd(options: dict[str, object], expected: tuple[float, ...], backend: str) -> None:
    needed(backend)
    p = np.array([2.0])
    optimizer = fastopt.Optimizer(p, "sgd", 0.25, backend=backend, **options)  # type: ignore[arg-type]
    optimizer.step(np.array([4.0]), grad_scale=2.0)
    assert p[0] == expected[0]
    optimizer.lr = 0.5
    optimizer.step(np.array([-2.0]), grad_scale=2)
    assert p[0] == expected[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_coupled_and_decoupled_differ_where_the_rule_is_not_linear(backend: str) -> None:
    """In SGD the two kinds of decay walk one path (see the anchors); under a root they do not.

    RMSProp with alpha = 3/4, eps = 1 outside the root, from p = 2, g = 3, lr = 1/4, weight decay 1/2:
    coupled    g = 3 + 1 = 4, v = 1/4 * 16 = 4,     p = 2 - 1/4 * 4 / (2 + 1) = 5/3
    decoupled  p = (1 - 1/8) * 2 = 7/4, v = 9/4,    p = 7/4 - 1/4 * 3 / (3/2 + 1) = 7/4 - 3/10 = 29/20
    """
    needed(backend)
    for decoupled, expected, second_moment in ((False, 5 / 3, 4.0), (True, 29 / 20, 2.25)):
        p = np.array([2.0])
        optimizer = fastopt.Optimizer(
            p, "rmsprop", 0.25, alpha=0.75, eps=1.0, weight_decay=0.5, decoupled_weight_decay=decoupled, backend=backend
        )
        optimizer.step(np.array([3.0]))
        assert p[0] == pytest.approx(expected, rel=1e-15)
        assert optimizer.state_dict()["state"]["v"][0] == second_moment


def test_the_functions_themselves() -> None:
    assert prologue.scaled_gradient(2.0, 3.0, -0.5) == (2.0, -1.5)
    assert prologue.decayed_gradient(2.0, 3.0, 0.5) == (2.0, 4.0)
    assert prologue.decayed_parameter(2.0, 3.0, 0.75) == (1.5, 3.0)
    found = [prologue.limited_gradient(2.0, g, 0.75)[1] for g in (3.0, -3.0, 0.5, -0.0, math.inf, -math.inf, math.nan)]
    assert str(found) == "[0.75, -0.75, 0.5, -0.0, 0.75, -0.75, nan]"


def test_each_stage_is_in_the_language_of_rules() -> None:
    for stage in (getattr(prologue, name) for name in prologue.__all__):
        assert inspect.isfunction(stage)
        function = parse(stage)
        assert function.parameters[:2] == ("p", "g")
        assert len(function.parameters) == 3
        assert len(function.results) == 2
        assert not function.assignments


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_decay_leaves_signs_of_zero_and_infinities(backend: str) -> None:
    """Why coupled decay is a kernel of its own: g + 0 * p is NaN for an infinite p, and +0 for a g of -0."""
    needed(backend)
    p = np.array([math.inf, -math.inf, 0.0, -0.0])
    fastopt.SGD(p, lr=0.5, backend=backend).step(np.array([1.0, 1.0, 0.0, 0.0]))
    assert p.tolist() == [math.inf, -math.inf, 0.0, 0.0]
    assert np.signbit(p).tolist() == [False, True, False, True]
