"""SciPy's `minimize` with fastopt's optimizers: `method=` is the difference.

    python examples/scipy_minimize.py [--steps 2000] [--epochs 60]

First Rosenbrock's function in 10 dimensions, by Adam, NAdam and gradient descent with momentum, each on a cosine, beside SciPy's L-BFGS-B,
which is made for such functions. Then what that is not made for: a regression on mini-batches, with a callback that ends it early.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy.optimize import minimize, rosen, rosen_der

import fastopt.interop.scipy as methods
from fastopt.schedules import Cosine
from fastopt.training import Batches


def rosenbrock(steps: int) -> None:
    """Prints how near each comes."""
    x0 = np.resize([1.3, 0.7, 0.8, 1.9, 1.2], 10)
    trials: dict[str, tuple[Any, dict[str, Any]]] = {
        "adam": (methods.adam, {"lr": Cosine(0.1, steps=steps), "betas": (0.95, 0.99)}),
        "nadam": (methods.nadam, {"lr": Cosine(0.3, steps=steps), "betas": (0.98, 0.99), "momentum_decay": 1.0}),
        "momentum": (methods.momentum, {"lr": Cosine(1e-3, steps=steps), "momentum": 0.97, "max_norm": 10.0}),
        "L-BFGS-B": ("L-BFGS-B", {}),
    }
    for name, (method, options) in trials.items():
        result = minimize(rosen, x0, jac=rosen_der, method=method, options={"maxiter": steps, **options})
        print(f"{name:<10} fun {result.fun:.1e}   {result.nit} iterations, {result.nfev} evaluations")


def regression(epochs: int) -> None:
    """Prints the loss, and how far the result is from the truth."""
    rng = np.random.default_rng(0)
    features, truth = rng.standard_normal((4_000, 20)), rng.standard_normal(20)
    targets = features @ truth + 0.01 * rng.standard_normal(4_000)

    def loss(w: Any, x: Any, y: Any) -> Any:
        away = x @ w - y
        return 0.5 * float(away @ away) / len(y), x.T @ away / len(y)

    def report(intermediate_result: Any) -> None:
        if intermediate_result.fun < 1e-4:
            raise StopIteration

    options = {"lr": 0.02, "batches": Batches(features, targets, batch_size=64, seed=1), "epochs": epochs}
    result = minimize(loss, np.zeros(20), jac=True, method=methods.adam, callback=report, options=options)
    away = float(np.abs(result.x - truth).max())
    print(f"mini-batches: status {result.status}, {result.epochs} epochs, loss {result.fun:.1e}, off by {away:.1e}")


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    rosenbrock(options.steps)
    regression(options.epochs)


if __name__ == "__main__":
    main()
