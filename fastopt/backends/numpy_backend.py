"""The `numpy` backend: the formulas of `fastopt.reference`, one tensor after the other. Always there, and the slowest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastopt import reference, threads
from fastopt.rules.entry import Rule
from fastopt.settings import Settings
from fastopt.transcribe import loop_body, spell, variable
from fastopt.worklist import WorkList

__all__ = ["Runner", "has_reference", "kernel_address", "prepare", "thread_count", "unavailable"]

FUNCTIONS = {"sqrt": "np.sqrt", "absolute": "np.abs", "maximum": "maximum", "minimum": "minimum", "sign": "sign"}


def unavailable() -> str | None:
    """None: it can always be used."""
    return None


def thread_count(num_threads: int | None) -> int:
    """1: NumPy's arithmetic runs in the calling thread. Raises ValueError if more are asked for."""
    return threads.only_one(num_threads, "the numpy backend runs in one thread")


def has_reference(rule: Rule) -> bool:
    """Whether somebody stated the formula a second time; if not, this backend evaluates the rule's own text."""
    return rule.reference is not None or (rule.update.__module__.startswith("fastopt.") and hasattr(reference, rule.name))


def kernel_address(rule: Rule, coupled: bool, dtype: str) -> None:
    """None: nothing is compiled."""
    return None


def prepare(rule: Rule, coupled: bool, work: WorkList) -> Runner:
    """Finds the formula; there is nothing to compile."""
    return Runner(rule, work)


class Runner:
    """Steps of one rule over one work list."""

    def __init__(self, rule: Rule, work: WorkList) -> None:
        self.work = work
        if rule.reference is not None:
            self.formula: Callable[..., tuple[Any, ...]] = _tried(rule, rule.reference)
        elif has_reference(rule):
            self.formula = getattr(reference, rule.name)
        else:
            self.formula = _formula_from_text(rule)

    def run(self, gradients: list[Any], step: int, settings: Settings, grad_scale: float) -> None:
        """One step, on the gradients given."""
        common: dict[str, Any] = {
            "lr": settings.lr,
            "weight_decay": settings.weight_decay,
            "decoupled": settings.decoupled,
            "maximize": settings.maximize,
            "grad_scale": grad_scale,
        }
        with np.errstate(all="ignore"):  # as the compiled backends: IEEE results, no warnings
            for parameter, given, states in zip(self.work.params, gradients, self.work.states, strict=True):
                p, g = np.asarray(parameter), np.asarray(given)  # without what a subclass makes of `*` (np.matrix)
                before, gradient = reference.prepared(p, g, **common)
                results = self.formula(before, gradient, *states, step=step, lr=settings.lr, **settings.hyperparameters)
                for array, new in zip((p, *states), results, strict=True):
                    array[...] = new

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return all(np.isfinite(g).all() for g in gradients)


def _tried(rule: Rule, formula: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """A reference from outside, once it has shown on one element that it answers with p and each state."""
    arrays = [np.ones(1) for _ in range(2 + len(rule.states))]
    results = formula(*arrays, step=1, lr=0.5, **rule.defaults)
    if not isinstance(results, tuple) or len(results) != 1 + len(rule.states):
        received = f"{len(results)} values" if isinstance(results, tuple) else type(results).__name__
        raise ValueError(
            f"rule {rule.name!r}: expected of its reference a tuple (p{''.join(', ' + s for s in rule.states)}), received {received}"
        )
    return formula


def _formula_from_text(rule: Rule) -> Callable[..., tuple[Any, ...]]:
    """A rule without a reference, evaluated on arrays: usable, but no independent check of the other backends."""
    body = loop_body(rule, coupled=False)
    text = "\n".join(spell(body, FUNCTIONS, conditional="np.where"))
    code = compile(text, f"<fastopt rule {rule.name} on arrays>", "exec")

    def formula(p: Any, g: Any, *states: Any, step: int, lr: float, **hyperparameters: Any) -> tuple[Any, ...]:
        values = {"np": np, "maximum": _maximum, "minimum": _minimum, "sign": _sign}
        values |= {variable(name): array for name, array in zip(body.streams, (p, g, *states), strict=True)}
        scalars = (*rule.scalars(step, lr, **hyperparameters), 1.0, 1.0)  # the prologue was applied before
        values |= {variable(name): float(scalar) for name, scalar in zip(body.scalars, scalars, strict=True)}
        exec(code, values)
        return tuple(values[variable("new_" + name)] for name in body.written)

    return formula


def _maximum(a: Any, b: Any) -> Any:
    return np.where((a > b) | (a != a), a, b)


def _minimum(a: Any, b: Any) -> Any:
    return np.where((a < b) | (a != a), a, b)


def _sign(x: Any) -> Any:
    return np.where(x != x, x, np.sign(x))
