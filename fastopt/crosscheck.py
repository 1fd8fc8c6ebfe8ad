"""Every backend against the oracle, in units in the last place (ULP): what `fastopt check` prints and the tests assert.

Each comparison makes a few steps, on several tensors at once, with a learning rate that changes on the way, and then
looks at every parameter, every state and every gradient element by element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import backends, storage
from fastopt.optimizers.base import Optimizer
from fastopt.rules.entry import Hyperparameter, HyperparameterValue, Interval, Rule

__all__ = [
    "AWKWARD_LENGTHS",
    "MASTERS",
    "Case",
    "awkward_arrays",
    "cases",
    "compare",
    "master_cases",
    "other_value",
    "stage_cases",
    "ulp_distance",
]

AWKWARD_LENGTHS = (0, 1, 3, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025)
"""Around every vector width, unroll factor and block, with room for a scalar tail before and after."""

STAGES: dict[str, Any] = {"clip_value": 0.8, "ema_decay": 0.93, "flush_denormals": True, "zero_grads": True}
"""Arguments that ask for every stage that a kernel does not have otherwise."""

MASTERS: tuple[dict[str, Any], ...] = (
    {"master_bits": 32},
    {"master_bits": 24},
    {"master_bits": 24, "stochastic_rounding": True},
    {"stochastic_rounding": True},
)
"""Arguments that ask for a correction beside parameters of bfloat16, or for those to be drawn."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One choice of everything that a step depends on besides the arrays."""

    name: str
    options: dict[str, Any]
    grad_scale: float = 1.0
    grouped: bool = False
    """Whether every second tensor is in a group of its own, with another learning rate, and some gradients are None at some steps."""

    def __str__(self) -> str:
        return self.name

    @property
    def coupled(self) -> bool:
        """Whether it takes the kernel that has the weight decay in the gradient."""
        return bool(self.options.get("weight_decay")) and not self.options.get("decoupled_weight_decay", False)


def other_value(entry: Hyperparameter) -> HyperparameterValue:
    """A value that is neither the default nor zero; a flag turned over."""
    if not isinstance(entry.domain, Interval):
        return tuple(not value for value in entry.default) if isinstance(entry.default, tuple) else not entry.default
    low, high = entry.domain.low, entry.domain.high

    def other(default: float) -> float:
        if np.isfinite(high):
            return low + (high - low) * (0.31 if default > low + 0.5 * (high - low) else 0.87)
        return default * 0.83 + 0.0071

    if isinstance(entry.default, tuple):
        return tuple(other(value) * (1.0 + 0.1 * i) for i, value in enumerate(entry.default))
    return other(entry.default)


def cases(rule: Rule) -> list[Case]:
    """The hyperparameter cases of a rule: its defaults, and some in which nothing is zero or at its default."""
    others: dict[str, Any] = {name: other_value(entry) for name, entry in rule.hyperparameters.items()}
    return [
        Case("defaults", {}),
        Case("coupled weight decay, scaled gradients", {**others, "weight_decay": 0.013}, grad_scale=3.0),
        Case("decoupled weight decay", {**others, "weight_decay": 0.37, "decoupled_weight_decay": True}, grad_scale=0.7),
        Case("coupled weight decay, maximize, clipped", {**others, "weight_decay": 0.013, "maximize": True, "max_norm": 0.7}),
        Case("groups, missing gradients, clipped", {**others, "weight_decay": 0.13, "max_norm": 1.3}, grad_scale=1.7, grouped=True),
    ]


def stage_cases(rule: Rule) -> list[Case]:
    """The same for what a kernel has only where somebody asks for it (`fastopt.stages`): every stage at once, which is one kernel."""
    plain, others = {**STAGES, "weight_decay": 0.013}, {name: other_value(entry) for name, entry in rule.hyperparameters.items()}
    return [
        Case("every stage, scaled gradients", {**others, **plain}, grad_scale=3.0),
        Case("every stage, groups, missing gradients, clipped, maximize", {**plain, "max_norm": 1.3, "maximize": True}, grouped=True),
    ]


def master_cases(rule: Rule, asked: dict[str, Any]) -> list[Case]:
    """Two of the cases, with arguments of `MASTERS`: they take one kernel."""
    chosen = [case for case in cases(rule) if case.coupled][::2]
    return [replace(case, options={**case.options, **asked}) for case in chosen]


def ulp_distance(a: Array, b: Array) -> int:
    """The largest number of representable values between elements of two arrays of one dtype.

    One NaN equals another whatever its payload, and differs from a number by 2^63 - 1; +0 and -0 are one apart, since
    they are different bits.
    """
    integers: Any = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}[a.dtype.itemsize]
    different = a.view(integers) != b.view(integers)
    if not different.any():
        return 0
    a, b = a[different], b[different]  # few as a rule: integers of any size, which float64 needs, are slow
    nan_a, nan_b = np.isnan(a), np.isnan(b)
    if (nan_a != nan_b).any():
        return int(np.iinfo(np.int64).max)
    ordered = []
    for x in (a, b):
        bits = np.where(nan_a, np.zeros((), a.dtype), x).view(integers).astype(object if a.itemsize == 8 else np.int64)
        lowest = np.iinfo(integers).min
        ordered.append(np.where(bits < 0, lowest - bits - 1, bits))  # -0 is -1, and so on downwards
    return int(np.abs(ordered[0] - ordered[1]).max())


def awkward_arrays(lengths: Sequence[int], dtype: Any, rng: np.random.Generator, special: bool) -> list[Array]:
    """Random arrays whose starts are misaligned by all multiples of the element size; `special` strews in values of note.

    Those are +-0, the smallest and the largest denormal, the smallest normal number, large numbers, infinities and NaN.
    """
    module = storage.find(dtype, "dtype").module
    kind: Any = np.finfo(dtype) if module is None else import_module(module).finfo(dtype)
    smallest, tiny, largest = float(kind.smallest_subnormal), float(kind.tiny), float(kind.max)
    notable = [0.0, -0.0, smallest, -smallest, tiny - smallest, tiny, largest**0.5, -largest, np.inf, -np.inf, np.nan]
    arrays = []
    for i, length in enumerate(lengths):
        buffer = rng.standard_normal(length + 16).astype(dtype)
        start = i % 16
        array = buffer[start : start + length]
        if special and length:
            places = rng.random(length) < 0.3
            array[places] = rng.choice(np.array(notable, dtype), int(places.sum()))
        arrays.append(array)
    return arrays


def compare(
    rule: Rule,
    backend: str,
    dtype: Any,
    case: Case,
    *,
    gradient: Any = None,
    state: Any = None,
    lengths: Sequence[int] = AWKWARD_LENGTHS,
    steps: int = 3,
    num_threads: int | None = None,
    special: bool = False,
    seed: int = 0,
) -> int:
    """The largest distance in ULP between a backend and the oracle, over parameters, states, norms, and what is left
    of the gradients, after some steps.

    `dtype` is that of the parameters; `gradient` and `state`, if given, are those of gradients and states.
    """
    own_dtype, gradient_dtype = (storage.find(name, "dtype").dtype for name in (dtype, dtype if gradient is None else gradient))
    rng = np.random.default_rng(seed)
    start = awkward_arrays(lengths, own_dtype, rng, special)
    optimizers, params = [], []
    beside: list[tuple[Array, ...]] = []
    for name, threads in ((backend, num_threads), ("numpy", None)):
        own = awkward_arrays(lengths, own_dtype, np.random.default_rng(1), False)
        for p, values in zip(own, start, strict=True):
            p[...] = values
        params.append(_placed(own, name))
        options = {**case.options, "backend": name, "num_threads": threads, "state_dtype": state, "grad_dtype": gradient}
        options["narrow_from"] = None if state is None else 0
        given = [{"params": params[-1][::2]}, {"params": params[-1][1::2], "lr": 0.02}] if case.grouped else params[-1]
        optimizers.append(Optimizer(given, rule, 0.01, **options))
    for step in range(steps):
        gradients = awkward_arrays(lengths, gradient_dtype, rng, special)
        taken: list[list[Any]] = []
        for optimizer in optimizers:
            optimizer.groups[0].lr = 0.01 / (1 + step)
            placed = _placed(_copies(gradients), optimizer.backend)
            taken.append(placed)
            if case.grouped:
                placed = [None if step and (i + step) % 3 == 0 else g for i, g in enumerate(placed)]
                optimizer.step([placed[::2], placed[1::2]], grad_scale=case.grad_scale)
            else:
                optimizer.step(placed, grad_scale=case.grad_scale)
        beside += zip(*([_fetched(g) for g in own] for own in taken), strict=True)
        beside.append(tuple(np.array(np.nan if o.grad_norm is None else o.grad_norm) for o in optimizers))
    return max(ulp_distance(a, b) for a, b in (*_pairs(params, optimizers), *beside))


def _placed(arrays: list[Array], backend: str) -> list[Any]:
    """The arrays in the memory that a backend works in, as far from the beginning of a cache line as they are."""
    if backend in backends.HOST:
        return arrays
    from fastopt.cuda.memory import from_host

    return [from_host(array, offset=array.ctypes.data % 64) for array in arrays]


def _pairs(params: list[list[Any]], optimizers: list[Optimizer]) -> Iterator[tuple[Array, Array]]:
    yield from zip(*([_fetched(p) for p in own] for own in params), strict=True)
    states = [optimizer.flat_state() for optimizer in optimizers]
    for name in states[0]:
        yield from zip(states[0][name], states[1][name], strict=True)


def _copies(arrays: Sequence[Array]) -> list[Array]:
    """Copies that lie as `awkward_arrays` lets them lie."""
    copies = []
    for i, array in enumerate(arrays):
        copies.append(np.empty(array.size + 16, array.dtype)[i % 16 :][: array.size])
        copies[-1][...] = array
    return copies


def _fetched(array: Any) -> Array:
    if isinstance(array, np.ndarray):
        return array
    from fastopt.cuda.memory import to_host

    return to_host(array)
