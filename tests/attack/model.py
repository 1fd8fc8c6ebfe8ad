"""What an optimizer should be, in the plainest NumPy: one tensor after the other, one group after the other, nothing shared or remembered.

It takes the formulas and the order of sums from the oracles (`fastopt.reference`, `fastopt.global_norm`) and what a rule is from the table:
its formula's name and options, its states and what they begin as, its defaults, what it remembers. All else is stated once more: which
group a tensor is in, what its own count is, what is skipped, clipped and kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastopt import global_norm, reference
from fastopt.rules.entry import COPY, RULES
from fastopt.storage import noise

__all__ = ["COMMON", "Group", "Model", "Tensor", "compute_dtype", "defaults", "one_step"]

COMMON = {"weight_decay": 0.0, "decoupled_weight_decay": False, "maximize": False}
"""What every rule takes besides the learning rate, and its defaults."""


def compute_dtype(parameter: Any) -> Any:
    """What steps are computed in, and states are kept in unless somebody asks for less."""
    return np.dtype(np.float64 if parameter == np.float64 else np.float32)


def defaults(rule: str) -> dict[str, Any]:
    """Every argument of a rule at its default."""
    entry = RULES[rule]
    return {"lr": entry.default_lr, **COMMON, **entry.defaults}


def begin(rule: str, name: str, values: dict[str, Any], p: Any, dtype: Any) -> Any:
    """A state before the first step."""
    first = RULES[rule].initial(name, values)
    return p.astype(dtype) if first is COPY else np.full(p.shape, first, dtype)


def one_step(
    rule: str,
    p: Any,
    g: Any,
    states: dict[str, Any],
    values: dict[str, Any],
    step: int,
    *,
    memory: tuple[float, ...],
    grad_scale: float = 1.0,
    clip: float = 1.0,
    first: int | None = None,
) -> tuple[Any, dict[str, Any], tuple[float, ...]]:
    """The parameter, the states and what the rule remembers after one step: new arrays of the dtypes given.

    States in bfloat16 are rounded by the noise of elements from the first one on; to nearest where that is None.
    """
    entry, dtype = RULES[rule], compute_dtype(p.dtype)
    hyperparameters = {name: value for name, value in values.items() if name not in ("lr", *COMMON)}
    remembered = dict(zip(entry.memory, memory, strict=True))
    formula = reference.FORMULAS[entry.update.__name__]
    with np.errstate(all="ignore"):
        before, gradient = reference.prepared(
            p.astype(dtype),
            g.astype(dtype),
            lr=values["lr"],
            weight_decay=values["weight_decay"],
            decoupled=values["decoupled_weight_decay"],
            maximize=values["maximize"],
            grad_scale=grad_scale,
            clip=clip,
        )
        own = [states[name].astype(dtype) if name in states else None for name in entry.text_states]  # None where a form keeps none
        new, *results = formula(before, gradient, *own, step=step, lr=values["lr"], **hyperparameters, **remembered, **entry.options)
        after = dict(zip(entry.text_states, results, strict=True))
        now = entry.scalars(step, values["lr"], *memory, **hyperparameters)[1] if memory else memory
        kept = {name: _kept(after[name], states[name].dtype, p, 1 + k, first, step) for k, name in enumerate(states)}
        return new.astype(p.dtype), kept, now


def _kept(values: Any, dtype: Any, p: Any, stream: int, first: int | None, step: int) -> Any:
    """A state as it is kept: in bfloat16 each number's upper half, or one more where the lower half and the noise's come to 2^16."""
    if dtype.name != "bfloat16" or first is None:
        return values.astype(dtype)
    axes = sorted(range(p.ndim), key=lambda axis: -p.strides[axis])
    lying = np.ascontiguousarray(values.transpose(axes), np.float32)
    bits = lying.reshape(-1).view(np.uint32).astype(np.uint64)
    carried = (bits + (noise.numbers(noise.factors(stream), first, bits.size, step) & np.uint32(0xFFFF))) >> np.uint64(16)
    found = carried.astype(np.uint16).view(dtype).reshape(lying.shape)
    found = np.where(np.isnan(lying), dtype.type(np.nan), found)
    return found.transpose(np.argsort(axes)) if axes else found.reshape(p.shape)


@dataclass
class Tensor:
    """A parameter with what belongs to it alone."""

    p: Any
    group: int
    states: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    memory: tuple[float, ...] = ()
    """What the host remembers of it from step to step."""
    sum: Any = None
    """Of its gradients since the last step, where several make one."""


@dataclass
class Group:
    """Arguments that several tensors are stepped with."""

    rule: str
    values: dict[str, Any]
    state_dtype: Any = None

    def values_at(self, steps: int) -> dict[str, Any]:
        """The arguments after so many steps of the optimizer: what schedules come to."""

        def of(value: Any) -> Any:
            return value(steps) if callable(value) else value

        return {name: tuple(map(of, value)) if isinstance(value, tuple) else of(value) for name, value in self.values.items()}


@dataclass
class Model:
    """An optimizer."""

    groups: list[Group]
    tensors: list[Tensor]
    nonfinite: str = "propagate"
    max_norm: float | None = None
    accumulate: int = 1
    accumulated: int = 0
    grad_scale: float = 1.0
    """What the gradients that were accumulated are multiplied by."""
    steps: int = 0
    grad_norm: float | None = None

    def begin(self) -> None:
        """Gives every tensor the states that its rule has and that are not there yet, and takes away others."""
        for tensor in self.tensors:
            group = self.groups[tensor.group]
            dtype = group.state_dtype or compute_dtype(tensor.p.dtype)
            before, tensor.states = tensor.states, {}
            for name in RULES[group.rule].states:
                tensor.states[name] = before[name] if name in before else begin(group.rule, name, group.values, tensor.p, dtype)
            tensor.memory = tensor.memory or tuple(RULES[group.rule].memory.values())

    def norm(self, grads: list[Any]) -> float:
        """The root of the sum of all squares, in the order that every backend sums in; 0 for what has no gradient."""
        sums = []
        for tensor, g in zip(self.tensors, grads, strict=True):
            values = np.zeros(tensor.p.size) if g is None else g.ravel(order="K").astype(compute_dtype(g.dtype)).astype(np.float64)
            with np.errstate(all="ignore"):
                sums.append(global_norm.block_sums(np.square(values)))
        return math.sqrt(global_norm.total(np.concatenate([np.zeros(0), *sums])))

    def step(self, grads: list[Any], grad_scale: float = 1.0, max_norm: float | None = None) -> bool | None:
        """True for a step, False for gradients that make none, None for such as are to be refused because of what is in them."""
        if self.accumulate == 1:
            return self.update(grads, grad_scale, max_norm)
        if self.nonfinite != "propagate" and not all(np.isfinite(g).all() for g in grads if g is not None):
            return False if self.nonfinite == "skip" else None
        for tensor, g in zip(self.tensors, grads, strict=True):
            if g is not None:
                own = g.astype(compute_dtype(g.dtype))
                with np.errstate(all="ignore"):
                    tensor.sum = own if tensor.sum is None else tensor.sum + own
        self.accumulated, self.grad_scale = self.accumulated + 1, grad_scale
        if self.accumulated < self.accumulate:
            return False
        sums = [tensor.sum for tensor in self.tensors]
        self.accumulated = 0
        for tensor in self.tensors:
            tensor.sum = None
        return self.update(sums, grad_scale * self.accumulate, max_norm)

    def update(self, grads: list[Any], grad_scale: float, max_norm: float | None) -> bool | None:
        """The same where every call is to make a step."""
        clip, limit = 1.0, self.max_norm if max_norm is None else max_norm
        norm = None if limit is None else self.norm(grads)
        if self.nonfinite != "propagate" and not all(np.isfinite(g).all() for g in grads if g is not None):
            return False if self.nonfinite == "skip" else None
        if norm is not None and limit is not None:
            self.grad_norm = norm / grad_scale
            clip = 1.0 if self.grad_norm <= limit else limit / self.grad_norm
        first = 0
        for tensor, g in zip(self.tensors, grads, strict=True):
            begin, first = first, first + -(-tensor.p.size // 256) * 256
            if g is None:
                continue
            group = self.groups[tensor.group]
            p, tensor.states, tensor.memory = one_step(
                group.rule,
                tensor.p,
                g,
                tensor.states,
                group.values_at(self.steps),
                tensor.steps + 1,
                memory=tensor.memory,
                grad_scale=grad_scale,
                clip=clip,
                first=begin,
            )
            tensor.p[...] = p
            tensor.steps += 1
        self.steps += 1
        return True
