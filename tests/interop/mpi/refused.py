"""What is refused: by all ranks, with the words of the one that found it out. Run by `tests.interop.mpi.ranks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import fastopt
from fastopt.interop.mpi import Sharded
from tests.interop.mpi.together import COMM, RANK, SIZE, everywhere, gradients, pair, same, step, summed, together, values, wrong


@together
def what_is_wrong_on_one_rank_is_so_for_all(folder: Path) -> None:
    odd = RANK == SIZE - 1
    ones = np.ones(5, np.float32)
    with wrong(ValueError, "lr: expected"):
        Sharded(fastopt.Adam, ones, COMM, lr=-1.0 if odd else 1.0)
    with wrong(TypeError, "params"):
        Sharded(fastopt.Adam, "five" if odd else ones, COMM)
    with wrong(TypeError, "params[0]: expected dtype"):
        Sharded(fastopt.Adam, [ones.astype("int32" if odd else "f")], COMM)
    with wrong(ValueError, "params[0] and params[1] overlap"):
        Sharded(fastopt.Adam, [ones, ones if odd else ones.copy()], COMM)
    with wrong(TypeError, "optimizer: expected one that makes a fastopt.Optimizer of the parameters it is given"):
        Sharded((lambda params: fastopt.Adam(ones)) if odd else fastopt.Adam, ones.copy(), COMM)
    with wrong(ValueError, "bucket_bytes: expected an integer >= 1, received 0"):
        Sharded(fastopt.Adam, ones, COMM, bucket_bytes=0 if odd else 10)
    with everywhere(ValueError, "state_dtype: expected states and parameters that are not rounded stochastically"):
        Sharded(fastopt.Adam, np.ones(9000, np.float32), COMM, state_dtype="int8", narrow_from=0)
    ours, theirs = pair(max_norm=1.0)
    good = gradients(0, RANK)
    cases: list[tuple[type[Exception], str, Any, dict[str, Any]]] = [
        (ValueError, "grads: expected the names of params; 'w' is missing", {**good, "w ": good["w"]}, {}),
        (TypeError, "grads['b']: expected dtype float64", {**good, "b": good["b"].astype("f")}, {}),
        (ValueError, "grads['b'] has shape (8,)", {**good, "b": np.ones(8)}, {}),
        (ValueError, "grads['w']: expected its elements in the order of", {**good, "w": np.ascontiguousarray(good["w"])}, {}),
        (ValueError, "grad_scale: expected", good, {"grad_scale": 0.0}),
        (ValueError, "max_norm: expected", good, {"max_norm": 0.0}),
    ]
    cases[0][2].pop("w")
    for error, words, grads, options in cases:
        with wrong(error, words):
            ours.step(grads if odd else good, **(options if odd else {}))
        same(ours, theirs)
    other = fastopt.Adam(values(0), max_norm=1.0)
    other.step(summed(5))
    state = other.state_dict()
    bad = {**state, "state": {**state["state"], "m": {**state["state"]["m"], "b": np.ones(3)}}}
    with wrong(ValueError, "state_dict['state']['m']['b'] has shape (3,), its parameter params['b'] has shape (7,)"):
        ours.load_state_dict(bad if odd else state)
    missing = {**state, "state": {"m": state["state"]["m"]}}
    with wrong(ValueError, "state_dict['state']: expected a mapping with"):
        ours.load_state_dict(missing if odd else state)
    with wrong(ValueError, "state_dict: expected what Optimizer.state_dict gives"):
        ours.load_state_dict([] if odd else state)
    same(ours, theirs)
    step(ours, theirs, 0)
    same(ours, theirs)


@together
def what_is_not_the_same_on_all_ranks_is_refused_by_all(folder: Path) -> None:
    odd = RANK == SIZE - 1
    differs = "expected the same on all ranks, received "
    ones = np.ones((5, 3), np.float32)
    with everywhere(ValueError, f"params: {differs}params[0] of float32 (5, 3) with"):
        Sharded(fastopt.Adam, [ones[:, :2].copy() if odd else ones], COMM)
    with everywhere(ValueError, f"params: {differs}params[0] of float32 (5, 3)"):
        Sharded(fastopt.Adam, [np.asfortranarray(ones) if odd else ones], COMM)
    with everywhere(ValueError, f"params: {differs}nothing on rank 0 and params[1] of float32 (5, 3)"):
        Sharded(fastopt.Adam, [ones.copy(), ones] if odd else [ones], COMM)
    with everywhere(ValueError, f"values of params: {differs}params[0] with checksum"):
        Sharded(fastopt.Adam, [ones * 2 if odd else ones], COMM)
    for options in ({"lr": 0.5}, {"max_norm": 2.0}, {"nonfinite": "skip"}, {"amsgrad": True}):
        with everywhere(ValueError, f"optimizer: {differs}"):
            Sharded(fastopt.Adam, [ones], COMM, **(options if odd else {}))
    with everywhere(ValueError, f"optimizer: {differs}adam with"):
        Sharded(fastopt.Lion if odd else fastopt.Adam, [ones], COMM)
    ours, theirs = pair(max_norm=1.0)
    good = gradients(0, RANK)
    with everywhere(ValueError, f"grads: {differs}grads['w'] an array on rank 0 and grads['w'] None on rank {SIZE - 1}"):
        ours.step({**good, "w": None} if odd else good)
    for options in ({"grad_scale": 2.0}, {"max_norm": 2.0}):
        with everywhere(ValueError, f"{next(iter(options))}: {differs}"):
            ours.step(good, **(options if odd else {}))
    if odd:
        ours.lr = 0.75
    with everywhere(ValueError, f"optimizer: {differs}"):
        ours.step(good)
    if odd:
        ours.lr = theirs.lr
    with everywhere(ValueError, f"root: {differs}"):
        ours.state_dict(root=0 if odd else None)
    with everywhere(ValueError, f"root: expected a rank below {SIZE}, received {SIZE}"):
        ours.state_dict(root=SIZE)
    other = pair()[1]
    other.step(summed(0))
    with everywhere(ValueError, f"state_dict: {differs}"):
        ours.load_state_dict((other if odd else theirs).state_dict())
    step(ours, theirs, 0)
    same(ours, theirs)


@together
def only_intracommunicators(folder: Path) -> None:
    with everywhere(TypeError, "comm: expected an intracommunicator of mpi4py, received int"):
        Sharded(fastopt.Adam, np.ones(3), 3)
    part = COMM.Split(RANK % 2)
    p = np.ones(700)
    opt = Sharded(fastopt.SGD, p, part, lr=1.0)
    opt.step(np.ones(700))
    assert (p == 1 - part.size).all()
    part.Free()
