"""What calls at random are made of: an optimizer on each backend, the model beside them, and the question whether they agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import fastopt
from fastopt import schedules
from fastopt.rules.entry import FLAG, RULES, Hyperparameter, Interval
from fastopt.storage import STORAGES
from tests.attack.arrays import ORDERS, SHAPES, Array, filled, like, made, narrow_there, same_bits, values_for
from tests.attack.model import Group, Model, Tensor, defaults

__all__ = ["COUNTS", "KINDS", "Subject", "packed"]

COUNTS: Counter[str] = Counter()
"""How many calls were made, by what they were."""

KINDS = ("array", "list", "mapping", "nested")


def packed(kind: str, arrays: list[Any]) -> Any:
    """Arrays in a structure of one of the kinds."""
    if kind == "array":
        return arrays[0]
    if kind == "list":
        return list(arrays)
    if kind == "mapping":
        return {f"p{i}": a for i, a in enumerate(arrays)}
    return {"first": arrays[0], "rest": {"a": list(arrays[1:2]), 7: list(arrays[2:])}}


class Subject:
    """An optimizer, on each backend, and what it should be."""

    backends: ClassVar[tuple[str, ...]] = ("numpy", "numba", "cython")
    tried: ClassVar[tuple[str, ...]] = tuple(RULES)
    storages: ClassVar[tuple[tuple[tuple[str, ...], str | None], ...]] = (
        (("float32", "float64"), None),
        *(((("bfloat16", "float32"), None), (("float32",), "bfloat16")) if narrow_there() else ()),
    )
    """What parameters and gradients may be, and states: here what is compiled ahead, since kernels of others take a compiler's time."""

    model: Model
    opts: dict[str, Any]
    params: dict[str, list[Array]]
    rng: np.random.Generator
    rule_name: str
    there: list[str]
    """The backends that can be used here."""
    given: dict[str, Any]
    own_options: list[dict[str, Any]]
    """What was asked for, for all groups and for each."""
    options: dict[str, Any]
    threads: int | None
    dtypes: tuple[str, ...]
    state_dtype: Any
    kinds: list[str]
    sizes: list[int]
    """Of each group its structure, and how many arrays it has."""
    grouped: bool

    def _new_group(self, with_options: bool) -> tuple[Group, dict[str, Any]]:
        """A group of the optimizer's rule, and the options to ask for it with."""
        options = self._some_arguments(self.rule_name) if with_options else {}
        values = {**defaults(self.rule_name), **self.given, **options}
        return Group(self.rule_name, values, self.state_dtype), options

    def _dtype(self) -> Any:
        return STORAGES[str(self.rng.choice(self.dtypes))].dtype

    def _new_tensor(self, group: int, dtype: Any) -> Tensor:
        shape = SHAPES[int(self.rng.integers(len(SHAPES)))]
        order = ORDERS[len(shape)][int(self.rng.integers(len(ORDERS[len(shape)])))]
        p = made(shape, dtype, order, int(self.rng.integers(17)))
        return Tensor(filled(p, values_for(shape, p.dtype, self.rng, special=bool(self.rng.random() < 0.1))), group)

    def _copy_of(self, array: Array) -> Array:
        return filled(like(array, start=int(self.rng.integers(17))), array)

    def _optimizer(self, backend: str, params: list[Array]) -> Any:
        threads = None if backend == "numpy" else self.threads
        return fastopt.Optimizer(
            self._structured(params, own=True), self.rule_name, **self.given, **self.options, backend=backend, num_threads=threads
        )

    def _structured(self, arrays: list[Any], own: bool = False) -> Any:
        """Arrays, or gradients, in the structure that the optimizer has; `own` with each group's options."""
        if not self.grouped:
            return packed(self.kinds[0], arrays)
        parts, start = [], 0
        for k, (kind, size) in enumerate(zip(self.kinds, self.sizes, strict=True)):
            part = packed(kind, arrays[start : start + size])
            parts.append({"params": part, **self.own_options[k]} if own else part)
            start += size
        return parts

    def _some_arguments(self, name: str, scheduled: bool = True) -> dict[str, Any]:
        """Arguments of a rule that are not at their defaults; some follow schedules, if they may."""
        rng, found = self.rng, dict[str, Any]()
        for key, choices in (
            ("lr", (0.0, 1e-4, 0.05, 3.0)),
            ("weight_decay", (0.0, 0.013, 2.0)),
            ("decoupled_weight_decay", (True, False)),
            ("maximize", (True, False)),
        ):
            if rng.random() < 0.4:
                found[key] = choices[int(rng.integers(len(choices)))]
        for key, entry in RULES[name].hyperparameters.items():
            if rng.random() < 0.5:
                found[key] = another(entry, rng)
        for key, value in list(found.items()):
            first = value[0] if isinstance(value, tuple) else value
            if scheduled and key not in BEGINNINGS and may_be_scheduled(name, key, first) and rng.random() < 0.25:
                found[key] = (another_schedule(value[0], rng), *value[1:]) if isinstance(value, tuple) else another_schedule(value, rng)
        return found

    def agrees(self, call: str) -> None:
        """Counts a call on each backend, and asks each what it has now."""
        COUNTS[call] += len(self.there)
        COUNTS["queries"] += 3 * len(self.there)
        model = self.model
        for backend, opt in self.opts.items():
            where = f"{call} on {backend}"
            assert opt.steps == model.steps, f"{where}: {opt.steps} steps, and not {model.steps}"
            assert opt.accumulated == model.accumulated, f"{where}: {opt.accumulated} gradients, and not {model.accumulated}"
            for i, (ours, tensor) in enumerate(zip(self.params[backend], model.tensors, strict=True)):
                assert same_bits(ours, tensor.p), f"{where}: parameter {i}"
            states = opt.flat_state()
            for i, tensor in enumerate(model.tensors):
                expected = tensor.states if tensor.sum is None else {**tensor.states, "grad_sum": tensor.sum}
                assert {name for name in states if states[name][i] is not None} == set(expected)
                for name, value in expected.items():
                    assert same_bits(states[name][i], value), f"{where}: state {name} of {i}"
            norm, wanted = opt.grad_norm, model.grad_norm
            assert (norm is None) == (wanted is None), f"{where}: norm"
            assert norm is None or norm == wanted or (np.isnan(norm) and np.isnan(wanted)), f"{where}: norm"
        opt = self.opts[self.there[int(self.rng.integers(len(self.there)))]]
        kept = opt.state_dict()
        for slot in kept["slots"]:
            for i in slot["params"]:
                assert slot["steps"] == model.tensors[i].steps, f"{call}: a count of its own"
                rule = RULES[model.groups[model.tensors[i].group].rule]
                assert slot["memory"] == dict(zip(rule.memory, model.tensors[i].memory, strict=True)), f"{call}: memory"
        for group, own in zip(kept["groups"], model.groups, strict=True):
            assert {name: group[name] for name in own.values} == saved(own.values), f"{call}: arguments"
        for k, own in enumerate(model.groups):
            assert {name: getattr(opt.groups[k], name) for name in own.values} == own.values_at(model.steps), f"{call}: values"
        assert len(repr(opt)) < 2000

    def on_all(self, call: str, work: Callable[[str, Any], Any]) -> list[Any]:
        """Does the same on each backend."""
        return [work(backend, self.opts[backend]) for backend in self.there]


BEGINNINGS = ("initial_accumulator_value",)
"""What states begin with, which does not change."""


def may_be_scheduled(rule: str, key: str, value: Any) -> bool:
    """Whether every value of `another_schedule` may be one of the argument: finite, and 0 at times."""
    domain = RULES[rule].hyperparameters[key].domain if key in RULES[rule].hyperparameters else None
    return isinstance(value, float) and np.isfinite(value) and (domain is None or 0.0 in domain)


def another_schedule(value: float, rng: np.random.Generator) -> schedules.Schedule:
    """One that goes by a value of an argument, and is 0 at times, or for a while, as the value may be."""
    made = (
        schedules.Linear(value, 5, value / 2.0),
        schedules.Chain((value, 0.0, schedules.Cosine(value, 7)), (2, 5)),
        schedules.Warmup(3, schedules.Exponential(value, 0.5, 2)),
        schedules.ByEpoch(schedules.Staircase(value, 2), 2),
    )
    return made[int(rng.integers(len(made)))]


def saved(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments as a dictionary has them."""

    def of(value: Any) -> Any:
        return value.to_dict() if isinstance(value, schedules.Schedule) else value

    return {name: tuple(map(of, value)) if isinstance(value, tuple) else of(value) for name, value in values.items()}


def another(entry: Hyperparameter, rng: np.random.Generator) -> Any:
    """A value of an argument, somewhere in its domain: a number, a flag, or as many as it has."""
    if isinstance(entry.default, tuple):
        return tuple(another(Hyperparameter(own, entry.domain), rng) for own in entry.default)
    if entry.domain is FLAG:
        return bool(rng.random() < 0.5)
    low = entry.domain.low if isinstance(entry.domain, Interval) else 0.0
    inside = [value for value in (low, low + 1e-8, low + 0.3, low + 0.95, 0.9999, 4.0, math.inf) if value in entry.domain]
    return float(rng.choice(inside))
