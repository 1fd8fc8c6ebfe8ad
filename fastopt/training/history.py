"""A run as it is recorded step by step: its losses, its gradients' and parameters' norms, and how each update lies to the last one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import arguments
from fastopt.structure import Structure
from fastopt.training.divergence import gradients_of
from fastopt.training.regimes import regime_of
from fastopt.training.snapshot import parameters_of
from fastopt.training.verdict import Verdict

__all__ = ["History"]


class History:
    """What `regime_of` reads a verdict from, recorded along a run.

        history = History(opt)
        for ...:
            loss, grads = loss_and_gradients(...)
            history.observe(loss, grads)         # before the step
            opt.step(grads)
        print(history.verdict())

    Parameters
    ----------
    params
        An optimizer, or its parameters: NumPy arrays in any structure. None records losses alone. With it, two copies of the parameters are
        held in float64, and each observation costs some passes over them.

    Attributes
    ----------
    losses
        One for each observation.
    grad_norms
        The global norm of the gradients at each, as far as gradients were given.
    param_norms
        The global norm of the parameters at each.
    cosines
        The cosine of the angle between each update of the parameters and the one before it: from the third observation on. NaN where one of
        the two is 0. -1 says that the parameters went straight back.
    """

    def __init__(self, params: Any = None) -> None:
        self.losses: list[float] = []
        self.grad_norms: list[float] = []
        self.param_norms: list[float] = []
        self.cosines: list[float] = []
        self._params: list[NDArray[Any]] = []
        if params is not None:
            structure, found = Structure.of(parameters_of(params, "params"), "params")
            for i, array in enumerate(found):
                if not isinstance(array, np.ndarray):
                    raise TypeError(f"{structure.label(i, 'params')}: expected a NumPy array, received {type(array).__name__}")
            self._params = found
        self._before: NDArray[np.float64] | None = None
        self._update: NDArray[np.float64] | None = None

    def observe(self, loss: float, grads: Any = None) -> None:
        """Takes the loss of one step, its gradients if there are any, and the parameters as they are now."""
        loss = arguments.any_number(loss, "loss")
        _, gradients = gradients_of(grads)
        if grads is not None:
            self.grad_norms.append(_norm([g for g in gradients if g is not None]))
        self.losses.append(loss)
        if self._params:
            self._look()

    def _look(self) -> None:
        self.param_norms.append(_norm(self._params))
        now = np.concatenate([np.ravel(array).astype(np.float64) for array in self._params])
        if self._before is not None:
            update = now - self._before
            if self._update is not None:
                norms = math.sqrt(np.vdot(update, update)) * math.sqrt(np.vdot(self._update, self._update))
                self.cosines.append(float(np.vdot(update, self._update)) / norms if norms > 0.0 else math.nan)
            self._update = update
        self._before = now

    def verdict(self, floor: float | None = None) -> Verdict:
        """The regime that is read from what was recorded (`regime_of`, which says what losses it can be read from)."""
        return regime_of(
            self.losses,
            floor=floor,
            cosines=self.cosines or None,
            grad_norms=self.grad_norms or None,
            param_norms=self.param_norms or None,
        )


def _norm(arrays: list[NDArray[Any]]) -> float:
    return math.sqrt(sum(float(np.vdot(wide, wide)) for wide in (np.ravel(array).astype(np.float64) for array in arrays)))
