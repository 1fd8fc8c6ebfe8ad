"""What a launch reads is there until its stream is done, whoever made it and however early the caller lets go of it; and then it goes."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.cuda.memory import from_host, to_host

STREAM, OTHER = 24, 25


class Pooled:
    """An array of a pool that knows of no stream: as soon as it is gone, others have its memory, and write into it.

    It is not freed, which would wait for the device.
    """

    def __init__(self, values: Any, gpu: Any) -> None:
        self.address, self.values, self.stream = gpu.heaps[0].allocate(values.nbytes), values, None
        gpu.heaps[0].view(self.address, values.nbytes)[:] = values.view(np.uint8)  # at once: `from_host` waits for the device
        weakref.finalize(self, _given_to_others, gpu, self.address, values.nbytes)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        own = {"shape": self.values.shape, "typestr": self.values.dtype.str, "data": (self.address, False)}
        return {**own, "strides": None, "version": 3, "stream": self.stream}


class OfCuPy(Pooled):
    """The same as CuPy's arrays are: with a device, and a current stream."""

    def __init__(self, values: Any, gpu: Any, stream: int = STREAM) -> None:
        super().__init__(values, gpu)
        self.stream, self.device = stream, SimpleNamespace(id=0)


OfCuPy.__module__ = "cupy"


def _given_to_others(gpu: Any, address: int, size: int) -> None:
    gpu.heap(address).view(address, size)[:] = 0xFF  # NaN


class Pair:
    """An optimizer on the device, whose gradients are gone when a step returns, and the reference beside it."""

    def __init__(self, gpu: Any, dtypes: Any = (np.float32,), rule: str = "momentum", **options: Any) -> None:
        self.gpu, self.rng, self.dtypes = gpu, np.random.default_rng(0), dtypes
        self.host = self.values()
        self.params = [from_host(p) for p in self.host]
        self.on_device = fastopt.Optimizer(self.params, rule, 0.1, **options)
        self.on_host = fastopt.Optimizer(self.host, rule, 0.1, backend="numpy", **options)

    def values(self) -> list[Any]:
        return [self.rng.standard_normal(40 + i).astype(dtype) for i, dtype in enumerate(self.dtypes)]

    def step(self, stream: Any = STREAM, **options: Any) -> list[weakref.ref[Any]]:
        """Steps both, and says how to ask whether the gradients are there."""
        values = self.values()
        gradients = [Pooled(g, self.gpu) for g in values]
        self.on_device.step(gradients, stream=stream, **options)
        self.on_host.step(values, **options)
        return [weakref.ref(g) for g in gradients]

    def agree(self) -> bool:
        return all(ulp_distance(to_host(p), q) == 0 for p, q in zip(self.params, self.host, strict=True))


def there(gradients: list[weakref.ref[Any]]) -> bool:
    found = {g() is not None for g in gradients}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("stream", [STREAM, None])
@pytest.mark.parametrize("dtypes", [(np.float32,), (np.float32, np.float64, np.float32)], ids=["one batch", "two"])
@pytest.mark.parametrize("options", [{}, {"max_norm": 0.5}], ids=["plain", "clipped"])
def test_gradients_that_are_gone_when_a_step_returns(emulated: Any, stream: Any, dtypes: Any, options: dict[str, Any]) -> None:
    pair = Pair(emulated, dtypes, **options)
    gradients = [pair.step(stream) for _ in range(5)]
    assert all(map(there, gradients)), "the device has done nothing yet"
    assert pair.agree()
    later = pair.step(stream)
    assert not any(map(there, gradients)), "the device has read them, and a step has asked for that"
    assert there(later)
    assert pair.agree()


def test_a_host_that_runs_ahead_keeps_a_set_and_an_event_a_step(emulated: Any) -> None:
    pair = Pair(emulated)
    (work,) = (batch.work for batch in pair.on_device._plan.batches)
    gradients = [pair.step() for _ in range(30)]
    assert len(work.held.queue) == 30
    queue = emulated.queues[STREAM]
    assert len(queue) == 4 * 30, "addresses and a launch, and behind each an event"
    for _ in range(4 * 10):  # so far the device gets
        queue.popleft()()
    gradients.append(pair.step())
    assert [there(g) for g in gradients] == [False] * 10 + [True] * 21
    assert len(work.held.queue) == 21
    emulated.run()
    gradients += [pair.step()]
    assert [there(g) for g in gradients] == [False] * 31 + [True]
    assert len(work.held.queue) + len(work.held.spare) == 30, "events are recorded again"
    for _ in range(5):
        emulated.run()
        pair.step()
    assert len(work.held.queue) == 1
    assert pair.agree()


def test_nothing_is_waited_for_by_a_step(emulated: Any) -> None:
    pair = Pair(emulated)
    emulated.run()
    for k in range(1, 4):
        pair.step()
        assert len(emulated.queues[STREAM]) >= 2 * k


def test_streams_in_turns(emulated: Any) -> None:
    """Asked for in the order of the steps: what another stream has done early stays until the one before it has."""
    pair = Pair(emulated, rule="sgd")
    first, second = pair.step(STREAM), pair.step(OTHER)
    while emulated.queues[OTHER]:
        emulated.queues[OTHER].popleft()()
    third = pair.step(OTHER)
    assert list(map(there, (first, second, third))) == [True] * 3
    emulated.run()
    pair.step(OTHER)
    assert list(map(there, (first, second, third))) == [False] * 3


@pytest.mark.parametrize(
    "call", [lambda opt: opt.state_dict(), lambda opt: opt.flat_state(), lambda opt: opt.load_state_dict(opt.state_dict())]
)
def test_what_waits_for_the_device_lets_go(emulated: Any, call: Any) -> None:
    pair = Pair(emulated)
    gradients = pair.step()
    call(pair.on_device)
    assert not there(gradients)
    assert pair.agree()


def test_advance_lets_go(emulated: Any) -> None:
    pair = Pair(emulated)
    static = [from_host(g) for g in pair.values()]
    emulated.begin_capture(OTHER)
    pair.on_device.step(static, stream=OTHER)
    emulated.end_capture(OTHER)
    gradients = pair.step()
    emulated.run()
    assert there(gradients)
    pair.on_device.advance(stream=OTHER)
    assert not there(gradients)


def test_a_captured_step_keeps_nothing_and_records_no_event(emulated: Any) -> None:
    pair = Pair(emulated)
    before = pair.step()
    events = len(emulated.events)
    values = pair.values()
    gradients = [Pooled(g, emulated) for g in values]
    known = [weakref.ref(g) for g in gradients]
    emulated.begin_capture(OTHER)
    pair.on_device.step(gradients, stream=OTHER)
    graph = emulated.end_capture(OTHER)
    assert len(graph) == 2, "a copy of the gradients' addresses, and one launch"
    assert len(emulated.events) == events
    assert there(before)
    del gradients
    assert not there(known)


@pytest.mark.parametrize("collected", [False, True], ids=["at once", "in a cycle"])
def test_an_optimizer_that_goes_away_waits_for_its_steps(emulated: Any, collected: bool) -> None:
    pair = Pair(emulated)
    gc.collect()
    gc.disable()
    try:
        gradients = pair.step()
        kept = pair.step()
        if collected:
            vars(pair.on_device)["_itself"] = pair.on_device
        del pair.on_device
        if collected:
            assert there(gradients)
            gc.collect()
        assert not there(gradients)
        assert not there(kept)
    finally:
        gc.enable()
    assert pair.agree()


@pytest.mark.parametrize("stream", [None, OTHER])
@pytest.mark.parametrize("kind", [Pooled, OfCuPy])
def test_states_and_parameters_are_there_until_the_last_step_is_done(emulated: Any, kind: Any, stream: Any) -> None:
    """They may be of a pool as well; a kernel would write into what others have by then, also where no gradient had to be kept."""
    p, gradient = kind(np.ones(40, np.float32), emulated), kind(np.ones(40, np.float32), emulated)
    optimizer = fastopt.SGD([p], lr=0.5)
    optimizer.step([gradient], stream=stream)
    seen, address = [], p.address
    weakref.finalize(p, lambda: seen.append(emulated.heap(address).view(address, 4).view(np.float32)[0]))
    del p
    assert seen == []
    del optimizer
    assert seen == [0.5], "the step was made before its parameter was gone"


def test_a_gradient_that_knows_of_its_optimizer(emulated: Any) -> None:
    """As PyTorch's hooks do; the two keep each other no longer than garbage is collected."""
    pair = Pair(emulated)
    gradient = Pooled(pair.values()[0], emulated)
    gradient.optimizer = pair.on_device  # type: ignore[attr-defined]
    pair.on_device.step([gradient], stream=STREAM)
    known = weakref.ref(gradient)
    del gradient, pair
    gc.collect()
    assert known() is None


def test_a_plan_that_is_replaced(emulated: Any) -> None:
    """Another kernel, and another parameter: steps of the plan before are made on what it had."""
    pair = Pair(emulated)
    gradients = [pair.step()]
    for opt in (pair.on_device, pair.on_host):
        opt.configure(weight_decay=0.5)
    gradients.append(pair.step())
    added = np.ones(7, np.float32)
    pair.params.append(from_host(added))
    pair.host.append(added)
    for opt, p in ((pair.on_device, pair.params[-1]), (pair.on_host, added)):
        opt.add_param_group({"params": p})
    values = [pair.values()[0], np.ones(7, np.float32)]
    pair.on_device.step([[Pooled(values[0], emulated)], Pooled(values[1], emulated)], stream=STREAM)
    pair.on_host.step([[values[0]], values[1]])
    assert pair.agree()
    assert not any(map(there, gradients))


def test_a_step_that_was_refused_keeps_nothing(emulated: Any) -> None:
    pair = Pair(emulated)
    gradient = Pooled(np.ones(3, np.float32), emulated)
    known = weakref.ref(gradient)
    with pytest.raises(ValueError, match=r"^grads\[0\] has shape \(3,\)"):
        pair.on_device.step([gradient], stream=STREAM)
    del gradient
    assert known() is None


@pytest.mark.parametrize(("stream", "kept"), [(None, False), (STREAM, False), (OTHER, True)])
def test_arrays_of_a_framework_on_its_own_stream_are_not_kept(emulated: Any, stream: Any, kept: bool) -> None:
    """It gives their memory to others in the order of that stream; to keep them would take the memory of one more set."""
    p = from_host(np.ones(40, np.float32))
    optimizer = fastopt.SGD([p], lr=0.5)
    gradient = OfCuPy(np.ones(40, np.float32), emulated, STREAM)
    known = weakref.ref(gradient)
    optimizer.step([gradient], stream=stream)
    del gradient
    assert (known() is not None) == kept
    assert (optimizer._plan.batches[0].work.stream == STREAM) == (not kept)
    if kept:
        assert (to_host(p) == 0.5).all()


def test_functional_returns_when_the_device_is_done(emulated: Any) -> None:
    p, m, values = (np.random.default_rng(k).standard_normal(30).astype(np.float32) for k in range(3))
    on_device = [from_host(p), from_host(m)]
    fastopt.functional.momentum(on_device[0], Pooled(values, emulated), on_device[1], step=2, lr=0.1, stream=STREAM)
    assert not emulated.queues[STREAM]
    fastopt.functional.momentum(p, values, m, step=2, lr=0.1, backend="numpy")
    assert ulp_distance(to_host(on_device[0]), p) == 0
