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

import fastopt
from fastopt.interop.mpi import Sharded
from fastopt.interop.mpi.exchange import Cut, Exchange, Lane, flat
from fastopt.optimizers import __all__ as classes
from tests.interop.mpi import refused  # noqa: F401  (whose functions are entered, and run, before those here)
from tests.interop.mpi.together import (
    COMM,
    RANK,
    SHAPES,
    SIZE,
    TOGETHER,
    everywhere,
    gradients,
    pair,
    same,
    same_arrays,
    step,
    summed,
    together,
    values,
    wrong,
)


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
    shared = gradients(2, RANK)
    if RANK == SIZE - 1:
        shared["w"] = ours.params["w"]
    with wrong(ValueError, "params['w'] and grads['w'] overlap in memory"):
        ours.step(shared)
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
    ours.local._accumulation.count = RANK
    with everywhere(ValueError, "optimizer: expected the same on all ranks, received "):
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
