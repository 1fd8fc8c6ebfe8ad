"""What is looked at before a step: compiled and in Python, with the same answers."""

from __future__ import annotations

import importlib.util
import sys
from collections import defaultdict
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastopt.interop.torch import looks


@pytest.fixture(params=["compiled", "Python"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if request.param == "compiled":
        if looks.HostGatherer is None:
            pytest.skip("nothing was compiled")
        return looks
    monkeypatch.setitem(sys.modules, "fastopt.interop.torch._look", None)
    spec = importlib.util.spec_from_file_location("looks_in_python", looks.__file__)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    assert found.HostGatherer is None
    return found


def test_gradients(module: ModuleType) -> None:
    p, q = torch.ones(2), torch.ones(2)
    p.grad = torch.zeros(2)
    first, second = module.gradients([p, q])
    assert first is p.grad
    assert second is None


def test_the_same_objects_in_parts(module: ModuleType) -> None:
    a, b, c = (torch.ones(1) for _ in range(3))
    assert module.same([[a], [], [b, c]], [a, b, c])
    assert module.same([(a, b)], [a, b])
    for parts in ([[a], [b]], [[a, b, c, c]], [[a, c, b]], [], [[a, b, torch.ones(1)]]):
        assert not module.same(parts, [a, b, c])


def test_an_unchanged_dictionary(module: ModuleType) -> None:
    a, b, c = (torch.ones(1) for _ in range(3))
    state: dict[Any, Any] = defaultdict(dict, {1: {"x": a, "y": b}, 2: {}, 3: {"x": c}})
    assert module.unchanged(state, [a, b, c])
    for held in ([a, b], [a, b, c, c], [a, c, b], []):
        assert not module.unchanged(state, held)
    assert not module.unchanged({1: a}, [a])


def gatherer(params: list[Any]) -> tuple[Any, Any, Any]:
    table, absent = np.zeros((len(params), 4), np.int64), np.zeros(len(params) + 1, np.uint8)
    starts = np.sort([p.data_ptr() for p in params])
    return looks.HostGatherer(list(params), torch.Tensor, 2, 32, table, absent, starts, starts + 16), table, absent


def test_the_compiled_gatherer_writes_addresses_and_who_is_absent() -> None:
    if looks.HostGatherer is None:
        pytest.skip("nothing was compiled")
    params, gradients = [torch.ones(4) for _ in range(3)], [torch.ones(4) for _ in range(3)]
    gather, table, absent = gatherer(params)
    assert gather(gradients) == 1
    assert table[:, 1].tolist() == [g.data_ptr() for g in gradients]
    assert gather([gradients[0], None, gradients[2]]) == 2
    assert absent.tolist() == [0, 1, 0, 1]
    absent[-1] = 0
    assert gather([gradients[0], None, gradients[2]]) == 1
    assert gather(gradients) == 2


@pytest.mark.parametrize(
    "bad",
    [
        lambda p: torch.ones(5),
        lambda p: torch.ones(4, dtype=torch.float64),
        lambda p: torch.ones(8)[::2],
        lambda p: p,
        lambda p: torch.ones(4).to_sparse(),
        lambda p: torch.nn.Parameter(torch.ones(4)),
        lambda p: torch.ones(4, device="meta"),
        lambda p: np.ones(4, np.float32),
    ],
)
def test_the_compiled_gatherer_leaves_what_it_cannot_use_to_python(bad: Any) -> None:
    if looks.HostGatherer is None:
        pytest.skip("nothing was compiled")
    params = [torch.ones(4), torch.ones(4)]
    gather, table, _ = gatherer(params)
    before = torch.ones(4)
    assert gather([before, before]) == 1
    assert gather([before, bad(params[1])]) == 0
    assert table[1, 1] == before.data_ptr()
    assert gather([before]) == 0


def test_the_compiled_gatherer_notices_a_parameter_that_moved() -> None:
    if looks.HostGatherer is None:
        pytest.skip("nothing was compiled")
    params = [torch.ones(4), torch.ones(4)]
    gather, _, _ = gatherer(params)
    params[1].data = torch.ones(4)
    assert gather([torch.ones(4), torch.ones(4)]) == 0
