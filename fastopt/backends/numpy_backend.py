"""The `numpy` backend: the formulas of `fastopt.reference`, one tensor after the other. Always there, and the slowest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import setitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt import global_norm, layout, reference
from fastopt.global_norm import BLOCK
from fastopt.host import threads
from fastopt.host.worklist import WorkList
from fastopt.kernel import Kernel
from fastopt.rules.entry import Rule
from fastopt.slots import Slot
from fastopt.storage import blocks, noise, split
from fastopt.transcribe import loop_body, spell, variable

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
    return rule.reference is not None or (rule.update.__module__.startswith("fastopt.") and rule.update.__name__ in reference.FORMULAS)


def kernel_address(kernel: Kernel) -> None:
    """None: nothing is compiled."""
    return None


def prepare(kernel: Kernel, work: WorkList) -> Runner:
    """Finds the formula; there is nothing to compile."""
    return Runner(kernel, work)


class Runner:
    """Steps of one kernel over one work list."""

    at_once = around = None

    def __init__(self, kernel: Kernel, work: WorkList) -> None:
        self.kernel, self.work = kernel, work
        rule = kernel.rule
        if rule.reference is not None:
            self.formula = _tried(rule, rule.of_its_states(rule.reference, rule.options))
        elif has_reference(rule):
            self.formula = rule.of_its_states(reference.FORMULAS[rule.update.__name__], rule.options)
        else:
            self.formula = _formula_from_text(rule)

    def ready(self, gradients: list[Any], slots: Sequence[Slot], grad_scale: float, clip: float) -> list[Callable[[], Any]]:
        """The calls that make a step, on the gradients given: all of it is computed by now, and is only to be copied."""
        work = self.work
        calls: list[Callable[[], Any]] = []
        with np.errstate(all="ignore"):  # as the compiled backends: IEEE results, no warnings
            first_blocks = work.addresses[:, -2].tolist()
            every = zip(work.params, gradients, work.states, work.slots, first_blocks, strict=True)
            for parameter, given, states, index, first_block in every:
                if given is None:
                    continue
                slot = slots[index]
                settings = slot.settings
                kept = Kept(self.kernel, parameter, given, states)
                p, g, *own = kept.numbers()
                before, gradient = reference.prepared(
                    p,
                    g,
                    lr=settings.lr,
                    weight_decay=settings.weight_decay,
                    decoupled=settings.decoupled,
                    maximize=settings.maximize,
                    grad_scale=grad_scale,
                    clip=clip,
                    clip_value=settings.clip_value,
                )
                memory = dict(zip(slot.rule.memory, slot.memory, strict=True))
                hyperparameters = {**settings.hyperparameters, **memory}
                ema = own.pop() if self.kernel.stages.averaged else None
                after = self.formula(before, gradient, *own, step=slot.steps + 1, lr=settings.lr, **hyperparameters)
                results = reference.finished(*after, ema=ema, ema_decay=settings.ema_decay, flush_denormals=settings.flush_denormals)
                calls += kept.becoming(results, slot.steps + 1, first_block * BLOCK)
                if settings.zero_grads:
                    calls.append(partial(setitem, kept.arrays[1], ..., 0))
            for slot in slots:
                if slot.memory:
                    slot.scalars()  # what they remember of this step
        return calls

    def all_finite(self, gradients: list[Any]) -> bool:
        """Whether every element of every gradient is finite."""
        return all(np.isfinite(np.asarray(g)).all() for g in gradients if g is not None)

    def squares(self, gradients: list[Any], sums: NDArray[np.float64]) -> None:
        """Writes the sums of the gradients' squares over blocks of 256 elements, each to its place among all blocks."""
        storage = self.kernel.gradient
        for g, p, first in zip(gradients, self.work.params, self.work.addresses[:, -2], strict=True):
            blocks = -(-p.size // global_norm.BLOCK)
            if g is None:
                sums[first : first + blocks] = 0.0
            else:
                in_memory = layout.flat(np.asarray(g))
                with np.errstate(all="ignore"):  # a square may be an infinity, as in the other backends
                    sums[first : first + blocks] = global_norm.block_sums(np.square(storage.decode(in_memory), dtype=np.float64))


class Kept:
    """The arrays of one tensor: a parameter, its gradient, the states, and what else is kept (`Kernel.held`)."""

    def __init__(self, kernel: Kernel, parameter: Any, gradient: Any, states: Sequence[Any]) -> None:
        # without what a subclass makes of `*` (np.matrix)
        self.arrays = [np.asarray(array) for array in (parameter, gradient, *states)]
        self.kernel, self.count = kernel, len(kernel.storages)
        scales = self.arrays[self.count :]
        self.correction: NDArray[Any] = scales.pop() if kernel.split else np.empty(0)
        self.scales = dict(zip(kernel.blocked, scales, strict=True))

    def numbers(self) -> list[NDArray[Any]]:
        """What the parameter, the gradient and the states stand for."""
        found = []
        for k, (storage, array) in enumerate(zip(self.kernel.storages, self.arrays, strict=False)):
            if storage.split is not None:
                found.append(split.joined(storage.split, array, self.correction))
            elif storage.code is None:
                found.append(storage.decode(array))
            else:
                lying = layout.flat(array)
                found.append(layout.lying_like(array, blocks.decode(storage.code, lying, self.scales[k])))
        return found

    def becoming(self, results: Sequence[Any], step: int, first: int) -> list[Callable[[], Any]]:
        """The calls that write the new parameter and states, rounded by the noise of that step and of elements from the first one on."""
        calls: list[Callable[[], Any]] = []
        for k, new in zip((0, *range(2, self.count)), results, strict=True):
            storage, array = self.kernel.storages[k], self.arrays[k]
            if not storage.draws and storage.split is None:
                calls.append(partial(setitem, array, ..., storage.encode(new)))
                continue
            drawn: Any = noise.numbers(self.kernel.drawn[self.kernel.streams[k]], first, array.size, step) if storage.draws else None
            lying = layout.flat(np.asarray(new, storage.compute).reshape(array.shape), array)
            if storage.split is not None:
                written, rest = split.parted(storage.split, lying, storage.dtype, drawn)
                calls.append(partial(setitem, self.correction, ..., layout.lying_like(array, rest)))
            elif storage.code is None:
                written = storage.encode(lying, drawn)
            else:
                written, scales = blocks.encode(storage.code, lying, drawn)
                calls.append(partial(setitem, self.scales[k], ..., scales))
            calls.append(partial(setitem, array, ..., layout.lying_like(array, written)))
        return calls


def _tried(rule: Rule, formula: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """A reference from outside, once it has shown on one element that it answers with p and each state."""
    arrays = [np.ones(1) for _ in range(2 + len(rule.states))]
    results = formula(*arrays, step=1, lr=0.5, **rule.defaults, **rule.memory)
    if not isinstance(results, tuple) or len(results) != 1 + len(rule.states):
        received = f"{len(results)} values" if isinstance(results, tuple) else type(results).__name__
        raise ValueError(
            f"rule {rule.name!r}: expected of its reference a tuple (p{''.join(', ' + s for s in rule.states)}), received {received}"
        )
    return formula


def _formula_from_text(rule: Rule) -> Callable[..., tuple[Any, ...]]:
    """A rule without a reference, evaluated on arrays: usable, but no independent check of the other backends."""
    body = loop_body(rule)
    text = "\n".join(spell(body, FUNCTIONS, conditional="np.where"))
    code = compile(text, f"<fastopt rule {rule.name} on arrays>", "exec")

    def formula(p: Any, g: Any, *states: Any, step: int, lr: float, **hyperparameters: Any) -> tuple[Any, ...]:
        values = {"np": np, "maximum": _maximum, "minimum": _minimum, "sign": _sign}
        values |= {variable(name): array for name, array in zip(body.streams, (p, g, *states), strict=True)}
        memory = [hyperparameters.pop(name) for name in rule.memory]
        own: Any = rule.scalars(step, lr, *memory, **hyperparameters)
        given = own[0] if memory else own
        if len(given) != len(rule.scalar_names):
            raise ValueError(f"scalars: expected {len(rule.scalar_names)} of the rule, received {len(given)}")
        scalars = (*given, 1.0, 1.0)  # the prologue was applied before
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
