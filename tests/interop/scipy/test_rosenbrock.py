"""Rosenbrock's function in 2, 10 and 100 dimensions, through `minimize`: who gets to its minimum of 0 in 2,000 steps, and who does not.

The function has a curved valley of which one wall is 2,500 times as steep as its bottom: a rate that the walls allow is slow along it, so
those get there that remember the way (momentum), and scale or clip the steps down the walls. Cosines bring each step to 0 at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import fastopt
import fastopt.interop.scipy as methods
from fastopt.interop.scipy.methods import METHODS
from fastopt.rules.family import FAMILIES
from fastopt.schedules import Cosine

STEPS = 2_000

SMALL = 1e-8
"""The value that counts as converged: x is then within 3e-3 of the minimum everywhere, and most are far below."""

CONVERGE: dict[str, tuple[float, dict[str, Any]]] = {
    "adam": (0.1, {"betas": (0.95, 0.99)}),
    "adamw": (0.1, {"betas": (0.95, 0.99), "weight_decay": 0.0}),
    "nadam": (0.3, {"betas": (0.98, 0.99), "momentum_decay": 1.0}),
    "radam": (0.05, {"betas": (0.95, 0.99), "max_norm": 10.0}),  # its first steps are not scaled, and would leave the valley
    "adan": (0.3, {}),
    "ademamix": (0.1, {"betas": (0.9, 0.99, 0.99), "alpha": 2.0}),
    "adopt": (0.05, {"betas": (0.97, 0.98)}),
    "rmsprop": (0.002, {"momentum": 0.95, "alpha": 0.98}),
    "momentum": (0.001, {"momentum": 0.97, "max_norm": 10.0}),
    "sgd": (0.001, {"momentum": 0.97, "max_norm": 10.0}),
}
"""The peak of the learning rate's cosine, and the other options."""

SHORT_OF_IT: dict[str, tuple[float, dict[str, Any], float, str]] = {
    "adamax": (
        0.05,
        {"betas": (0.97, 0.97), "max_norm": 10.0},
        1e-4,
        "its scale is the largest gradient so far",
    ),
    "lion": (0.005, {"betas": (0.95, 0.98)}, 1e-6, "each step is the learning rate or nothing: what remains is what that is at the end"),
    "signum": (0.005, {"momentum": 0.95}, 1e-4, "as Lion"),
    "schedule_free_adamw": (0.3, {"betas": (0.98, 0.999), "weight_decay": 0.0}, 1e-5, "an average holds on to where it has been"),
    "schedule_free_sgd": (0.002, {"momentum": 0.9, "max_norm": 100.0}, 1e-2, "likewise, with the same rate for walls and bottom"),
    "rprop": (0.01, {}, 1e-2, "a size for each element alone cannot follow a valley that lies across all of them"),
    "adagrad": (1.0, {}, 0.1, "its steps shrink with the root of their number, from the walls' gradients on"),
    "adadelta": (10.0, {}, 0.1, "steps are as long as the ones before, and nothing remembers which way they went"),
}
"""Likewise, with how far they do get, and why not farther. Of gradient descent without momentum nothing is asked."""

CONSTANT = ("rprop", "schedule_free_adamw", "schedule_free_sgd")
"""Rprop's first size is no rate, and the others are made to do without a schedule."""


def start(n: int) -> np.ndarray[Any, Any]:
    return np.array([-1.2, 1.0]) if n == 2 else np.resize([1.3, 0.7, 0.8, 1.9, 1.2], n)


def reached(name: str, lr: float, options: dict[str, Any], n: int) -> Any:
    rate = lr if name in CONSTANT else Cosine(lr, steps=STEPS)
    given = {"lr": rate, "maxiter": STEPS, "num_threads": 1, **options}
    return scipy.optimize.minimize(
        scipy.optimize.rosen, start(n), jac=scipy.optimize.rosen_der, method=getattr(methods, name), options=given
    )


def test_every_optimizer_is_in_one_of_the_tables() -> None:
    of_classes = [name for family, name in zip(FAMILIES, METHODS, strict=True) if hasattr(fastopt, family)]
    assert sorted([*CONVERGE, *SHORT_OF_IT]) == sorted(of_classes)


@pytest.mark.parametrize("n", [2, 10, 100])
@pytest.mark.parametrize("name", CONVERGE)
def test_it_converges(name: str, n: int) -> None:
    lr, options = CONVERGE[name]
    result = reached(name, lr, options, n)
    assert result.fun < SMALL
    np.testing.assert_allclose(result.x, 1.0, atol=3e-3)


@pytest.mark.parametrize("name", SHORT_OF_IT)
def test_it_gets_as_far_as_it_should(name: str) -> None:
    lr, options, far, why = SHORT_OF_IT[name]
    result = reached(name, lr, options, 100)
    assert result.fun < far, why
    assert result.status == 1, "its gradient did become small: to the other table with it"
