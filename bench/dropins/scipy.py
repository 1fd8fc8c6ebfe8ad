"""`scipy.optimize.minimize` with fastopt's Adam, beside Adam as people write it around the same function, and beside that function alone.

A call makes a fixed number of iterations on Rosenbrock's function, value and gradient in one: what the drop-in takes besides the function
is its row less that of "function alone". SciPy's own L-BFGS-B makes other steps, fewer and longer; its time per iteration is shown, and is
no measure of how soon it arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..interleave import Contender
from . import Work

__all__ = ["LIBRARY", "works"]

LIBRARY = "scipy"
LR, BETAS, EPS = 1e-4, (0.9, 0.999), 1e-8

SIZES = {"smoke": (10,), "quick": (1_000, 100_000), "full": (1_000, 100_000)}
ITERATIONS = {10: 5, 1_000: 200, 100_000: 50}
"""Of one call, by the number of dimensions: many enough for what is done once a call not to count."""


def rosenbrock(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2, and its gradient."""
    ahead, away = x[1:] - x[:-1] * x[:-1], 1.0 - x[:-1]
    gradient = np.empty_like(x)
    gradient[:-1] = -400.0 * x[:-1] * ahead - 2.0 * away
    gradient[-1] = 0.0
    gradient[1:] += 200.0 * ahead
    return 100.0 * float(ahead @ ahead) + float(away @ away), gradient


def _by_minimize(start: NDArray[Any], iterations: int, method: Any, options: dict[str, Any]) -> Any:
    import scipy.optimize

    minimize: Any = scipy.optimize.minimize
    return minimize(rosenbrock, start, jac=True, method=method, options={"maxiter": iterations, **options})


def _by_hand(start: NDArray[Any], iterations: int) -> NDArray[Any]:
    x, (beta1, beta2) = start.copy(), BETAS
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(1, iterations + 1):
        _, g = rosenbrock(x)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        x = x - LR * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + EPS)
    return x


def _alone(start: NDArray[Any], iterations: int) -> None:
    for _ in range(iterations):
        rosenbrock(start)


def _contender(call: Callable[[NDArray[Any], int], object], n: int, threads: int) -> Contender:
    start = np.resize([1.3, 0.7, 0.8, 1.9, 1.2], n)
    return Contender(partial(call, start, ITERATIONS[n]), makes=ITERATIONS[n])


def _ours(n: int, threads: int, keep: str = "best") -> Contender:
    import fastopt.interop.scipy as methods

    options = {"lr": LR, "betas": BETAS, "eps": EPS, "num_threads": threads, "gtol": None, "keep": keep}
    return _contender(partial(_by_minimize, method=methods.adam, options=options), n, threads)


def works(profile: str) -> list[Work]:
    """A work for each number of dimensions."""
    found = []
    for n in SIZES[profile]:
        makers: dict[str, Callable[[int], Contender]] = {
            "fastopt": partial(_ours, n),
            "NumPy loop": partial(_contender, _by_hand, n),
            "scipy L-BFGS-B": partial(_contender, partial(_by_minimize, method="L-BFGS-B", options={"ftol": 0.0, "gtol": 0.0}), n),
            "function alone": partial(_contender, _alone, n),
        }
        found.append(Work(f"Adam, Rosenbrock in {n:,} dimensions", makers, n, "iteration"))
    return found
