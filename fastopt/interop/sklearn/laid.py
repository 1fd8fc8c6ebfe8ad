"""One of scikit-learn's optimizers laid out for fused steps: its arrays, its arguments, and what its attributes come to after a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from fastopt import backends
from fastopt.host.threads import at_most
from fastopt.kernel import kernel_of
from fastopt.memory import host
from fastopt.optimizers.turns import in_turn, new_turn
from fastopt.plan import Plan
from fastopt.rules.family import FAMILIES, Settled
from fastopt.slots import Slot
from fastopt.stages import COUPLED
from fastopt.structure import Structure

__all__ = ["KINDS", "Kind", "Laid", "UnfitError"]

Array = NDArray[Any]


class UnfitError(Exception):
    """For what no fused step can be made of, and scikit-learn's own may: nothing was changed."""


@dataclass(frozen=True)
class Kind:
    """One of scikit-learn's optimizers in fastopt's terms.

    Attributes
    ----------
    arguments
        The attributes that decide on a step.
    states
        Those that hold its lists of states, in the order of the rule.
    settled
        From the arguments, in order, to a rule and its settings. Raises TypeError or ValueError.
    after
        The attributes that change with a step besides, before the arrays do: from the optimizer to their new values.
    """

    arguments: tuple[str, ...]
    states: tuple[str, ...]
    settled: Callable[..., Settled]
    after: Callable[[Any], Mapping[str, Any]]


def _of_adam(learning_rate: float, beta_1: float, beta_2: float, epsilon: float) -> Settled:
    values = {"lr": learning_rate, "betas": (beta_1, beta_2), "eps": epsilon, "convention": "sklearn"}
    return FAMILIES["Adam"].settle(values)


def _after_adam(optimizer: Any) -> dict[str, Any]:
    t = optimizer.t + 1
    rate = optimizer.learning_rate_init * np.sqrt(1 - optimizer.beta_2**t) / (1 - optimizer.beta_1**t)
    return {"t": t, "learning_rate": rate}


def _of_sgd(learning_rate: float, momentum: float, nesterov: bool) -> Settled:
    # not as SGD's, which keeps no velocity where the momentum is 0: here it is an attribute all the same
    return FAMILIES["Momentum"].settle({"lr": learning_rate, "momentum": momentum, "nesterov": bool(nesterov), "form": "velocity"})


KINDS = {
    "AdamOptimizer": Kind(("learning_rate_init", "beta_1", "beta_2", "epsilon"), ("ms", "vs"), _of_adam, _after_adam),
    "SGDOptimizer": Kind(("learning_rate", "momentum", "nesterov"), ("velocities",), _of_sgd, lambda optimizer: {}),
}
"""By the name of scikit-learn's class."""


class CountedPlan(Plan):
    """A plan that has the attributes of scikit-learn's optimizer change with the step."""

    changes: partial[None] | None = None

    def counting(self) -> list[Callable[[], Any]]:
        """The calls that count a step, here and there."""
        found = super().counting()
        return found if self.changes is None else [*found, self.changes]


class Laid:
    """Parameters, states and plan.

    Coefficients and intercepts have a slot each, as only the former are decayed, and one kernel, so that a step is one call. It is the one
    with the decay in the gradient, for scikit-learn's L2 term; a decay of 0 leaves the gradient as it is.

    Parameters
    ----------
    kind, optimizer
        One of scikit-learn's; its lists of states are replaced by ones of the same values that lie well for the kernels.
    params
        What it updates.

    Raises UnfitError, and RuntimeError or ValueError for a backend that was asked for and cannot be used; nothing was changed then.
    """

    def __init__(self, kind: Kind, optimizer: Any, params: Sequence[Array]) -> None:
        self.kind, self.params = kind, list(params)
        self.arguments = tuple(getattr(optimizer, name) for name in kind.arguments)
        structure = Structure("sequence", tuple(range(len(params))))
        with _unfit():
            views = _views(self.params, structure)
            settled, beside = self._settled(), self._settled()
            states = self._states(optimizer, views)
        rule, names = settled.rule, [view.dtype.name for view in views]
        kernels = [kernel_of(rule, COUPLED, name, name, name) for name in names]
        _, backend = backends.choose("auto", dict.fromkeys(kernels))
        # as many as scikit-learn's own loops: joblib gives each worker its share
        threads = at_most(_openmp_effective_n_threads(), backend.thread_count(None))
        self.of_coefs, self.of_intercepts = settled.settings, beside.settings
        self.of_coefs.decay = self.of_intercepts.decay = 0.0
        coefs, intercepts = Slot(rule, self.of_coefs), Slot(rule, self.of_intercepts)
        own = [coefs if view.ndim > 1 else intercepts for view in views]
        self._turn = new_turn()
        with _unfit():
            self.plan = CountedPlan(host, backend, structure, views, list(zip(*states, strict=True)), kernels, own, threads, self._turn)
        self.states = states
        for name, arrays in zip(kind.states, states, strict=True):
            setattr(optimizer, name, list(arrays))  # not this list, in which somebody could put others unseen

    def _settled(self) -> Settled:
        return self.kind.settled(*(value.item() if isinstance(value, np.generic) else value for value in self.arguments))

    def _states(self, optimizer: Any, views: Sequence[Array]) -> list[list[Array]]:
        """New states of the optimizer's values, a list for each of its lists."""
        made: list[list[Array]] = [[np.empty(0)] * len(views) for _ in self.kind.states]
        for dtype in dict.fromkeys(view.dtype for view in views):
            places = [i for i, view in enumerate(views) if view.dtype == dtype]
            zeros = host.zeros_beside([views[i] for i in places], dtype, len(made))
            for i, arrays in zip(places, zeros, strict=True):
                for row, array in zip(made, arrays, strict=True):
                    row[i] = array
        for name, row in zip(self.kind.states, made, strict=True):
            for array, values in zip(row, getattr(optimizer, name), strict=True):
                if np.shape(values) != array.shape:
                    raise ValueError(f"{name}: expected states of their parameters' shapes, received {np.shape(values)} for {array.shape}")
                array[...] = values
        return made

    def stands(self, optimizer: Any, params: Sequence[Array]) -> bool:
        """Whether a step can be made on this layout; a learning rate that was set meanwhile is followed.

        Raises UnfitError for one that cannot be used.
        """
        if len(params) != len(self.params) or not all(map(is_, params, self.params)):
            return False
        for name, own in zip(self.kind.states, self.states, strict=True):
            arrays = getattr(optimizer, name)
            if len(arrays) != len(own) or not all(map(is_, arrays, own)):
                return False
        arguments = tuple(getattr(optimizer, name) for name in self.kind.arguments)
        if arguments == self.arguments:
            return True
        if arguments[1:] != self.arguments[1:]:
            return False
        before, self.arguments = self.arguments, arguments
        try:
            with _unfit():
                lr = self._settled().settings.lr
        except UnfitError:
            self.arguments = before
            raise
        self.of_coefs.lr = self.of_intercepts.lr = lr
        return True

    @in_turn
    def step(self, optimizer: Any, grads: Sequence[Array], weight: float, decay: float) -> None:
        """A step on gradients that are divided by `weight`, of coefficients that are decayed by `decay`; and the attributes with it.

        Raises UnfitError for gradients that cannot be used.
        """
        plan, given = self.plan, list(grads)
        try:
            plan.take(given)
        except (TypeError, ValueError):  # a regressor of float32 data with targets in float64 has gradients in float64, say
            with _unfit():
                given = [_like(g, p) for g, p in zip(given, self.params, strict=True)]
                plan.take(given)
        changes = self.kind.after(optimizer)
        self.of_coefs.decay = decay
        steps = getattr(optimizer, "t", 0)
        for slot in plan.active:
            slot.steps = steps
        plan.changes = partial(optimizer.__dict__.update, changes) if changes else None
        try:
            plan.run(given, weight, 1.0)
        finally:
            plan.changes = None  # or an optimizer would be held by what is kept for as long as it lives


@contextmanager
def _unfit() -> Iterator[None]:
    """What fastopt refuses, as an UnfitError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UnfitError(str(error)) from error


def _views(params: list[Array], structure: Structure) -> list[Array]:
    """The parameters as kernels need them. Raises TypeError or ValueError."""
    labels = structure.labels("params")
    if not params:
        raise ValueError("params: expected at least one array, received none")
    views: list[Array] = host.views(params, labels)
    for view, label in zip(views, labels, strict=True):
        if view.dtype not in (np.float32, np.float64):
            raise TypeError(f"{label}: expected float32 or float64, received {view.dtype}")
    return views


def _like(gradient: Any, param: Array) -> Array:
    """A gradient in its parameter's dtype and layout."""
    found = np.empty_like(param)
    np.copyto(found, gradient, casting="same_kind")
    return found
