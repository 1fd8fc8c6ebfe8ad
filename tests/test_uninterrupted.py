"""Ctrl-C, or any signal handler that raises, finds a call made or not made: parameters, states and counts agree."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
import fastopt.backends
from fastopt.schedules import Chain, Linear, Plateau, Warmup
from tests.conftest import LAUNCHINGS, needed
from tests.interrupts import Interrupted, interrupted_at, places_of

BACKENDS = ["numpy", "numba", "cython"]


def one(backend: str) -> Any:
    return fastopt.Adam([np.arange(5, dtype=np.float32)], backend=backend)


def two_dtypes(backend: str) -> Any:
    return fastopt.Adam([np.arange(5, dtype=np.float32), np.arange(7.0), np.arange(3, dtype=np.float32)], backend=backend)


def groups(backend: str) -> Any:
    p = [np.arange(5, dtype=np.float32), np.arange(7, dtype=np.float32)]
    return fastopt.SGD([{"params": p[:1]}, {"params": p[1:], "lr": 0.5, "weight_decay": 0.1}], momentum=0.9, backend=backend)


def with_memory(backend: str) -> Any:
    return fastopt.Optimizer([np.arange(5, dtype=np.float32), np.arange(7.0)], rule="nadam", backend=backend)


def clipped(backend: str) -> Any:
    return fastopt.Adam([np.arange(5, dtype=np.float32), np.arange(7.0)], max_norm=0.5, backend=backend)


def scheduled(backend: str) -> Any:
    return fastopt.Adam([np.arange(5, dtype=np.float32)], lr=Warmup(4, Plateau(0.5, factor=0.5, patience=0)), backend=backend)


def scheduled_decay(backend: str) -> Any:
    """It asks for another kernel at the third step, which is the one to be interrupted."""
    return fastopt.SGD([np.arange(5, dtype=np.float32)], lr=Linear(0.5, 8), weight_decay=Chain((0.0, 0.5), (2,)), backend=backend)


def scheduled_momentum(backend: str) -> Any:
    return fastopt.SGD([np.arange(5, dtype=np.float32)], lr=0.5, momentum=Linear(0.5, 8, 0.9), backend=backend)


def summing(backend: str) -> Any:
    """Its third gradient is only added to the two before."""
    return fastopt.Adam([np.arange(5, dtype=np.float32), np.arange(7.0)], accumulate=4, backend=backend)


MADE = [one, two_dtypes, groups, with_memory, clipped, summing]


def grads_of(opt: Any) -> Any:
    """Gradients in the structure of the parameters, of ones."""
    return opt._structure.restore([np.ones_like(p) for p in opt._params])


def whole_state(opt: Any) -> bytes:
    """All that a call may change, as bytes."""
    kept = opt.state_dict()
    counts = repr((kept["steps"], kept["slots"], kept["groups"], kept.get("accumulated"))).encode()
    arrays = [*opt._params, *(s for own in opt._states for s in own), *kept["state"].get("grad_sum", [])]
    return counts + b"".join(array.tobytes() for array in arrays)


def step(opt: Any) -> None:
    opt.step(grads_of(opt))


def step_without_some(opt: Any) -> None:
    grads = [np.ones_like(p) for p in opt._params]
    opt.step(opt._structure.restore([None, *grads[1:]]))


def loads(opt: Any) -> None:
    kept = opt.state_dict()
    kept["steps"] += 7
    for group in kept["groups"]:
        group["lr"] = 0.25
    for slot in kept["slots"]:
        slot["steps"] += 7
    for name, values in kept["state"].items():
        kept["state"][name] = [value if isinstance(value, list) else value + 1 for value in values]
    opt.load_state_dict(kept)


def configures(opt: Any) -> None:
    opt.configure(lr=0.125)


def configures_another_kernel(opt: Any) -> None:
    opt.configure(weight_decay=0.5)


def sets_lr(opt: Any) -> None:
    opt.lr = 0.75


def sets_a_schedule(opt: Any) -> None:
    opt.lr = Linear(0.75, 8)


def configures_schedules(opt: Any) -> None:
    opt.configure(lr=Linear(0.75, 8), weight_decay=Chain((0.0, 0.25), (3,)))


def observes(opt: Any) -> None:
    opt.observe(3.0)


def adds(opt: Any) -> None:
    opt.add_param_group({"params": np.ones(4, np.float32)})


CHANGES = [step_without_some, loads, configures, configures_another_kernel, sets_lr, adds]
SCHEDULED = [
    *((one, work) for work in (sets_a_schedule, configures_schedules)),
    *((scheduled, work) for work in (step, observes, sets_lr)),
    *((make, step) for make in (scheduled_momentum, scheduled_decay)),
]
"""With schedules a step may take three ways, to all of which every backend comes the same way."""


@pytest.mark.parametrize(
    ("launching", "make"),
    # the norm's way to prange is all Numba's own Python, a place where signals are looked for after the other
    [(launching, make) for launching in LAUNCHINGS for make in MADE if (launching, make) != ("numba's prange", clipped)],
    indirect=["launching"],
)
def test_a_step_is_made_or_not(launching: str, make: Callable[[str], Any]) -> None:
    made_or_not(launching, make, step)


@pytest.mark.parametrize(
    ("make", "work"),
    [
        *((make, work) for work in CHANGES for make in ([one, groups] if work is loads else [one, two_dtypes, groups, with_memory])),
        *SCHEDULED,
    ],
)
def test_a_change_is_made_or_not(make: Callable[[str], Any], work: Callable[[Any], None]) -> None:
    made_or_not(fastopt.backends.on_host()[-1], make, work)


def made_or_not(backend: str, make: Callable[[str], Any], work: Callable[[Any], None]) -> None:
    """Interrupts a call at each place that there is."""

    def stepped() -> Any:
        opt = make(backend)
        for _ in range(2):
            step(opt)
        return opt

    before, done = stepped(), stepped()
    work(done)
    after = {}
    for outcome in ("not made", "made"):  # and a step that goes on from there
        opt = stepped()
        if outcome == "made":
            work(opt)
        step(opt)
        after[outcome] = whole_state(opt)
    outcomes = {whole_state(before): "not made", whole_state(done): "made"}
    assert len(outcomes) == 2
    seen = set()
    tried = stepped()
    for place in [*places_of(lambda: work(tried)), None]:
        opt = stepped()
        params = list(opt._params)
        if place is None:
            work(opt)
        else:
            assert interrupted_at(place, lambda opt=opt: work(opt)), f"there was no place {place} the second time"
        outcome = outcomes.get(whole_state(opt))
        assert outcome is not None, f"interrupted at place {place}, it was left half done"
        assert all(a is b for a, b in zip(opt._params, params, strict=False))
        seen.add(outcome)
        assert place is not None or outcome == "made"
        reference = {"made": done, "not made": before}[outcome]
        assert opt.steps == reference.steps
        step(opt)
        assert whole_state(opt) == after[outcome]
    assert seen == {"made", "not made"}


@pytest.mark.parametrize("options", [{}, {"max_norm": 0.5}, {"nonfinite": "skip"}], ids=str)
def test_the_call_that_completes_a_sum_loses_nothing(options: dict[str, Any]) -> None:
    """Its gradient is added or not, and if it is, the step is made by it or by the call after it."""

    def summed() -> Any:
        opt = fastopt.Adam([np.arange(5, dtype=np.float32), np.arange(7.0)], accumulate=3, **options)
        for _ in range(2):
            step(opt)
        return opt

    before, done, tried = summed(), summed(), summed()
    step(done)
    made = whole_state(done)
    step(done)
    after = whole_state(done)
    seen = set()
    for place in places_of(lambda: step(tried)):
        opt = summed()
        assert interrupted_at(place, lambda opt=opt: step(opt)), f"there was no place {place} the second time"
        if whole_state(opt) == whole_state(before):
            seen.add("not added")
            step(opt)
            assert whole_state(opt) == made
            continue
        due = opt.accumulated == 3
        assert due or whole_state(opt) == made, f"interrupted at place {place}, it was left half done"
        seen.add("due" if due else "made")
        step(opt)
        assert whole_state(opt) == after
    assert seen == {"not added", "due", "made"}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers that send signals")
@pytest.mark.parametrize("backend", BACKENDS)
def test_real_signals(backend: str) -> None:
    """The interrupts above are made by hand; these are the system's, at any time, of which some have to come during a step."""
    needed(backend)
    rng = np.random.default_rng(0)
    p = [np.ones(200_000, np.float32), np.ones(50_000)]
    g = [rng.standard_normal(a.shape).astype(a.dtype) for a in p]
    opt = fastopt.Adam([a.copy() for a in p], backend=backend)
    beside = fastopt.Adam(p, backend=backend)

    def digest(arrays: list[Any]) -> bytes:
        return b"".join(a[::997].tobytes() for a in arrays)

    def handler(*_: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    try:
        caught = 0
        for _ in range(40):
            try:
                # and again each second: what a handler raises where Python can only print it (a callback of the collector) is lost
                signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-5, 4e-3)), 1.0)
                while True:
                    opt.step(g)
            except Interrupted:
                caught += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            while beside.steps < opt.steps:
                beside.step(g)
            assert digest(opt.params) == digest(beside.params), "the parameters and the count do not agree"
        assert caught == 40
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
