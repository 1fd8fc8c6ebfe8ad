"""Steps in captured CUDA graphs: on the emulated GPU here, with PyTorch's graphs in `test_with_torch`."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.cuda.memory import assign, from_host, to_host
from fastopt.schedules import Chain, Cosine, Linear, Warmup

STREAM = 77
SIZES = (5, 300)


def build(rule: str = "adam", **options: Any) -> tuple[Any, list[Any], Any, list[Any]]:
    rng = np.random.default_rng(3)
    host = [rng.standard_normal(n).astype(np.float32) for n in SIZES]
    params = [from_host(p) for p in host]
    return fastopt.Optimizer(params, rule, 0.1, **options), params, fastopt.Optimizer(host, rule, 0.1, backend="numpy", **options), host


def new_values(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n).astype(np.float32) for n in SIZES]


def agree(params: list[Any], host: list[Any]) -> bool:
    return all(ulp_distance(to_host(p), q) == 0 for p, q in zip(params, host, strict=True))


@pytest.mark.parametrize("rule", ["adam", "momentum", "rmsprop_centered_momentum"])
def test_replays_count_and_take_the_settings_of_the_moment(emulated: Any, rule: str) -> None:
    on_device, params, on_host, host = build(rule)
    static = [from_host(g) for g in new_values(0)]
    on_device.step(static, stream=STREAM)
    on_host.step(new_values(0))
    emulated.begin_capture(STREAM)
    assert on_device.step(static, stream=STREAM) is True
    graph = emulated.end_capture(STREAM)
    assert len(graph) == 2, "a copy of the gradients' addresses, and one launch"
    assert on_device.steps == 1
    for step in range(1, 6):
        for place, values in zip(static, new_values(step), strict=True):
            assign(place, values)
        on_device.lr = on_host.lr = 0.1 / step
        on_device.advance(stream=STREAM, grad_scale=float(step))
        emulated.replay(graph, STREAM)
        on_host.step(new_values(step), grad_scale=float(step))
        assert agree(params, host)
    assert on_device.steps == on_host.steps == 6


def test_streams_of_other_libraries_and_what_is_none(emulated: Any) -> None:
    """`advance` takes the streams that `step` takes."""
    on_device, params, on_host, host = build()
    gradients, stream = [from_host(g) for g in new_values(0)], SimpleNamespace(cuda_stream=STREAM)
    emulated.begin_capture(STREAM)
    on_device.step(gradients, stream=stream)
    graph = emulated.end_capture(STREAM)
    on_device.advance(stream=stream)
    assert len(emulated.queues[STREAM]) >= 1, "the scalars went to another stream"
    emulated.replay(graph, STREAM)
    on_host.step(new_values(0))
    assert agree(params, host)
    with pytest.raises(TypeError, match=r"^stream: expected a CUDA stream .* received 'main' \(str\)$"):
        on_device.advance(stream="main")
    assert on_device.steps == 1


def test_steps_outside_between_replays(emulated: Any) -> None:
    """A replay puts its own gradients' addresses onto the device; a step after it must not take them for its own, nor the reverse."""
    on_device, params, on_host, host = build()
    static, other = [from_host(g) for g in new_values(0)], [from_host(g) for g in new_values(1)]
    on_device.step(other, stream=STREAM)
    on_host.step(new_values(1))
    emulated.begin_capture(STREAM)
    on_device.step(static, stream=STREAM)
    graph = emulated.end_capture(STREAM)
    for _ in range(3):
        on_device.step(other, stream=STREAM)
        on_host.step(new_values(1))
        on_device.advance(stream=STREAM)
        emulated.replay(graph, STREAM)
        on_host.step(new_values(0))
        on_device.step(other, stream=STREAM)
        on_host.step(new_values(1))
    assert agree(params, host)


def test_several_graphs_of_one_optimizer(emulated: Any) -> None:
    on_device, params, on_host, host = build()
    graphs = []
    for seed in range(3):
        gradients = [from_host(g) for g in new_values(seed)]
        emulated.begin_capture(STREAM)
        on_device.step(gradients, stream=STREAM)
        graphs.append((seed, gradients, emulated.end_capture(STREAM)))
    for seed, _, graph in [*graphs, *reversed(graphs)]:
        on_device.advance(stream=STREAM)
        emulated.replay(graph, STREAM)
        on_host.step(new_values(seed))
    assert agree(params, host)


def test_many_graphs_each_with_memory_that_stands_still(emulated: Any) -> None:
    """More than there are slots to begin with; steps outside in between take slots and give them back."""
    on_device, params, on_host, host = build()
    graphs = []
    for seed in range(40):
        gradients = [from_host(g) for g in new_values(seed)]
        emulated.begin_capture(STREAM)
        on_device.step(gradients, stream=STREAM)
        graphs.append((seed, gradients, emulated.end_capture(STREAM)))
        if seed % 3 == 0:
            on_device.step(gradients, stream=STREAM)
            on_host.step(new_values(seed))
    for seed, _, graph in graphs:
        on_device.advance(stream=STREAM)
        emulated.replay(graph, STREAM)
        on_host.step(new_values(seed))
    assert agree(params, host)


def test_an_optimizer_that_goes_away_during_a_capture(emulated: Any) -> None:
    on_device, _, _, _ = build()
    gradients = [from_host(g) for g in new_values(0)]
    other = build()[0]
    other.step(gradients, stream=STREAM)
    emulated.begin_capture(STREAM)
    del other
    gc.collect()
    on_device.step(gradients, stream=STREAM)
    assert len(emulated.end_capture(STREAM)) == 2


def test_a_capture_may_be_the_first_thing_that_an_optimizer_does(emulated: Any) -> None:
    """A driver loads a kernel when it is first needed, and cannot do that during a capture."""
    on_device, params, on_host, host = build("nesterov_velocity")
    gradients = [from_host(g) for g in new_values(0)]
    emulated.begin_capture(STREAM)
    on_device.step(gradients, stream=STREAM)
    graph = emulated.end_capture(STREAM)
    on_device.advance(stream=STREAM)
    emulated.replay(graph, STREAM)
    on_host.step(new_values(0))
    assert agree(params, host)


def test_a_replay_before_advance_is_loud(emulated: Any) -> None:
    on_device, params, _, _ = build()
    gradients = [from_host(g) for g in new_values(0)]
    emulated.begin_capture(STREAM)
    on_device.step(gradients, stream=STREAM)
    emulated.replay(emulated.end_capture(STREAM), STREAM)
    assert all(np.isnan(to_host(p)).all() for p in params)


def test_what_is_refused_during_a_capture(emulated: Any) -> None:
    on_device, params, _, host = build()
    gradients = [from_host(g) for g in new_values(0)]
    emulated.begin_capture(STREAM)
    try:
        with pytest.raises(ValueError, match=r"^grad_scale: expected 1 while a graph is captured"):
            on_device.step(gradients, stream=STREAM, grad_scale=2.0)
        on_device.step(gradients, stream=STREAM)
        with pytest.raises(RuntimeError, match=r"^step: expected one step in the capture of a graph"):
            on_device.step(gradients, stream=STREAM)
        with pytest.raises(RuntimeError, match=r"^advance: expected a stream that no graph is being captured on"):
            on_device.advance(stream=STREAM)
    finally:
        emulated.end_capture(STREAM)
    assert on_device.steps == 0
    assert agree(params, host)


def test_another_kind_of_weight_decay_is_another_kernel(emulated: Any) -> None:
    on_device, *_ = build()
    gradients = [from_host(g) for g in new_values(0)]
    emulated.begin_capture(STREAM)
    on_device.step(gradients, stream=STREAM)
    emulated.end_capture(STREAM)
    on_device.advance(stream=STREAM)
    on_device.configure(weight_decay=0.1)
    with pytest.raises(RuntimeError, match=r"^advance: expected a step that was captured in a CUDA graph before, with the weight decay of"):
        on_device.advance(stream=STREAM)


def test_replays_follow_schedules(emulated: Any) -> None:
    """`advance` sets what the step that it counts takes, as a step does."""
    follows = {"lr": Warmup(2, Cosine(0.1, 5)), "momentum": Linear(0.5, 6, 0.9), "weight_decay": Linear(0.3, 8, 0.1)}
    on_device, params, on_host, host = build("momentum")
    for each in (on_device, on_host):
        each.configure(**follows)
    static = [from_host(g) for g in new_values(0)]
    emulated.begin_capture(STREAM)
    on_device.step(static, stream=STREAM)
    graph = emulated.end_capture(STREAM)
    for step in range(6):
        assert on_device.lr == on_host.lr == follows["lr"](step)
        on_host.step(new_values(step))
        for place, values in zip(static, new_values(step), strict=True):
            assign(place, values)
        if step == 3:  # one outside of the graph
            on_device.step(static, stream=STREAM)
        else:
            on_device.advance(stream=STREAM)
            emulated.replay(graph, STREAM)
        assert agree(params, host)
    assert on_device.steps == 6


def test_a_schedule_that_asks_for_another_kernel_than_the_captured_one_is_refused(emulated: Any) -> None:
    on_device, params, on_host, host = build()
    for each in (on_device, on_host):
        each.configure(weight_decay=Chain((0.5, 0.0), (2,)))
    static = [from_host(g) for g in new_values(0)]
    emulated.begin_capture(STREAM)
    on_device.step(static, stream=STREAM)
    graph = emulated.end_capture(STREAM)
    for _ in range(2):
        on_device.advance(stream=STREAM)
        emulated.replay(graph, STREAM)
        on_host.step(new_values(0))
    for _ in range(2):
        message = r"^weight_decay: expected a schedule that is 0 at all steps of a captured graph or at none; after 2 steps it changes$"
        with pytest.raises(RuntimeError, match=message):
            on_device.advance(stream=STREAM)
        assert on_device.steps == 2
    on_device.weight_decay = on_host.weight_decay = 0.25
    on_device.advance(stream=STREAM)
    emulated.replay(graph, STREAM)
    on_host.step(new_values(0))
    assert agree(params, host)
