"""What the processes of `mpiexec` do together with `Sharded`, and find out: each function is run by all, in order, and asserts on its own.

    mpiexec -n 4 python -m mpi4py -m tests.interop.mpi.ranks FOLDER

Each rank writes to FOLDER/RANK.json what became of each function: "passed", or its traceback. Every rank knows every rank's gradients, so
each compares with one process by itself, and to the last bit.
"""

from __future__ import annotations

import functools
import json
import math
import pickle
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import fastopt
from fastopt.interop.mpi import Sharded
from fastopt.interop.mpi.exchange import Cut, Exchange, Lane, flat
from fastopt.optimizers import __all__ as classes

COMM = MPI.COMM_WORLD
RANK, SIZE = COMM.Get_rank(), COMM.Get_size()
TOGETHER: list[Callable[[Path], None]] = []
SHAPES = {"w": (70, 11), "b": (7,), "scale": (), "none": (0, 3), "rest": (1100,)}


def together(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Enters a function among those that are run."""
    TOGETHER.append(function)
    return function


def values(seed: int, dtypes: dict[str, str] | None = None) -> dict[str, Any]:
    """Arrays by name, one of them in Fortran's order and one of them in float64."""
    made, dtypes = np.random.default_rng(seed), dtypes or {}
    found = {name: np.asarray(made.standard_normal(shape), dtypes.get(name, "float32")) for name, shape in SHAPES.items()}
    return {**found, "w": np.asfortranarray(found["w"]), "b": found["b"].astype(dtypes.get("b", "float64"))}


def gradients(step: int, rank: int, **options: Any) -> dict[str, Any]:
    return values(100 * step + rank + 1, **options)


def added(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The sum in the order of the ranks."""
    total = {name: None if array is None else array.copy(order="K") for name, array in parts[0].items()}
    for part in parts[1:]:
        for name, array in part.items():
            if array is not None:
                total[name] += array
    return total


def summed(step: int, **options: Any) -> dict[str, Any]:
    return added([gradients(step, rank, **options) for rank in range(SIZE)])


def pair(optimizer: Any = fastopt.Adam, params: Callable[[], Any] = lambda: values(0), **options: Any) -> tuple[Any, Any]:
    """The same over all ranks and in one process."""
    shared = {name: value for name, value in options.items() if name != "bucket_bytes"}
    return Sharded(optimizer, params(), COMM, **options), optimizer(params(), **shared)


def step(ours: Any, theirs: Any, k: int, **options: Any) -> None:
    assert ours.step(gradients(k, RANK), **options) == theirs.step(summed(k), **options)


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in leaves(tree[key])]
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list) else [tree]


def same_arrays(ours: Any, theirs: Any) -> None:
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def same(ours: Any, theirs: Any) -> None:
    same_arrays(ours.params, theirs.params)
    found, expected = ours.state_dict(), theirs.state_dict()
    same_arrays(found.pop("state"), expected.pop("state"))
    assert found == expected
    assert ours.grad_norm == theirs.grad_norm
    assert ours.steps == theirs.steps


@together
def every_class_makes_the_same_bits(folder: Path) -> None:
    for name in classes:
        if name == "Optimizer" or not isinstance(getattr(fastopt, name, None), type):
            continue
        ours, theirs = pair(getattr(fastopt, name), bucket_bytes=777)  # many rounds, and ends that fit nothing
        for k in range(3):
            step(ours, theirs, k)
        same(ours, theirs)


@together
def whatever_the_size_of_a_round(folder: Path) -> None:
    for size in (1, 64, 4096, 1 << 24):
        ours, theirs = pair(bucket_bytes=size)
        for k in range(2):
            step(ours, theirs, k)
        same(ours, theirs)


@together
def options_of_all_kinds(folder: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"lr": fastopt.schedules.Cosine(0.1, 4)},
        {"max_norm": 0.5},
        {"max_norm": math.inf},
        {"max_norm": 0.5, "nonfinite": "skip"},
        {"nonfinite": "raise", "backend": "numpy"},
        {"weight_decay": 0.1, "groups": {"b": {"lr": 0.5}, "[ns]*": {"weight_decay": 0.0}}, "max_norm": 1.0},
        {"maximize": True, "amsgrad": True},
    ]
    for options in cases:
        ours, theirs = pair(fastopt.Adam, **options)
        for k in range(3):
            step(ours, theirs, k)
        if "max_norm" in options:
            assert ours.grad_norm > 0.5
        step(ours, theirs, 3, grad_scale=SIZE, max_norm=0.25)  # a mean
        same(ours, theirs)


@together
def parameters_in_any_structure(folder: Path) -> None:
    def arrays() -> list[Any]:
        return list(values(0).values())

    makers: list[tuple[Callable[[], Any], Callable[[list[Any]], Any]]] = [
        (arrays, lambda found: found),
        (lambda: {"a": arrays()[:2], "b": {"c": tuple(arrays()[2:])}}, lambda found: {"a": found[:2], "b": {"c": found[2:]}}),
        (
            lambda: [{"params": arrays()[:3]}, {"params": arrays()[3:], "lr": 0.5}],
            lambda found: [found[:3], found[3:]],
        ),
        (lambda: iter(arrays()), lambda found: iter(found)),
    ]
    for params, shaped in makers:
        ours, theirs = pair(fastopt.AdamW, params)
        for k in range(2):
            mine, total = list(gradients(k, RANK).values()), list(summed(k).values())
            ours.step(shaped(mine))
            theirs.step(shaped(total))
        same(ours, theirs)
    whole, parted = np.ones(1000, np.float32), np.ones(1000, np.float32)
    one, other = (
        Sharded(functools.partial(fastopt.Optimizer, rule="momentum"), parted, lr=0.1),
        fastopt.Optimizer(whole, "momentum", lr=0.1),
    )
    one.step(np.full(1000, RANK + 1, np.float32))
    other.step(np.full(1000, SIZE * (SIZE + 1) / 2, np.float32))
    same(one, other)


@together
def narrow_gradients_and_states(folder: Path) -> None:
    dtypes = {"w": "float16", "b": "float32", "scale": "float16"}
    params = functools.partial(values, 0, dtypes)
    ours, theirs = pair(fastopt.Adam, params, state_dtype="float16", max_norm=1.0)
    for k in range(2):
        ours.step(gradients(k, RANK, dtypes=dtypes))
        theirs.step(summed(k, dtypes=dtypes))
    same(ours, theirs)
    wide = {**dtypes, "w": "float32", "scale": "float32"}
    ours, theirs = pair(fastopt.SGD, params, grad_dtype="float32", momentum=0.9)
    ours.step(gradients(0, RANK, dtypes=wide))
    theirs.step(summed(0, dtypes=wide))
    same(ours, theirs)
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return
    dtypes = dict.fromkeys(SHAPES, "bfloat16")
    for bits in (None, 32, 24):
        ours, theirs = pair(fastopt.Adam, functools.partial(values, 0, dtypes), master_bits=bits)
        for k in range(2):
            ours.step(gradients(k, RANK, dtypes=dtypes))
            theirs.step(summed(k, dtypes=dtypes))
        same(ours, theirs)


@together
def gradients_that_are_absent(folder: Path) -> None:
    ours, theirs = pair(fastopt.Adam, max_norm=1.0)
    for k, absent in enumerate([("b",), ("b", "w"), tuple(SHAPES), (), ("rest",)]):
        ours.step({**gradients(k, RANK), **dict.fromkeys(absent)})
        theirs.step({**summed(k), **dict.fromkeys(absent)})
        same(ours, theirs)
    assert len(ours.state_dict()["slots"]) > 2


@together
def what_is_not_finite_on_one_rank_is_so_for_all(folder: Path) -> None:
    for name, element in (("w", 0), ("rest", -1)):  # of the first rank's part, and of the last one's
        for norm in (None, 1.0):
            ours, theirs = pair(nonfinite="skip", max_norm=norm)
            step(ours, theirs, 0)
            bad = gradients(1, RANK)
            if RANK == SIZE - 1:
                bad[name].reshape(-1, order="A")[element] = np.nan
            assert ours.step(bad) is False
            same_arrays(ours.params, theirs.params)
            step(ours, theirs, 2)
            same_arrays(ours.params, theirs.params)
            ours, theirs = pair(nonfinite="raise", max_norm=norm)
            with pytest.raises(FloatingPointError, match=re.escape(f"grads['{name}']: expected finite values")):
                ours.step(bad)
            same(ours, theirs)
    ours, _ = pair(nonfinite="propagate")
    ours.step(bad)
    assert np.isnan(ours.params["rest"]).sum() == 1


@together
def states_are_divided_by_the_ranks(folder: Path) -> None:
    def params() -> list[Any]:
        return [np.zeros((300, 300), np.float32), *(np.zeros(1000, np.float32) for _ in range(100))]

    ours, theirs = Sharded(fastopt.Adam, params(), COMM), fastopt.Adam(params())
    bytes_of = [sum(array.nbytes for arrays in opt.flat_state().values() for array in arrays) for opt in (ours.local, theirs)]
    every = COMM.allgather(bytes_of[0])
    assert sum(every) == bytes_of[1] == 2 * 4 * 190_000
    assert max(every) <= bytes_of[1] / SIZE + 2 * 4 * 256  # a block of 256 elements of each of the two


@together
def gradients_are_left_as_zero(folder: Path) -> None:
    ours, theirs = pair(groups={"b": {"zero_grads": False}}, zero_grads=True, max_norm=1.0)
    for k in range(2):
        own = gradients(k, RANK)
        assert ours.step(own)
        assert theirs.step(summed(k))
        assert {name for name, g in own.items() if g.any()} == {"b"}
    same(ours, theirs)
    read_only = gradients(2, RANK)
    read_only["w"].flags.writeable = RANK != SIZE - 1
    with wrong(ValueError, "grads['w']: expected a writeable array"):
        ours.step(read_only)
    same(ours, theirs)


@together
def gradients_are_summed_up(folder: Path) -> None:
    ours, theirs = pair(accumulate=3, max_norm=1.0, nonfinite="skip")
    for k in range(4):
        step(ours, theirs, k, grad_scale=2.0)
        same(ours, theirs)
    single = fastopt.Adam(theirs.params, accumulate=3, max_norm=1.0, nonfinite="skip")
    single.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for k in range(4, 6):
        assert ours.step(gradients(k, RANK), grad_scale=2.0) == single.step(summed(k), grad_scale=2.0) == (k == 5)
    same(ours, single)
    ours.local._accumulation.count[0] = RANK
    with everywhere(ValueError):
        ours.step(gradients(6, RANK))


@together
def states_whole_and_in_parts(folder: Path) -> None:
    ours, theirs = pair(fastopt.NAdam, lr=0.1, max_norm=1.0)
    for k in range(2):
        step(ours, theirs, k)
    at_root = ours.state_dict(root=SIZE - 1)
    assert (at_root is None) == (RANK != SIZE - 1)
    single = fastopt.NAdam(values(0))
    single.load_state_dict(ours.state_dict())
    same_arrays(single.state_dict()["state"], theirs.state_dict()["state"])
    again = Sharded(fastopt.NAdam, ours.params, COMM, max_norm=1.0)
    again.load_state_dict(theirs.state_dict())
    own = Sharded(fastopt.NAdam, {name: array.copy(order="K") for name, array in ours.params.items()}, COMM, max_norm=1.0)
    own.local.load_state_dict(ours.local.state_dict())
    theirs.step(summed(2))
    for opt in (own, again):
        opt.step(gradients(2, RANK))
        same_arrays(opt.params, theirs.params)
        same_arrays(opt.state_dict()["state"], theirs.state_dict()["state"])


@together
def files(folder: Path) -> None:
    try:
        import safetensors  # noqa: F401
    except ImportError:
        return
    ours, theirs = pair(fastopt.Adam, lr=0.1)
    step(ours, theirs, 0)
    ours.save(folder / "ours")
    if RANK == 0:
        theirs.save(folder / "theirs")
    COMM.Barrier()
    single = fastopt.Adam(values(0))
    single.load(folder / "ours")
    same_arrays(single.state_dict()["state"], theirs.state_dict()["state"])
    again = Sharded(fastopt.Adam, values(0), COMM, lr=9.0)
    again.load(folder / "theirs")
    assert again.lr == 0.1
    same_arrays(again.state_dict()["state"], theirs.state_dict()["state"])
    where = folder / ("nothing" if RANK == SIZE - 1 else "ours")
    with everywhere(OSError if RANK == SIZE - 1 else RuntimeError):
        again.load(where)
    with everywhere(OSError if RANK == 0 else RuntimeError):
        again.save(folder / "no folder" / "file")
    same_arrays(again.state_dict()["state"], theirs.state_dict()["state"])


@together
def arguments_that_change(folder: Path) -> None:
    ours, theirs = pair(fastopt.Adam, max_norm=1.0)
    step(ours, theirs, 0)
    ours.lr = theirs.lr = 0.5
    step(ours, theirs, 1)
    for opt in (ours, theirs):
        opt.configure(weight_decay=0.1, amsgrad=True)  # another kernel, and another state
    for k in (2, 3):
        step(ours, theirs, k)
    same(ours, theirs)
    assert ours.lr == 0.5
    assert ours.rule is theirs.rule
    assert "Sharded: rank" in repr(ours)
    with pytest.raises(TypeError, match="no copy"):
        pickle.dumps(ours)


def everywhere(error: type[Exception], words: str | None = None) -> Any:
    return pytest.raises(error, match=None if words is None else re.escape(words))


def wrong(error: type[Exception], words: str) -> Any:
    """What the last rank raises, and the others."""
    if RANK == SIZE - 1:
        return everywhere(error, words)
    return everywhere(RuntimeError, f"rank {SIZE - 1} of {SIZE} raised {error.__name__}: {words}")


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
def cuts(folder: Path) -> None:
    """All elements belong to somebody, in order, and about as many to each; all but ends are cut at blocks."""
    for sizes in ([10], [0], [1, 2, 3], [100_000], [1000] * 50, [5] * 7 + [100_000, 3], [300, 0, 256, 257]):
        for ranks in (1, 2, 3, 7, 100):
            cut = Cut(sizes, ranks)
            own = [cut.own(rank) for rank in range(ranks)]
            for i, size in enumerate(sizes):
                edges = [0, *(spans[i][1] for spans in own)]
                assert [spans[i][0] for spans in own] == edges[:-1]
                assert edges[-1] == size
                assert all(edge % 256 == 0 or edge == size for edge in edges)
            totals = [sum(end - begin for begin, end in spans) for spans in own]
            assert max(totals) < sum(sizes) / ranks + 256 + max(1, sum(size < 256 for size in sizes))


@together
def a_sum_has_the_order_of_the_ranks(folder: Path) -> None:
    """2^24 + 1 + 1 is 2^24 in float32 from the left, and 2^24 + 2 from the right."""
    own = [np.full(600, 2.0**24 if RANK == 0 else 1.0, np.float32)]
    cut = Cut([600], SIZE)
    begin, end = cut.own(RANK)[0]
    total = np.empty(end - begin, np.float32)
    Exchange(COMM, 100).reduce(Lane(cut, [0], np.dtype(np.float32), SIZE), own, total)
    assert (total == 2.0**24).all()
    transposed = np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)
    assert (flat(transposed) == np.arange(24.0)).all()
    assert np.shares_memory(flat(transposed), transposed)


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


def main(folder: Path) -> None:
    """Runs all of them."""
    found = {}
    for function in TOGETHER:
        try:
            function(folder)
            found[function.__name__] = "passed"
        except BaseException:
            found[function.__name__] = traceback.format_exc()
            (folder / f"{RANK}.json").write_text(json.dumps(found))
            raise  # the ranks are no longer at one: this ends all
        (folder / f"{RANK}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
