"""One in-place step as a function; the caller keeps the state. One function for each rule of the table, by its name.

    m, v = np.zeros_like(p), np.zeros_like(p)
    fastopt.functional.adam(p, g, m, v, step=1, lr=1e-3)

Each call checks everything anew; the arrays are not copied. Where kernels are compiled and the arrays are plain, a call goes straight
to the kernel, and costs some microseconds more than `Optimizer.step`. Else it lays the work out for this one step. On a device each call
waits for it when it gives the tables back, and none can be captured in a graph.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, Protocol

import numpy as np

from fastopt import arguments, backends, memory
from fastopt.backends.launched import step_once
from fastopt.rules.entry import RULES, Rule, find
from fastopt.settings import Settings

__all__ = ["apply"]


class StepFunction(Protocol):
    """`(p, g, *states, step, lr=..., **options) -> None`."""

    def __call__(self, *arrays: Any, step: int, lr: float | None = None, **options: Any) -> None:
        """Updates p and the states in place."""


def apply(
    rule: str | Rule,
    *arrays: Any,
    step: int,
    lr: float | None = None,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    grad_scale: float = 1.0,
    backend: str = "auto",
    num_threads: int | None = None,
    stream: Any = None,
    **hyperparameters: Any,
) -> None:
    """One step of a rule on one parameter, in place.

    `arrays` are p, g and the rule's states, all NumPy arrays or all on one device, of one shape and dtype (float32 or float64),
    C-contiguous and disjoint; all but g are written. `step` counts from 1. The rest is as for `fastopt.Optimizer`.

    Raises TypeError or ValueError before anything is written.
    """
    entry = find(rule)
    if len(arrays) != 2 + len(entry.states):
        names = ", ".join(("p", "g", *entry.states))
        raise TypeError(f"{entry.name}: expected {2 + len(entry.states)} arrays ({names}), received {len(arrays)}")
    step = arguments.whole_number(step, "step", 1)
    settings = arguments.settings(entry, lr, weight_decay, decoupled_weight_decay, maximize, hyperparameters)
    grad_scale = arguments.grad_scale(grad_scale)
    dtype = arguments.DTYPES.get(arrays[0].dtype) if arrays[0].__class__ is np.ndarray else None
    if stream is None and dtype is not None:
        _, module = backends.choose(backend, entry)
        threads = module.thread_count(num_threads)
        address = module.kernel_address(entry, settings.coupled, dtype)
        if address is not None and step_once(address, entry, arrays, threads, step, settings, grad_scale):
            return
    _laid_out(entry, arrays, step, settings, grad_scale, backend, num_threads, stream)


def _laid_out(
    rule: Rule,
    arrays: tuple[Any, ...],
    step: int,
    settings: Settings,
    grad_scale: float,
    backend: str,
    num_threads: int | None,
    stream: Any,
) -> None:
    """The step by way of a work list, for every backend and memory; or the error that says what is wrong with the arrays."""
    names = ("p", "g", *rule.states)
    place = memory.of(arrays, names)
    p, *states = place.views((arrays[0], *arrays[2:]), ("p", *rule.states))
    for name, state in zip(rule.states, states, strict=True):
        arguments.alike(state, name, p, "p")
    _, module = backends.choose(backend, rule, place)
    work = place.work_list([p], [states], ["p"], ["g"], module.thread_count(num_threads))
    work.refresh([arrays[1]], stream)
    module.prepare(rule, settings.coupled, work).run([arrays[1]], step, settings, grad_scale)


@cache
def _function(entry: Rule) -> StepFunction:
    def step_function(*arrays: Any, step: int, lr: float | None = None, **options: Any) -> None:
        apply(entry, *arrays, step=step, lr=lr, **options)

    kinds = inspect.Parameter
    own = [kinds(name, kinds.POSITIONAL_ONLY) for name in ("p", "g", *entry.states)]
    named = {"step": kinds.empty, "lr": entry.default_lr, **entry.defaults}
    common = inspect.signature(apply).parameters.values()
    named |= {p.name: p.default for p in common if p.kind is kinds.KEYWORD_ONLY and p.name not in named}
    own += [kinds(name, kinds.KEYWORD_ONLY, default=default) for name, default in named.items()]
    step_function.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]  # what help() and IDEs read
    step_function.__name__ = step_function.__qualname__ = entry.name
    step_function.__doc__ = f"One in-place step: {entry.equation}\n\nSource: {entry.source}. Options are those of `apply`."
    return step_function


def __getattr__(name: str) -> StepFunction:
    if name in RULES:
        return _function(RULES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; rules are {', '.join(RULES)}")


def __dir__() -> list[str]:
    return [*__all__, *RULES]
