"""Ctrl-C at any time: a handler that raises finds a step or a loading made or not made, and counted as it is."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np

import fastopt
from tests.attack.outcome import Outcome, Say
from tests.interrupts import Interrupted

__all__ = ["interrupts"]

KINDS: dict[str, Callable[[int, str], Any]] = {
    "one array": lambda n, b: fastopt.Adam([np.ones(n, np.float32)], backend=b),
    "two dtypes": lambda n, b: fastopt.Adam([np.ones(n, np.float32), np.ones(n // 2)], backend=b),
    "groups": lambda n, b: fastopt.SGD(
        [{"params": np.ones(n, np.float32)}, {"params": np.ones(n // 2), "lr": 0.5, "weight_decay": 0.1}], momentum=0.9, backend=b
    ),
    "clipped": lambda n, b: fastopt.Adam([np.ones(n), np.ones(n // 4, np.float32)], max_norm=0.5, backend=b),
    "with memory": lambda n, b: fastopt.NAdam([np.ones(n, np.float32), np.ones(n // 3)], backend=b),
}
SIZES = (1_000, 100_000, 1_000_000)


def _state(opt: Any) -> list[Any]:
    """Of all that a step changes some elements of each part of every array: to look at all takes longer than a step."""
    arrays = [*opt._params, *(state for own in opt._states for state in own)]
    return [opt.steps, *(slot.steps for slot in opt._plan.slot_of), *(a.reshape(-1)[:: max(1, a.size // 999)].tobytes() for a in arrays)]


def _interrupted(work: Callable[[], Any], after: float) -> bool:
    """Whether the signal came before the timer was stopped, which may be just after the work is done."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, after)
            work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupted:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return True
    return False


def interrupts(size: float, say: Say) -> Outcome:
    """Steps of every kind and size on every backend, and loadings; beside each an optimizer that nobody interrupts."""
    outcome = Outcome()
    if not hasattr(signal, "setitimer"):
        outcome.left_out.append("interrupts: there are no timers that send signals here")
        return outcome
    there = [name for name in ("numpy", "numba", "cython") if fastopt.available_backends()[name] is True]
    combinations = [(backend, kind, elements) for elements in SIZES for kind in KINDS for backend in there]
    each = max(1, round(450 * size / len(combinations)))
    if size < 1:
        combinations = combinations[:: max(1, round(len(combinations) / max(9, 45 * size)))]
    rng = np.random.default_rng(0)

    def raises(*_: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, raises)
    try:
        for backend, kind, elements in combinations:
            opt, beside = KINDS[kind](elements, backend), KINDS[kind](elements, "numpy" if elements < 10_000 else there[-1])
            values = [rng.standard_normal(p.shape).astype(p.dtype) for p in opt._params]
            grads, beside_grads = opt._structure.restore(values), beside._structure.restore(values)
            opt.step(grads)
            for _ in range(each):
                _interrupts_a_step(outcome, f"{backend}, {kind}, {elements}", opt, grads, beside, beside_grads, rng)
                _interrupts_a_loading(outcome, f"{backend}, {kind}, {elements}", opt, rng)
        say(f"interrupts: {outcome.counts['interrupted steps']} of steps, {outcome.counts['interrupted loadings']} of loadings")
    finally:
        signal.signal(signal.SIGALRM, before)
    return outcome


def _interrupts_a_step(outcome: Outcome, what: str, opt: Any, grads: Any, beside: Any, beside_grads: Any, rng: Any) -> None:
    def steps() -> None:
        while True:
            opt.step(grads)

    last = opt.steps
    outcome.holds(_interrupted(steps, float(rng.uniform(1e-5, 3e-3))), f"interrupted step: {what}: nothing came")
    outcome.counts["interrupted steps"] += 1
    outcome.counts["steps made meanwhile"] += opt.steps - last
    while beside.steps < opt.steps:
        beside.step(beside_grads)
    outcome.holds(_state(opt) == _state(beside), f"interrupted step: {what}: torn, or not counted")


def _interrupts_a_loading(outcome: Outcome, what: str, opt: Any, rng: Any) -> None:
    kept = opt.state_dict()
    old = _state(opt)
    for values in kept["state"].values():
        for value in _leaves(values):
            value += 1
    kept["steps"] += 1
    for slot in kept["slots"]:
        slot["steps"] += 1
    original = opt.state_dict()
    came = _interrupted(lambda: opt.load_state_dict(kept), float(rng.uniform(1e-6, 2e-4)))
    outcome.counts["interrupted loadings"] += came
    found = _state(opt)
    opt.load_state_dict(kept)
    outcome.holds(found in (old, _state(opt)), f"interrupted loading: {what}: half done")
    opt.load_state_dict(original)


def _leaves(values: Any) -> list[Any]:
    if isinstance(values, list | dict):
        parts = values if isinstance(values, list) else list(values.values())
        return [leaf for part in parts for leaf in _leaves(part)]
    return [] if values is None else [values]
