"""HIPS autograd's optimizers by fastopt's kernels: one import of a training script changes.

    from fastopt.interop.autograd import adam                # was: from autograd.misc.optimizers import adam

    trained = adam(grad(loss), params, callback=report, num_iters=500, step_size=0.01)

`adam`, `sgd` and `rmsprop` have the arguments and defaults of autograd 1.9; parameters are any nesting of lists, tuples and dicts with real
arrays or floats, flattened by autograd. As there, `grad(x, i)` and `callback(x, i, g)` are called once an iteration, i = 0, 1, ..., with
the point before its step, which is theirs to keep; the result is new, of float64, and x0 is not changed. `sgd` and `rmsprop` give the same
bits as autograd's own; `adam` has autograd's formula in another order of operations (`fastopt.Adam`):
over 200 iterations on given gradients of unit variance x differed by at most 9e-16. Of float32 parameters the first gradient is taken in
float32 there, and in float64 here; all later ones are of float64 in both.

Besides, `step_size` and every other number may be a schedule of `fastopt.schedules`, and `backend` and `num_threads` are as for
`fastopt.Optimizer`. What cannot be done: to differentiate through the optimizer, which writes in place, where autograd's own may be part of
what is differentiated. That is refused, as are a negative step size and decays outside of [0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.optimizers import Adam, Momentum, Optimizer, RMSProp
from fastopt.rules.domain import describe
from fastopt.schedules import Schedule

try:
    import autograd
except ModuleNotFoundError as error:  # only autograd itself: what it lacks is for it to say
    if error.name != "autograd":
        raise
    raise ModuleNotFoundError("fastopt.interop.autograd takes autograd: pip install 'fastopt[autograd]'", name="autograd") from error

from autograd.misc.flatten import flatten
from autograd.tracer import isbox

__all__ = ["adam", "rmsprop", "sgd"]

del autograd

Build = Callable[[NDArray[np.float64]], Optimizer]
Number = float | Schedule


def adam(
    grad: Any,
    x0: Any,
    callback: Any = None,
    num_iters: int = 100,
    step_size: Number = 0.001,
    b1: Number = 0.9,
    b2: Number = 0.999,
    eps: Number = 10**-8,
    *,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Any:
    """Adam: `m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  x <- x - step_size (m / c1) / (sqrt(v / c2) + eps)`, c = 1 - b^(i+1).

    Returns x after `num_iters` iterations, in the structure of x0. Raises TypeError or ValueError, for an argument before `grad` is called,
    and for a gradient before it is used. D. P. Kingma and J. Ba, ICLR 2015.
    """
    return _run(grad, x0, callback, num_iters, lambda x: Adam(x, step_size, (b1, b2), eps, backend=backend, num_threads=num_threads))


def sgd(
    grad: Any,
    x0: Any,
    callback: Any = None,
    num_iters: int = 200,
    step_size: Number = 0.1,
    mass: Number = 0.9,
    *,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Any:
    """Gradient descent with averaged momentum: `b <- mass b + (1 - mass) g;  x <- x - step_size b` (autograd's velocity is -b).

    Returns and raises as `adam`. B. T. Polyak, 1964.
    """
    options: dict[str, Any] = {"backend": backend, "num_threads": num_threads}
    return _run(grad, x0, callback, num_iters, lambda flat: Momentum(flat, step_size, mass, form="averaged", **options))


def rmsprop(
    grad: Any,
    x0: Any,
    callback: Any = None,
    num_iters: int = 100,
    step_size: Number = 0.1,
    gamma: Number = 0.9,
    eps: Number = 10**-8,
    *,
    backend: str = "auto",
    num_threads: int | None = None,
) -> Any:
    """RMSProp whose mean square begins at 1: `v <- gamma v + (1 - gamma) g^2;  x <- x - step_size g / (sqrt(v) + eps)`.

    Returns and raises as `adam`. T. Tieleman and G. Hinton, lecture 6.5, 2012.
    """
    options: dict[str, Any] = {"backend": backend, "num_threads": num_threads}
    return _run(grad, x0, callback, num_iters, lambda flat: RMSProp(flat, step_size, gamma, eps, initial_accumulator_value=1.0, **options))


def _run(grad: Any, x0: Any, callback: Any, num_iters: Any, build: Build) -> Any:
    for function, name in ((grad, "grad"), (callback, "callback")):
        if not callable(function) and (name == "grad" or function):
            raise TypeError(f"{name}: expected a function, received {describe(function)}")
    num_iters = arguments.whole_number(num_iters, "num_iters", 0)
    flat, unflatten = flatten(x0)
    x = np.array(_numbers(flat, "x0"))
    step = build(x).step
    for i in range(num_iters):
        here = x.copy()  # what is made of it is views, which callers keep
        g = _numbers(flatten(grad(unflatten(here), i))[0], "grad")
        if g.shape != x.shape:
            raise ValueError(f"grad: expected {x.size} numbers, as in x0; received {g.size}")
        if callback:
            callback(unflatten(here), i, unflatten(g))
        step(g)
    return unflatten(x)


def _numbers(flat: Any, name: str) -> NDArray[np.float64]:
    """What autograd flattened, as float64. Raises TypeError for what it traces: a step in place is no part of its graph."""
    if isbox(flat):
        raise TypeError(f"{name}: expected numbers, received what autograd traces; its own optimizers can be differentiated through")
    array = np.asarray(flat)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, received {describe(array)}")
    return np.ascontiguousarray(array, np.float64)
