"""Clipping by the global norm on a device: the host's bits, without waiting, also in captured graphs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.cuda.memory import from_host, to_host
from fastopt.storage import STORAGES
from tests.cuda.emulated_driver import EMULATED
from tests.cuda.narrow import differing
from tests.cuda.simulator import SIMULATED

pytestmark = pytest.mark.usefixtures("device")

STREAM = 77
LENGTHS = [(1,), (0,), (7, 8, 9), (255, 256, 257, 17)] if SIMULATED else [(1,), (0,), (255, 0, 256, 257), (70_001, 3, 8_192, 1_024)]
"""The last one of the second has more than 256 blocks, and so sums of sums."""


class Pair:
    """An optimizer on a device and one in NumPy on equal arrays, which make the same steps."""

    def __init__(self, lengths: Any, dtypes: Any, rule: str = "momentum", **options: Any) -> None:
        self.rng = np.random.default_rng(0)
        self.dtypes = [STORAGES[dtypes[i % len(dtypes)]].dtype for i in range(len(lengths))]
        self.lengths = lengths
        self.host = self.values()
        self.params = [from_host(p, offset=i % 3 * p.itemsize) for i, p in enumerate(self.host)]
        both = (self.params, "auto"), (self.host, "numpy")
        self.optimizers = [fastopt.Optimizer(own, rule, 0.1, backend=b, **options) for own, b in both]

    def values(self, scale: float = 1.0) -> list[Any]:
        found = zip(self.lengths, self.dtypes, strict=True)
        return [(scale * self.rng.standard_normal(n)).astype(np.float32).astype(dtype) for n, dtype in found]

    def step(self, gradients: list[Any] | None = None, **options: Any) -> None:
        gradients = self.values() if gradients is None else gradients
        self.optimizers[0].step([None if g is None else from_host(g) for g in gradients], **options)
        with np.errstate(all="ignore"):
            self.optimizers[1].step(gradients, **options)

    def agree(self) -> bool:
        own, other = (optimizer.grad_norm for optimizer in self.optimizers)
        assert own == other or (math.isnan(own) and math.isnan(other))
        return sum(differing(to_host(p), q) for p, q in zip(self.params, self.host, strict=True)) == 0


@pytest.mark.parametrize("dtypes", [["float32"], ["float64"], ["float32", "float64"], ["bfloat16", "float32"], ["float16"]], ids="-".join)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_norms_and_steps(lengths: Any, dtypes: list[str]) -> None:
    pair = Pair(lengths, dtypes, max_norm=1.0)
    for options in ({}, {"grad_scale": 3.1}, {"max_norm": 0.1}, {"max_norm": math.inf}, {"max_norm": 1e6}, {"grad_scale": 0.7}):
        pair.step(**options)
        assert pair.agree()


def test_no_step_no_norm() -> None:
    pair = Pair((4,), ["float32"])
    assert pair.optimizers[0].grad_norm is None
    pair.step()
    assert pair.optimizers[0].grad_norm is None
    pair.step(max_norm=0.5)
    assert pair.agree()
    pair.step()
    assert pair.agree()


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_norms_that_are_not_finite(bad: float) -> None:
    """An infinite norm makes the factor 0, and a NaN makes it one too."""
    pair = Pair((5, 300), ["float32"], max_norm=1.0)
    gradients = pair.values()
    gradients[1][7] = bad
    pair.step(gradients)
    assert pair.agree()


def test_an_infinite_norm_of_finite_gradients() -> None:
    pair = Pair((5,), ["float64"], max_norm=1.0)
    pair.step([np.full(5, 1e200)])
    assert pair.optimizers[0].grad_norm == math.inf
    assert pair.agree()


def test_gradients_that_are_none_add_nothing() -> None:
    pair = Pair((5, 300, 9), ["float32", "float64"], max_norm=0.5)
    for absent in ((), (1,), (0, 1, 2), (0, 2), ()):
        pair.step([None if i in absent else g for i, g in enumerate(pair.values())])
        assert pair.agree()
    assert pair.optimizers[0].grad_norm


def test_groups_of_both_directions() -> None:
    host = [np.ones(4, np.float32), np.ones(5, np.float32)]
    params = [from_host(p) for p in host]
    optimizers = [
        fastopt.SGD([{"params": own[:1]}, {"params": own[1:], "maximize": True, "lr": 0.3}], lr=0.1, max_norm=0.25, backend=b)
        for own, b in ((params, "auto"), (host, "numpy"))
    ]
    gradients = [np.full(4, 0.3, np.float32), np.full(5, 0.7, np.float32)]
    optimizers[0].step([[from_host(gradients[0])], [from_host(gradients[1])]], grad_scale=3.0)
    optimizers[1].step([[gradients[0]], [gradients[1]]], grad_scale=3.0)
    assert sum(differing(to_host(p), q) for p, q in zip(params, host, strict=True)) == 0
    assert host[0][0] < 1 < host[1][0]


def test_nothing_waits_for_the_norm(emulated: Any) -> None:
    pair = Pair((300, 5), ["float32", "float64"], max_norm=0.5)
    gradients = [from_host(g) for g in pair.values()]
    pair.optimizers[0].step(gradients, stream=STREAM)
    waiting = len(emulated.queues[STREAM])
    pair.optimizers[0].step(gradients, stream=STREAM)
    assert len(emulated.queues[STREAM]) > waiting > 0, "something waited for the device"


def captured(pair: Pair, static: list[Any], **options: Any) -> Any:
    assert EMULATED is not None
    EMULATED.begin_capture(STREAM)
    try:
        pair.optimizers[0].step(static, stream=STREAM, **options)
    finally:
        graph = EMULATED.end_capture(STREAM)
    return graph


@pytest.mark.parametrize("dtypes", [["float32"], ["float32", "float64"]], ids="-".join)
def test_a_captured_step(emulated: Any, dtypes: list[str]) -> None:
    """The norm is that of the replay's gradients, over the scale that `advance` brings; beside a graph that does not clip."""
    pair = Pair((300, 5), dtypes, rule="adam", max_norm=0.5)
    gradients = pair.values()
    static = [from_host(g) for g in gradients]
    clipped, not_clipped = captured(pair, static), captured(pair, static, max_norm=math.inf)
    for k in range(4):
        pair.optimizers[0].advance(stream=STREAM, grad_scale=1.0 + k)
        emulated.replay(not_clipped if k == 2 else clipped, STREAM)
        pair.optimizers[1].step(gradients, grad_scale=1.0 + k, max_norm=math.inf if k == 2 else None)
        assert pair.agree()
        pair.step()
        assert pair.agree()
    assert pair.optimizers[0].steps == 8


def test_a_captured_step_that_clips_beside_one_without_a_norm(emulated: Any) -> None:
    pair = Pair((300, 5), ["float32"], rule="adam")
    gradients = pair.values()
    static = [from_host(g) for g in gradients]
    with pytest.raises(RuntimeError, match=r"^max_norm: expected a clipped step, or an optimizer with max_norm, before one is captured"):
        captured(pair, static, max_norm=0.5)
    pair.step(max_norm=0.5)
    assert pair.agree(), "and so it is done before the graphs, which are launched on another stream"
    graphs = [(captured(pair, static), {}), (captured(pair, static, max_norm=0.5), {"max_norm": 0.5})]
    for graph, options in (*graphs, *reversed(graphs)):
        pair.optimizers[0].advance(stream=STREAM, grad_scale=2.0)
        emulated.replay(graph, STREAM)
        pair.optimizers[1].step(gradients, grad_scale=2.0, **options)
        assert pair.agree()


def test_a_bad_max_norm() -> None:
    p = from_host(np.ones(4, np.float32))
    with pytest.raises(ValueError, match=r"^max_norm: expected a number > 0, received 0.0$"):
        fastopt.SGD(p, lr=0.1, max_norm=0.0)
    with pytest.raises(ValueError, match=r"^max_norm"):
        fastopt.SGD(p, lr=0.1).step(from_host(np.ones(4, np.float32)), max_norm=-1.0)
    assert (to_host(p) == 1).all()
