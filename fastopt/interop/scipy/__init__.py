"""fastopt's optimizers as methods of `scipy.optimize.minimize`: one argument of a call changes.

    import fastopt.interop.scipy as methods
    from fastopt.schedules import Cosine

    result = scipy.optimize.minimize(fun, x0, jac=True, method=methods.adam, options={"lr": Cosine(0.1, steps=2_000), "maxiter": 2_000})

There is a function for each optimizer. Its name is that of the class in small letters, with the rule's underscores where it has some:
`sgd`, `momentum`, `adagrad`, `rmsprop`, `adadelta`, `adam`, `adamw`, `nadam`, `radam`, `adamax`, `rprop`, `lion`, `signum`, `adan`,
`adopt`, `ademamix`, `schedule_free_sgd`, `schedule_free_adamw`; `dir(fastopt.interop.scipy)` has them all, as they are made of the
optimizers' families. `method(rule)` makes one of any rule, also of one from outside (`fastopt.rule`).

`minimize` hands fun, x0, args, jac, bounds, callback and tol on; everything else is an option:

**The optimizer's own**: `lr` and all other arguments of the class (`fastopt.Adam`, ...), numbers or schedules of `fastopt.schedules`,
`convention`, `weight_decay` and so on; `max_norm`, `state_dtype`, `backend`, `num_threads`. Only `maximize=True` and
`zero_grads=True` are refused.

**When to stop**, each looked at after every iteration (with `batches`, after every epoch), None for never:

`gtol`
    max_i |g_i| <= gtol: the largest element of the gradient; with bounds of the projected one, P(x - g) - x. 1e-5 by default, as for BFGS;
    with `batches` None by default, and then of the mean of an epoch's gradients.
`ftol`
    `patience` iterations in a row have not brought fun down by more than ftol max(|best|, 1), best being the lowest before. 0 stops where
    nothing became better. A single small change is no sign, since these methods do not go down at each step.
`xtol`
    max_i |change of x_i| <= xtol max(1, max_i |x_i|) in `patience` iterations in a row.
`patience`
    10 by default.
`tol`
    What `minimize(tol=...)` sets: gtol where that is not given, as for BFGS and CG.
`maxiter`
    The most steps; 10,000 by default, with `batches` as many as the epochs have.

**What to keep**: `keep="best"`, the default, gives the point with the lowest fun of all that were evaluated; "last" gives the last one.
`return_all` keeps a copy of every point, in `allvecs`. `disp` prints how it ended, or warns (`OptimizeWarning`) if it did not converge.

**Gradients**: `jac` is a function, or True where fun returns (value, gradient), which is evaluated once a step then. Without it, forward
differences (`scipy.optimize.approx_fprime`) of fun at points of float64, with steps h = finite_diff_rel_step sign(x) max(1, |x|), which
turn round where they would leave the bounds; `finite_diff_rel_step` is 1.5e-8 by default. `minimize` hands "2-point", "3-point" and
"cs" on as None: each gets forward differences.

**Bounds** hold at every point at which fun is evaluated: x0 and each step's end are moved to the nearest point of the box (bounds in the
dtype of x). Schedule-free methods refuse them, as their result is an average of points that are not in the box. Constraints are refused;
for `hess` and `hessp` there is SciPy's RuntimeWarning.

**Mini-batches**: `batches` gives, for each step, further arguments, and fun(x, *batch, *args) is what that step goes down on; jac alike. It
is a `fastopt.training.Batches` (whose seed decides on the order), or whatever else has `epoch(k)`, or something to iterate over in every
epoch: tuples, or single arguments. `epochs` says how often (1 by default). After each epoch the tolerances are looked at and the callback
is called, with the mean of fun over the epoch's steps, each at the point that it began at. So "best" is the end of the epoch with the
lowest mean, and `fun` and `jac` of the result are that epoch's means: NaN where no epoch was finished.

The result has the fields `x`, `fun`, `jac`, `nit` (steps), `nfev`, `njev`, `status`, `success`, `message`, `optimizer` (fastopt's, with its
states), `epochs` where there were batches, and `allvecs`. The status is

    0   a tolerance is met, or none was set and all steps that were asked for were made
    1   maxiter was reached, or the last epoch
    3   fun or its gradient was not finite
    99  the callback raised StopIteration

Of schedule-free methods x is their average. x0 is never changed, and x has its dtype; integers become float64. `callback(xk)` and
`callback(intermediate_result)`, which has x, fun and nit, are told apart by that name, as everywhere in SciPy.
"""

from __future__ import annotations

try:
    import scipy.optimize
except ModuleNotFoundError as error:  # only SciPy itself: what it lacks is for it to say
    if error.name not in ("scipy", "scipy.optimize"):
        raise
    raise ModuleNotFoundError("fastopt.interop.scipy takes SciPy: pip install 'fastopt[scipy]'", name="scipy") from error

from fastopt.interop.scipy.methods import METHODS, Method, method

__all__ = ["method", *METHODS]

del scipy


def __getattr__(name: str) -> Method:
    if name in METHODS:
        return METHODS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; methods are {', '.join(METHODS)}")


def __dir__() -> list[str]:
    return __all__
