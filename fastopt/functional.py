"""One in-place step as a function; the caller keeps the state. One function for each rule of the table, by its name.

    m, v = np.zeros_like(p), np.zeros_like(p)
    fastopt.functional.adam(p, g, m, v, step=1, lr=1e-3)

Each call checks everything anew; the arrays are not copied. Where kernels are compiled and the arrays are plain, a call goes straight
to the kernel, and costs some microseconds more than `Optimizer.step`. Else it lays the work out for this one step. On a device each call
waits for it when it gives the tables back, and none can be captured in a graph.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol, cast

import numpy as np

from fastopt import arguments, backends, memory, storage
from fastopt.host.launched import step_once
from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.entry import RULES, Rule, find, once_for_each
from fastopt.rules.family import Family
from fastopt.slots import Slot
from fastopt.stages import AVERAGE, Stages
from fastopt.storage import STORAGES, Storage
from fastopt.uninterrupted import uninterrupted

__all__ = ["apply"]

NO_DECAY, UNSCALED = 0.0, 1.0
"""Defaults, known by their identity: a call takes some microseconds, and each look at an argument a share of them."""

OPTIONS = ("step", "grad_scale", "backend", "num_threads", "stream")


class StepFunction(Protocol):
    """`(p, g, *states, step, lr=..., **options) -> None`."""

    def __call__(self, *arrays: Any, step: int, lr: float | None = None, **options: Any) -> Any:
        """Updates p and the states in place."""


def apply(
    rule: str | Rule,
    *arrays: Any,
    step: int,
    lr: float | None = None,
    weight_decay: float = NO_DECAY,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    clip_value: float | None = None,
    ema_decay: float | None = None,
    flush_denormals: bool = False,
    zero_grads: bool = False,
    grad_scale: float = UNSCALED,
    backend: str = "auto",
    num_threads: int | None = None,
    stream: Any = None,
    **hyperparameters: Any,
) -> dict[str, float] | None:
    """One step of a rule on one parameter, in place.

    `arrays` are p, g and the rule's states, all NumPy arrays or all on one device, of one shape and layout (dense) and disjoint; all but g
    are written, and with `zero_grads` g too. p, g and the states may be of different dtypes that are computed with in one (float64, or
    float32 for all else). `step` counts from 1. With `ema_decay` the parameter's moving average comes behind the states, in the dtype that
    the step computes in. The rest is as for `fastopt.Optimizer`.

    Returns None; for a rule whose scalars remember something from step to step, what the next step takes as keywords.

    Raises TypeError or ValueError before anything is written.
    """
    entry = find(rule)
    expected = 2 + len(entry.states) + (ema_decay is not None)
    if len(arrays) != expected:
        names = ", ".join(("p", "g", *entry.states, *([] if ema_decay is None else [AVERAGE])))
        raise TypeError(f"{entry.name}: expected {expected} arrays ({names}), received {len(arrays)}")
    step = arguments.whole_number(step, "step", 1)
    memory_before = tuple(arguments.real(hyperparameters.pop(name, first), name) for name, first in entry.memory.items())
    family = Family.of(entry)
    common = weight_decay is NO_DECAY and decoupled_weight_decay is False and maximize is flush_denormals is zero_grads is False
    common = common and clip_value is ema_decay is None
    if common and not hyperparameters and lr is not None:
        settings = family.settings_at(lr)
    else:
        given: dict[str, Any] = {"lr": lr, **hyperparameters}
        if not common:  # to check what is the default anyway takes a microsecond
            given |= {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
            given |= {"clip_value": clip_value, "ema_decay": ema_decay, "flush_denormals": flush_denormals}
            given["zero_grads"] = zero_grads
        settings = family.settle(given, beside=(*OPTIONS, *entry.memory)).settings
    if grad_scale is not UNSCALED:
        grad_scale = arguments.grad_scale(grad_scale)
    slot = Slot(entry, settings, step - 1, memory_before)
    kernel = _kernel(entry, settings.stages, arrays) if stream is None else None
    if kernel is not None:
        _, module = backends.choose(backend, (kernel,))
        threads = module.thread_count(num_threads)
        address = module.kernel_address(kernel)
        if address is not None and step_once(address, kernel, arrays, threads, slot, grad_scale):
            return _remembered(slot)
    _laid_out(slot, arrays, grad_scale, backend, num_threads, stream)
    return _remembered(slot)


def _remembered(slot: Slot) -> dict[str, float] | None:
    if not slot.memory:
        return None
    return dict(zip(slot.rule.memory, slot.coming, strict=True))


def _kernel(rule: Rule, stages: Stages, arrays: tuple[Any, ...]) -> Kernel | None:
    """The kernel for plain arrays; None if they are no such, or of dtypes that do not go together."""
    plain = [array.dtype for array in arrays if array.__class__ is np.ndarray]
    return _kernel_of_dtypes(rule, stages, *plain) if len(plain) == len(arrays) else None


@once_for_each
def _kernel_of_dtypes(rule: Rule, stages: Stages, *dtypes: np.dtype[Any]) -> Kernel | None:
    found = [storage.of(dtype) for dtype in dtypes]
    if None in found:
        return None
    p, g, *states = cast("list[Storage]", found[: 2 + len(rule.states)])
    if any(own.compute != p.compute for own in (g, *states)) or any(own is not states[0] for own in states):
        return None
    return kernel_of(rule, stages, p.name, g.name, states[0].name if states else p.name)


def _laid_out(slot: Slot, arrays: tuple[Any, ...], grad_scale: float, backend: str, num_threads: int | None, stream: Any) -> None:
    """The step by way of a work list, for every backend and memory; or the error that says what is wrong with the arrays."""
    rule, stages = slot.rule, slot.settings.stages
    if arrays[1] is None:
        raise TypeError(f"g: expected a NumPy array of {arguments.KINDS}, received None")
    kept = (*rule.states, *stages.states)
    place = memory.of(arrays, ("p", "g", *kept))
    p, *states = place.views((arrays[0], *arrays[2:]), ("p", *kept))
    own = cast("Storage", storage.of(p.dtype))
    state = cast("Storage", storage.of(states[0].dtype)) if rule.states else own
    if state.compute != own.compute:
        state = STORAGES[own.compute]
    for name, array in zip(kept, states, strict=True):
        arguments.alike(array, name, p, "p", (state if name in rule.states else STORAGES[own.compute]).dtype)
        arguments.lies_like(array, name, p, "p")
    gradient = STORAGES.get(str(getattr(arrays[1], "dtype", None)).removeprefix("torch."))
    gradient = own if gradient is None or gradient.compute != own.compute else gradient
    kernel = kernel_of(rule, stages, own.name, gradient.name, state.name)
    _, module = backends.choose(backend, (kernel,), place)
    work = place.work_list(kernel, [p], [states], ["p"], ["g"], module.thread_count(num_threads), [0])
    work.refresh([arrays[1]], stream)
    runner = module.prepare(kernel, work)
    uninterrupted(runner.ready([arrays[1]], [slot], grad_scale, 1.0), runner.around)


@once_for_each
def _function(entry: Rule) -> StepFunction:
    def step_function(*arrays: Any, step: int, lr: float | None = None, **options: Any) -> Any:
        return apply(entry, *arrays, step=step, lr=lr, **options)

    kinds = inspect.Parameter
    own = [kinds(name, kinds.POSITIONAL_ONLY) for name in ("p", "g", *entry.states)]
    own.append(kinds(AVERAGE, kinds.POSITIONAL_ONLY, default=None))
    named = {"step": kinds.empty, "lr": entry.default_lr, **entry.memory, **entry.defaults}
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
