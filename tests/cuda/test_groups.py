"""Several groups and gradients that are None on a device: every tensor takes the scalars of its slot, in one launch for each kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import ulp_distance
from fastopt.cuda.memory import from_host, to_host
from tests.cuda.emulated_driver import EMULATED
from tests.cuda.simulator import SIMULATED

pytestmark = pytest.mark.usefixtures("device")

STREAM = 77
SIZES = (5, 30, 0, 7) if SIMULATED else (5, 300, 0, 1030)


class Pair:
    """An optimizer on a device and one in NumPy on equal arrays, which make the same steps."""

    def __init__(self, dtypes: Any = (np.float32,) * 4, rule: str = "adam", **options: Any) -> None:
        self.rng = np.random.default_rng(3)
        self.host = [self.rng.standard_normal(n).astype(dtype) for n, dtype in zip(SIZES, dtypes, strict=True)]
        self.params = [from_host(p) for p in self.host]
        self.optimizers = [
            fastopt.Optimizer(self.groups(params), rule, 0.1, backend=backend, **options)
            for params, backend in ((self.params, "auto"), (self.host, "numpy"))
        ]

    def groups(self, params: list[Any]) -> list[dict[str, Any]]:
        return [{"params": params[:2]}, {"params": params[2:], "lr": 0.01, "maximize": True}]

    def gradients(self, absent: tuple[int, ...] = ()) -> list[Any]:
        return [None if i in absent else self.rng.standard_normal(p.shape).astype(p.dtype) for i, p in enumerate(self.host)]

    def step(self, absent: tuple[int, ...] = (), **options: Any) -> None:
        gradients = self.gradients(absent)
        for optimizer, place in zip(self.optimizers, (lambda g: None if g is None else from_host(g), lambda g: g), strict=True):
            own = [place(g) for g in gradients]
            stream = {"stream": STREAM} if optimizer is self.optimizers[0] and not SIMULATED else {}
            optimizer.step([own[:2], own[2:]], **options, **stream)

    def agree(self) -> bool:
        states = [optimizer.state_dict() for optimizer in self.optimizers]
        assert states[0]["slots"] == states[1]["slots"]
        for name, groups in states[0]["state"].items():
            for own, other in zip(groups, states[1]["state"][name], strict=True):
                assert all(ulp_distance(a, b) == 0 for a, b in zip(own, other, strict=True))
        return all(ulp_distance(to_host(p), q) == 0 for p, q in zip(self.params, self.host, strict=True))


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
def test_two_groups_are_one_launch(rule: str) -> None:
    pair = Pair(rule=rule)
    for _ in range(3):
        before = 0 if EMULATED is None else len(EMULATED.launches)
        pair.step()
        assert EMULATED is None or len(EMULATED.launches) == before + 1
        pair.optimizers[0].groups[1].lr = pair.optimizers[1].groups[1].lr = 0.03
    assert pair.agree()


def test_tensors_without_a_gradient_are_left_alone() -> None:
    pair = Pair((np.float32, np.float64, np.float32, np.float64), weight_decay=0.1, decoupled_weight_decay=True)
    for absent in ((), (1,), (0, 1, 2, 3), (3,), (), (0, 2), (0,), ()):
        pair.step(absent, grad_scale=2.0)
        assert pair.agree()
    assert pair.optimizers[0].steps == 8
    assert len({slot.steps for slot in pair.optimizers[0]._plan.slot_of}) > 1


def test_as_many_slots_as_tensors() -> None:
    """The table of scalars then takes more than a step's other copies."""
    count = 5 if SIMULATED else 60
    host = [np.ones(3, np.float32) for _ in range(count)]
    params = [from_host(p) for p in host]
    optimizers = [fastopt.Adam(own, lr=0.1, backend=b) for own, b in ((params, "auto"), (host, "numpy"))]
    for step in range(count):
        for optimizer, place in zip(optimizers, (from_host, lambda g: g), strict=True):
            optimizer.step([place(np.full(3, 0.5, np.float32)) if i <= step else None for i in range(count)])
    assert len(optimizers[0]._plan.batches[0].slots) == count
    assert all(ulp_distance(to_host(p), q) == 0 for p, q in zip(params, host, strict=True))


def recorded(emulated: Any, pair: Pair, gradients: list[Any]) -> Any:
    emulated.begin_capture(STREAM)
    try:
        pair.optimizers[0].step([gradients[:2], gradients[2:]], stream=STREAM)
    finally:
        graph = emulated.end_capture(STREAM)
    return graph


@pytest.mark.parametrize("absent", [(), (1,)])
@pytest.mark.parametrize("dtypes", [(np.float32,) * 4, (np.float32, np.float64, np.float32, np.float64)])
def test_a_captured_step_of_several_slots(emulated: Any, dtypes: Any, absent: tuple[int, ...]) -> None:
    """Steps outside, of other tensors, part the slots between the replays: each replay takes those of its moment."""
    pair = Pair(dtypes)
    pair.step()
    gradients = pair.gradients(absent)
    held = [None if g is None else from_host(g) for g in gradients]
    graph = recorded(emulated, pair, held)
    for outside in ((), (0,), (0, 1, 3), (), (1,)):
        for _ in range(2):
            pair.optimizers[0].advance(stream=STREAM, grad_scale=2.0)
            emulated.replay(graph, STREAM)
            pair.optimizers[1].step([gradients[:2], gradients[2:]], grad_scale=2.0)
        assert pair.agree()
        pair.step(outside)
        assert pair.agree()


def test_captured_steps_of_different_tensors_are_refused(emulated: Any) -> None:
    """`advance` cannot know which graph is replayed, and so which tensors a step is counted for."""
    pair = Pair()
    recorded(emulated, pair, [from_host(g) for g in pair.gradients()])
    with pytest.raises(RuntimeError, match=r"^step: expected gradients for the same parameters as in the step that was captured before"):
        recorded(emulated, pair, [None if g is None else from_host(g) for g in pair.gradients((0,))])
    assert pair.agree()


def test_gradients_of_several_calls_are_summed_up() -> None:
    pair = Pair((np.float32, np.float32, np.float64, np.float32), accumulate=2, max_norm=1.0)
    for k in range(4):
        pair.step(absent=(k,), grad_scale=2.0)
        assert [optimizer.accumulated for optimizer in pair.optimizers] == [(k + 1) % 2] * 2
        if k % 2:
            assert pair.agree()
    assert [optimizer.steps for optimizer in pair.optimizers] == [2, 2]


def test_gradients_are_left_as_zero_in_the_groups_that_ask() -> None:
    p = [from_host(np.ones(n, np.float32)) for n in SIZES]
    opt = fastopt.SGD([{"params": p[:2], "zero_grads": True}, {"params": p[2:]}], 1.0)
    values = [np.linspace(-1.0, 1.0, n).astype(np.float32) for n in SIZES]
    gradients = [from_host(g) for g in values]
    stream = {} if SIMULATED else {"stream": STREAM}
    opt.step([gradients[:2], gradients[2:]], **stream)
    found = [to_host(g) for g in gradients]
    assert [g.any() for g in found[:2]] == [False, False]
    assert all(g.tobytes() == before.tobytes() for g, before in zip(found[2:], values[2:], strict=True))
    assert all(np.array_equal(to_host(own), 1.0 - g) for own, g in zip(p, values, strict=True))
    buffer = from_host(np.ones(2 * SIZES[1], np.float32))
    both = fastopt.SGD([from_host(np.ones(2 * SIZES[1], np.float32)) for _ in range(2)], 1.0, zero_grads=True)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^grads\[0\] and grads\[1\] overlap in memory"):
            both.step([buffer, buffer], **stream)
    assert to_host(buffer).all()
