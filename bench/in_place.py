"""NumPy's update at its best: what an expert without a compiler would write, beside the textbook's arrays that come and go.

    np.multiply(..., out=)     nothing is allocated in a step, so nothing is handed back to the system either
    pieces of PIECE bytes      moments and scratch of a piece stay in the second-level cache from the first operation to the last
    small arrays together      in one piece, as many as it has room for: two operations for each of a thousand, not twelve
    scalars as 0-d arrays      a Python number would be made one at each operation: 0.6 us on 1,000 elements, of which 0.36 remain

The operations are the reference's in the reference's order (`fastopt.reference`), so the results are its results to the last bit. What
they take longer than a fused kernel is what NumPy cannot help: an operation at a time, each through the cache, in one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array

__all__ = ["IN_PLACE", "NAME", "PIECE", "InPlace"]

NAME = "NumPy in place"
"""How tables and plots call it."""

PIECE = 128 * 1024
"""Bytes of each array in a piece: the six of Adam's (parameter, gradient, moments, scratch) then fit a second-level cache of 1 MiB. With
one of 2 MiB, Adam in float32 on 1,000,000 / 4,000,000 parameters took 2.5 / 12.0 ms; in turns with that, times as long in pieces of 32 KiB:
1.27 / 1.15, of 64: 1.04 / 1.04, of 256: 0.97 / 0.99, of 512: 1.05 / 1.03, and in one piece 1.26 / 1.36."""


def sgd(g: Array, t: Array, s: Array, lr: Array) -> None:
    np.multiply(g, lr, out=t)


def momentum(g: Array, b: Array, t: Array, s: Array, lr: Array, beta: Array, weight: Array) -> None:
    np.multiply(b, beta, out=b)
    np.multiply(g, weight, out=t)
    np.add(b, t, out=b)
    np.multiply(b, lr, out=t)


def adagrad(g: Array, h: Array, t: Array, s: Array, lr: Array, eps: Array) -> None:
    np.multiply(g, g, out=s)
    np.add(h, s, out=h)
    np.sqrt(h, out=s)
    np.add(s, eps, out=s)
    np.multiply(g, lr, out=t)
    np.divide(t, s, out=t)


def rmsprop(g: Array, v: Array, t: Array, s: Array, lr: Array, alpha: Array, rest: Array, eps: Array) -> None:
    np.multiply(v, alpha, out=v)
    np.multiply(g, g, out=s)
    np.multiply(s, rest, out=s)
    np.add(v, s, out=v)
    np.sqrt(v, out=s)
    np.add(s, eps, out=s)
    np.multiply(g, lr, out=t)
    np.divide(t, s, out=t)


def adam(g: Array, m: Array, v: Array, t: Array, s: Array, *scalars: Array) -> None:
    step_size, beta1, rest1, beta2, rest2, eps = scalars
    np.multiply(m, beta1, out=m)
    np.multiply(g, rest1, out=s)
    np.add(m, s, out=m)
    np.multiply(v, beta2, out=v)
    np.multiply(g, g, out=s)
    np.multiply(s, rest2, out=s)
    np.add(v, s, out=v)
    np.sqrt(v, out=s)
    np.add(s, eps, out=s)
    np.multiply(m, step_size, out=t)
    np.divide(t, s, out=t)


def _sgd_scalars(step: int, lr: float) -> tuple[float, ...]:
    return (lr,)


def _momentum_scalars(step: int, lr: float, momentum: float, dampening: float) -> tuple[float, ...]:
    return lr, momentum, 1.0 if step == 1 else 1.0 - dampening


def _adagrad_scalars(step: int, lr: float, lr_decay: float, eps: float) -> tuple[float, ...]:
    return lr / (1.0 + (step - 1) * lr_decay), eps


def _rmsprop_scalars(step: int, lr: float, alpha: float, eps: float) -> tuple[float, ...]:
    return lr, alpha, 1.0 - alpha, eps


def _adam_scalars(step: int, lr: float, betas: tuple[float, float], eps: float) -> tuple[float, ...]:
    beta1, beta2 = betas
    correction1, root = 1.0 - beta1**step, math.sqrt(1.0 - beta2**step)
    return lr * root / correction1, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps * root


class Formula(NamedTuple):
    """A rule: `update` changes the moments and writes what is taken off the parameters into t (s is scratch too)."""

    update: Callable[..., None]
    moments: int
    scalars: Callable[..., tuple[float, ...]]
    defaults: dict[str, Any]


IN_PLACE = {
    "sgd": Formula(sgd, 0, _sgd_scalars, {}),
    "momentum": Formula(momentum, 1, _momentum_scalars, {"momentum": 0.9, "dampening": 0.0}),
    "adagrad": Formula(adagrad, 1, _adagrad_scalars, {"lr_decay": 0.0, "eps": 1e-10}),
    "rmsprop": Formula(rmsprop, 1, _rmsprop_scalars, {"alpha": 0.99, "eps": 1e-8}),
    "adam": Formula(adam, 2, _adam_scalars, {"betas": (0.9, 0.999), "eps": 1e-8}),
}
"""By the names that the rules have in fastopt's table, with the same defaults."""


@dataclass
class Piece:
    """Elements that go through the operations together."""

    gradients: list[tuple[int, slice]]
    """Where they come from: the array's number, and which of its elements."""

    updates: list[tuple[Array, Array]]
    """Elements of a parameter, and those of t that are taken off them."""

    gathered: Array
    """Where gradients of several arrays are put together."""

    arrays: tuple[Array, ...]
    """Moments, t and s."""


class InPlace:
    """A rule over arrays of one dtype, float32 or float64, each of them C-contiguous; a sequence or a mapping of them.

    `settings` are the rule's hyperparameters, by fastopt's names. Raises TypeError or ValueError where that is not what came.
    """

    def __init__(self, params: Sequence[Array] | Mapping[str, Array], rule: str = "adam", lr: float = 1e-3, **settings: Any) -> None:
        if rule not in IN_PLACE:
            raise ValueError(f"rule: expected one of {', '.join(IN_PLACE)}, received {rule!r}")
        self.formula = IN_PLACE[rule]
        if unknown := settings.keys() - self.formula.defaults.keys():
            raise TypeError(f"settings: expected some of {sorted(self.formula.defaults)}, received {sorted(unknown)} for {rule}")
        self.settings = {"lr": lr} | self.formula.defaults | settings
        self.names = dict.fromkeys(params) if isinstance(params, Mapping) else None
        arrays = self._in_order(params)
        self.dtype = arrays[0].dtype if arrays else np.dtype(np.float32)
        for i, p in enumerate(arrays):
            if p.dtype != self.dtype or p.dtype not in (np.float32, np.float64):
                raise ValueError(f"params[{i}]: expected float32 or float64, the same for all; received {p.dtype}")
            if not (p.flags.c_contiguous and p.flags.writeable):
                kind = "one that is read-only" if p.flags.c_contiguous else f"one with strides {p.strides}"
                raise ValueError(f"params[{i}]: expected a C-contiguous array that can be written to, received {kind}")
        self.shapes = [p.shape for p in arrays]
        self.steps = 0
        self.scalars = np.zeros(len(self.formula.scalars(1, **self.settings)), self.dtype)
        self.each_scalar = [self.scalars[i : i + 1].reshape(()) for i in range(len(self.scalars))]
        self.pieces = self._pieces([p.reshape(-1) for p in arrays])

    def _pieces(self, flat: list[Array]) -> list[Piece]:
        """Full pieces of large arrays by themselves, and what is left over as many to a piece as there is room for."""
        most = PIECE // self.dtype.itemsize
        whole = [[(i, slice(a, a + most))] for i, p in enumerate(flat) for a in range(0, p.size - most + 1, most)]
        together: list[list[tuple[int, slice]]] = []
        room = 0
        for i, p in enumerate(flat):
            left = p.size % most
            if left > room:
                together.append([])
                room = most
            if left:
                together[-1].append((i, slice(p.size - left, p.size)))
                room -= left
        scratch = np.empty((3, most), self.dtype)
        return [self._piece(flat, part, scratch) for part in (*whole, *together)]

    def _piece(self, flat: list[Array], gradients: list[tuple[int, slice]], scratch: Array) -> Piece:
        sizes = [where.stop - where.start for _, where in gradients]
        ends = np.cumsum(sizes).tolist()
        t, s, gathered = (each[: ends[-1]] for each in scratch)
        moments = np.zeros((self.formula.moments, ends[-1]), self.dtype)
        updates = [(flat[i][where], t[end - size : end]) for (i, where), size, end in zip(gradients, sizes, ends, strict=True)]
        return Piece(gradients, updates, gathered, (*moments, t, s))

    def _in_order(self, grads: Sequence[Array] | Mapping[str, Array]) -> list[Array]:
        if self.names is None and not isinstance(grads, Mapping):
            return list(grads)
        if self.names is None or not isinstance(grads, Mapping):
            kind = "sequence" if self.names is None else "mapping"
            raise TypeError(f"grads: expected a {kind}, as params; received {type(grads).__name__}")
        if grads.keys() != self.names.keys():
            raise ValueError(f"grads: expected the names of params, {list(self.names)}; received {list(grads)}")
        return [grads[name] for name in self.names]

    def step(self, grads: Sequence[Array] | Mapping[str, Array]) -> None:
        """One step, in place; `grads` is as `params` was.

        Raises TypeError or ValueError, before anything changes, where names, shapes or dtypes are others.
        """
        given = self._in_order(grads)
        if len(given) != len(self.shapes):
            raise ValueError(f"grads: expected {len(self.shapes)} arrays, one for each parameter; received {len(given)}")
        for i, (g, shape) in enumerate(zip(given, self.shapes, strict=True)):
            if g.shape != shape or g.dtype != self.dtype:
                raise ValueError(f"grads[{i}]: expected shape {shape} and {self.dtype}, received {g.shape} and {g.dtype}")
        flat = [g.reshape(-1) for g in given]
        self.steps += 1
        self.scalars[:] = self.formula.scalars(self.steps, **self.settings)
        for piece in self.pieces:
            if len(piece.gradients) == 1:
                ((i, where),) = piece.gradients
                g = flat[i][where]
            else:
                g = np.concatenate([flat[i][where] for i, where in piece.gradients], out=piece.gathered)
            self.formula.update(g, *piece.arrays, *self.each_scalar)
            for p, taken in piece.updates:
                np.subtract(p, taken, out=p)
