"""Copies of parameters and of optimizers, and that all is as it was once they are put back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.training.snapshot import ArrayCopies, Snapshot, parameters_of


def arrays() -> dict[str, Any]:
    return {"w": np.arange(6.0).reshape(2, 3), "b": [np.ones(3, np.float32), np.asfortranarray(np.eye(2))]}


def test_an_optimizer_goes_on_as_if_nothing_had_been() -> None:
    params, gradients = arrays(), arrays()
    opt = fastopt.Adam(params, lr=0.1)
    other = arrays()
    untouched = fastopt.Adam(other, lr=0.1)
    opt.step(gradients)
    untouched.step(gradients)
    snapshot = Snapshot(opt, "optimizer")
    addresses = [params["w"].ctypes.data, params["b"][0].ctypes.data]
    for lr in (1.0, 10.0):
        opt.lr = lr
        opt.step(gradients)
    snapshot.put_back()
    assert (opt.lr, opt.steps) == (0.1, 1)
    assert addresses == [params["w"].ctypes.data, params["b"][0].ctypes.data]
    opt.step(gradients)
    untouched.step(gradients)
    assert np.array_equal(params["w"], other["w"])
    assert all(np.array_equal(a, b) for a, b in zip(params["b"], other["b"], strict=True))


def test_arrays_alone() -> None:
    params = arrays()
    snapshot = Snapshot(params, "optimizer")
    params["w"][...] = 7
    params["b"][1][...] = 8
    snapshot.put_back()
    assert np.array_equal(params["w"], arrays()["w"])
    assert np.array_equal(params["b"][1], np.eye(2))


class LikeTorch:
    """What PyTorch's optimizers have: groups, and a dictionary that refers to the states themselves."""

    def __init__(self, params: list[Any]) -> None:
        self.param_groups = [{"params": params, "lr": 0.5}]
        self.state = {0: np.zeros(2)}

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state, "param_groups": self.param_groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state["state"]
        self.param_groups[0]["lr"] = state["param_groups"][0]["lr"]


def test_an_optimizer_with_groups() -> None:
    w = np.ones(2)
    opt = LikeTorch([w])
    assert parameters_of(opt, "x") == [[w]]
    snapshot = Snapshot(opt, "optimizer")
    w += 1
    opt.state[0] += 1
    opt.param_groups[0]["lr"] = 9.0
    snapshot.put_back()
    assert w.tolist() == [1.0, 1.0]
    assert opt.state[0].tolist() == [0.0, 0.0]
    assert opt.param_groups[0]["lr"] == 0.5


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    w = torch.ones(3, requires_grad=True)
    opt = torch.optim.Adam([w], lr=0.5)
    w.grad = torch.ones(3)
    opt.step()
    before, state = w.detach().clone(), opt.state_dict()["state"][0]["exp_avg"].clone()
    snapshot = Snapshot(opt, "optimizer")
    opt.param_groups[0]["lr"] = 3.0
    opt.step()
    snapshot.put_back()
    assert torch.equal(w.detach(), before)
    assert torch.equal(opt.state_dict()["state"][0]["exp_avg"], state)
    assert opt.param_groups[0]["lr"] == 0.5


def test_copies_are_taken_over_as_a_whole_or_not_at_all() -> None:
    params = [np.ones(2), np.ones(3)]
    kept = ArrayCopies(params, "keep")
    assert kept.copied() is None
    kept.take()
    copies = kept.copied()
    assert copies is not None
    for given, words in (
        ([copies[0]], r"^k: expected 2 arrays, received \["),
        (3, r"^k: expected 2 arrays, received 3 \(int\)$"),
        (
            [copies[0], np.ones(4)],
            r"^k\[1\]: expected float64 of shape \(3,\), as keep\[1\]; received an array of float64 and shape",
        ),
        ([copies[0], np.ones(3, int)], r"^k\[1\]: expected float64 of shape \(3,\), as keep\[1\]; received an array of int64"),
    ):
        with pytest.raises(ValueError, match=words):
            kept.take_over(given, "k")  # type: ignore[arg-type]
    own = [np.full(2, 5.0), np.full(3, 6.0)]
    kept.take_over(own, "k")
    for array in (*own, *(kept.copied() or ())):
        array[...] = 99.0
    kept.put_back()
    assert [array[0] for array in params] == [5.0, 6.0]
    kept.take_over(None, "k")
    assert kept.copied() is None


def test_what_cannot_be_put_back_is_refused() -> None:
    fixed = np.ones(2)
    fixed.flags.writeable = False
    for given, error, words in (
        ("adam", TypeError, r"^optimizer: expected an optimizer, or arrays in a structure; received 'adam' \(str\)$"),
        (3, TypeError, r"^optimizer: expected an array, a sequence of arrays or a mapping of them, received int$"),
        ([], ValueError, r"^optimizer: expected at least one array, received an empty sequence$"),
        ({"w": 3}, TypeError, r"^optimizer\['w'\]: expected an array that can be written to, received 3 \(int\)$"),
        ([np.ones(2), fixed], ValueError, r"^optimizer\[1\]: expected an array that can be written to, received one that is read-only$"),
    ):
        with pytest.raises(error, match=words):
            Snapshot(given, "optimizer")
