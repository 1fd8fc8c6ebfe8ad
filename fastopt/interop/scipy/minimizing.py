"""One call of `minimize`: arguments checked, the run made, its end reported as SciPy reports it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning

from fastopt import arguments
from fastopt.interop.scipy.box import Box
from fastopt.interop.scipy.callbacks import Callback
from fastopt.interop.scipy.epochs import Epochs
from fastopt.interop.scipy.iterations import Iterations
from fastopt.interop.scipy.objective import Objective
from fastopt.interop.scipy.run import Run
from fastopt.interop.scipy.stopping import CONVERGED, Tolerances
from fastopt.optimizers import Optimizer
from fastopt.optimizers.schedule_free import ScheduleFree
from fastopt.rules.domain import FLAG, describe

__all__ = ["OPTIONS", "minimized"]

DEFAULT_GTOL, DEFAULT_MAXITER = 1e-5, 10_000

OF_OPTIMIZERS = {"max_norm": None, "state_dtype": None, "backend": "auto", "num_threads": None}

OF_RUNS: dict[str, Any] = {
    "tol": None,
    "gtol": ...,
    "ftol": None,
    "xtol": None,
    "patience": 10,
    "maxiter": None,
    "keep": "best",
    "finite_diff_rel_step": None,
    "batches": None,
    "epochs": None,
    "return_all": False,
    "disp": False,
}
"""`...` is 1e-5, or None with `batches`."""

OPTIONS: dict[str, Any] = OF_OPTIMIZERS | OF_RUNS
"""What every method takes besides its family's arguments, and the defaults."""


def minimized(
    name: str,
    cls: type[Optimizer],
    fun: Any,
    x0: Any,
    options: dict[str, Any],
    *,
    args: Any,
    jac: Any,
    hess: Any,
    hessp: Any,
    bounds: Any,
    constraints: Any,
    callback: Any,
) -> Any:
    """Minimizes fun by an optimizer; `fastopt.interop.scipy` says how. The rest are the arguments of `minimize`, as it hands them on.

    Raises TypeError or ValueError before fun is called, for arguments that cannot be used.
    """
    own = {key: options.pop(key, default) for key, default in OF_RUNS.items()}
    if not (constraints is None or (hasattr(constraints, "__len__") and len(constraints) == 0)):
        raise ValueError(f"constraints: expected none, as steps of {name} know of bounds alone; received {describe(constraints)}")
    if options.get("maximize"):
        raise ValueError("maximize: expected False, as this is to minimize; received True. Give -fun, and the gradient of that")
    if options.get("zero_grads"):
        raise ValueError("zero_grads: expected False, as gradients are fun's own, which may keep them; received True")
    for key in ("maximize", "zero_grads"):
        options.pop(key, None)
    x = _start(x0)
    box = None if bounds is None else Box(bounds, x)
    if box is not None:
        box.move_into(x)
    objective = Objective(fun, jac, args, x, box, own["finite_diff_rel_step"])
    optimizer = _optimizer(cls, x, options)
    if box is not None and isinstance(optimizer, ScheduleFree):
        raise ValueError(f"bounds: expected None for {name}, whose result is an average of points out of them; received bounds")
    run = _run(objective, optimizer, x, box, Callback(callback), own)
    for given, what in ((hess, "Hessian information (hess)"), (hessp, "Hessian-vector product information (hessp)")):
        if given is not None:
            warnings.warn(f"Method {name} does not use {what}.", RuntimeWarning, stacklevel=4)
    result = run.result(*run.run())
    if own["disp"]:
        _shown(result)
    return result


def _start(x0: Any) -> NDArray[Any]:
    """A copy of x0 to step on, of one dimension."""
    array = np.atleast_1d(np.asarray(x0))
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"x0: expected one dimension and at least one element, received shape {array.shape}")
    dtype = np.dtype(np.float64) if array.dtype.kind in "biu" else array.dtype.newbyteorder("=")
    return np.array(array, dtype)


def _optimizer(cls: type[Optimizer], x: NDArray[Any], options: dict[str, Any]) -> Optimizer:
    """fastopt's, of the options that are not the run's."""
    family: Any = cls.family
    taken = {*family.arguments, *OF_OPTIMIZERS}
    for key in options:
        if key not in taken:
            raise TypeError(family.unknown(key, OPTIONS))
    try:
        optimizer = cls(x, **options)
    except TypeError as error:
        raise TypeError(str(error).replace("params", "x0")) from error
    if isinstance(optimizer, ScheduleFree):
        optimizer.averages()  # refuses what has none
    return optimizer


def _run(objective: Objective, optimizer: Optimizer, x: NDArray[Any], box: Box | None, callback: Callback, own: dict[str, Any]) -> Run:
    batches, gtol, maxiter, epochs = own["batches"], own["gtol"], own["maxiter"], own["epochs"]
    if gtol is ...:
        gtol = own["tol"] if own["tol"] is not None else DEFAULT_GTOL if batches is None else None
    tolerances = Tolerances(gtol, own["ftol"], own["xtol"], own["patience"])
    if maxiter is not None:
        maxiter = arguments.whole_number(maxiter, "maxiter", 0)
    if not isinstance(own["disp"], int):  # SciPy's callers write 1 as well as True
        FLAG.checked(own["disp"], "disp")
    best = arguments.choice(own["keep"], "keep", ("best", "last")) == "best"
    held = (objective, optimizer, x, box, callback, tolerances, best, FLAG.checked(own["return_all"], "return_all"))
    if batches is None:
        if epochs is not None:
            raise ValueError(f"epochs: expected None where there are no batches, received {describe(epochs)}")
        return Iterations(*held, maxiter=DEFAULT_MAXITER if maxiter is None else maxiter)
    return Epochs(*held, maxiter=maxiter, batches=batches, epochs=1 if epochs is None else epochs)


def _shown(result: Any) -> None:
    """Prints how it ended, or warns, as SciPy's own methods do."""
    if result.status == CONVERGED:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=5)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")
