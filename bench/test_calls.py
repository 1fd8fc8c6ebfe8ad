"""What a call costs outside of its kernel: functional steps, building an optimizer, small steps, two dtypes, options, checkpoints.

And what a step costs whose states have become denormal numbers, within the caches and beyond.

These sizes are so small, or so many, that the arithmetic is not what takes the time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import reference
from fastopt.schedules import Cosine
from fastopt.storage import STORAGES

from .arrays import random_arrays
from .interleave import Contender, interleave
from .ours import OURS, REFERENCE, here
from .peers import BETAS, EPS, LR, PEERS, Handed, absent, verify
from .records import Row, row_of
from .replay import Figures, replayed

FORMULA = "NumPy formula"
PEER = "torch fused"
BESIDE = [PEER] if PEER not in absent() else []
IN_FILES = ["fastopt, in a file"] if find_spec("safetensors") else []
CHECKPOINTS = ["fastopt, in memory", *IN_FILES, *(f"{peer}, in a file" for peer in BESIDE)]
BFLOAT16 = ("bfloat16 parameters", "bfloat16 parameters, master_bits=32")
ACCUMULATE = "accumulate=2, a call"
OPTIONS = [
    "no option",
    "a new lr each step",
    "grad_scale",
    "nonfinite='skip'",
    "max_norm",
    "clip_value",
    "ema_decay",
    "zero_grads",
    "two groups",
    "half without",
    "bfloat16 states",
    "int8 states",
    ACCUMULATE,
    *(BFLOAT16 if find_spec("ml_dtypes") else ()),
]
SCHEDULES = ["a fixed lr", "a new lr each step", "an lr schedule", "lr and a beta", *(f"{peer}, its scheduler" for peer in BESIDE)]
FLUSHED = "flush_denormals"
FADED = [f"{kind} states{ending}" for ending in ("", f", {FLUSHED}") for kind in ("normal", "denormal")]
MIXED = ["float32 and float64", "all float32", "all float64", "two optimizers"]

SLOW = (0.9999, 0.999)
"""Betas with which states of gradients that are 0 do not become denormal while they are measured."""

HALF = 10_000
"""Steps from a schedule's highest value to its lowest."""

BUDGET = {"smoke": 0.0, "quick": 1.0, "full": 6.0}
"""Seconds of timing a cell."""

Maker = Callable[[str, list[int], int], Callable[[], object]]

LISTS = {"smoke": 10, "quick": 1_000, "full": 1_000}
"""Tensors of 1,000 parameters in a long list."""

SIZES = {"smoke": (1_000,), "quick": (10_000, 4_000_000), "full": (10_000, 4_000_000)}
"""Parameters of the one tensor whose states are denormal."""


def _cells(profile: str) -> dict[str, list[str]]:
    """The calls, and who makes each of them."""
    long = f"{LISTS[profile]:,} x 1,000"
    return {
        "functional, 1 x 1,000": [*here(), FORMULA],
        "build, 1 x 1,000": [*here(), *BESIDE],
        f"build, {long}": [*here(), *BESIDE],
        "step, 1 x 100": [*here(), *BESIDE],
        "step with a schedule, 1 x 100": SCHEDULES,
        **{f"step after gradients vanished, 1 x {size:,}": FADED for size in SIZES[profile]},
        f"step of two dtypes, {long}": MIXED,
        f"step with an option, {long}": OPTIONS,
        f"save, {long}": CHECKPOINTS,
        f"load, {long}": CHECKPOINTS,
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cells = [
        pytest.param(call, name, id=f"{call}-{name}".replace(" ", ""))
        for call, names in _cells(metafunc.config.getoption("--profile")).items()
        for name in names
    ]
    metafunc.parametrize(("call", "contender"), cells)


@replayed
def test_call(benchmark: Any, figures: Figures, profile: str, threads: int, call: str, contender: str) -> None:
    figures.hand_over(benchmark, f"calls: {call}", contender, lambda: _measured(profile, threads, call))


def _measured(profile: str, threads: int, call: str) -> Row:
    what, sizes = call.split(", ", 1)
    tensors, size = (int(number.replace(",", "")) for number in sizes.split(" x "))
    make: dict[str, Maker] = {"functional": _functional, "build": _build, "step": _step, "step of two dtypes": _mixed}
    make |= {"step with a schedule": _with_schedule, "step after gradients vanished": _faded}
    names = _cells(profile)[call]
    if any(name.startswith(PEER) for name in names):
        verify(PEERS[PEER])
    with tempfile.TemporaryDirectory() as folder:
        make |= {"step with an option": _with_option, "save": partial(_save, Path(folder)), "load": partial(_load, Path(folder))}
        contenders = {
            name: Contender(make[what](name, [size] * tensors, threads), polls=name.startswith(PEER) and what.startswith("step"))
            for name in names
        }
        rounds = interleave(contenders, BUDGET[profile])
    return row_of(rounds, group="calls", label=call, tensors=tensors, elements=tensors * size, threads=threads)


def _options(name: str, threads: int) -> dict[str, Any]:
    backend = name.removeprefix(OURS)
    return {"backend": backend} | ({} if backend == REFERENCE else {"num_threads": threads})


def _arrays(sizes: list[int], dtype: Any = np.float32) -> tuple[list[Any], list[Any]]:
    return random_arrays(sizes, dtype, seed=0), random_arrays(sizes, dtype, seed=len(sizes))


def _functional(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    (p,), (g,) = _arrays(sizes)
    m, v = np.zeros_like(p), np.zeros_like(p)
    if name == FORMULA:
        held = [p, m, v]

        def formula() -> None:
            held[:] = reference.FORMULAS["adam"](held[0], g, *held[1:], step=10, lr=LR, betas=BETAS, eps=EPS)[: len(held)]

        return formula
    options = _options(name, threads)
    return lambda: fastopt.functional.adam(p, g, m, v, step=10, lr=LR, **options)


def _build(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    params, grads = _arrays(sizes)
    if name == PEER:
        torch: Any = Handed(PEERS[PEER], params, grads, threads=threads).peer
        return lambda: torch.build()
    options = _options(name, threads)
    return lambda: fastopt.Adam(params, LR, **options)


def _step(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    params, grads = _arrays(sizes)
    if name == PEER:
        return Handed(PEERS[PEER], params, grads, threads=threads).step
    opt = fastopt.Adam(params, LR, **_options(name, threads))
    return lambda: opt.step(grads)


def _mixed(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    """Every second tensor in float64; beside it one dtype for all, and an optimizer for each dtype and its half of the tensors."""
    single, double = _arrays(sizes), _arrays(sizes, np.float64)
    if name == "two optimizers":
        halves = [[arrays[k::2] for arrays in given] for k, given in enumerate((single, double))]
        first, second = (fastopt.Adam(params, LR, num_threads=threads) for params, _ in halves)
        (_, of_first), (_, of_second) = halves
        return lambda: (first.step(of_first), second.step(of_second))
    params, grads = single if name == "all float32" else double
    if name == "float32 and float64":
        params[::2], grads[::2] = single[0][::2], single[1][::2]
    opt = fastopt.Adam(params, LR, num_threads=threads)
    return lambda: opt.step(grads)


def _faded(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    """States that gradients of 0 have let decay until they are denormal, and stay so; beside it such as have gradients."""
    params, grads = _arrays(sizes)
    # cython compiles a kernel with stages when it is first used, which takes Cython: not every machine that measures has it
    backend = next(own for own in here() if own != f"{OURS}cython")
    opt = fastopt.Adam(params, LR, flush_denormals=name.endswith(FLUSHED), **_options(backend, threads))
    opt.step(grads)
    if not name.startswith("normal"):
        saved = opt.state_dict()
        for state in saved["state"].values():
            for array in state:
                array[...] = np.finfo(array.dtype).tiny / 64
        opt.load_state_dict(saved)
        grads = [np.zeros_like(g) for g in grads]
    return lambda: opt.step(grads)


def _with_option(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    params, grads = _arrays(sizes)
    if name in BFLOAT16:
        params, grads = ([array.astype(STORAGES["bfloat16"].dtype) for array in arrays] for arrays in (params, grads))
    options: dict[str, dict[str, Any]] = {
        "nonfinite='skip'": {"nonfinite": "skip"},
        "max_norm": {"max_norm": 1.0},
        "clip_value": {"clip_value": 1.0},
        "ema_decay": {"ema_decay": 0.999},
        "zero_grads": {"zero_grads": True, "betas": SLOW},
        ACCUMULATE: {"accumulate": 2},
        "bfloat16 states": {"state_dtype": "bfloat16"},
        "int8 states": {"state_dtype": "int8", "narrow_from": 0},
        BFLOAT16[1]: {"master_bits": 32},
    }
    if name == "two groups":
        half = len(params) // 2
        params, grads = [{"params": params[:half]}, {"params": params[half:], "lr": 2 * LR}], [grads[:half], grads[half:]]
    opt = fastopt.Adam(params, LR, num_threads=threads, **options.get(name, {}))
    if name == "half without":
        some = [None if i % 2 else g for i, g in enumerate(grads)]
        return lambda: opt.step(some)
    if name == "grad_scale":
        return lambda: opt.step(grads, grad_scale=2.0)
    if name != "a new lr each step":
        return lambda: opt.step(grads)

    def scheduled() -> None:
        opt.lr = LR / (1 + opt.steps)
        opt.step(grads)

    return scheduled


def _with_schedule(name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    """Learning rates on a cosine that goes down and up again for as long as is measured."""
    params, grads = _arrays(sizes)
    lr = Cosine(LR, HALF, swinging=True)
    if name.startswith(PEER):
        from torch.optim.lr_scheduler import CosineAnnealingLR

        handed: Any = Handed(PEERS[PEER], params, grads, threads=threads)
        optimizer = handed.peer.optimizer
        scheduler = CosineAnnealingLR(optimizer, HALF)
        return lambda: (optimizer.step(), scheduler.step())  # the optimizer's own, around which the scheduler puts another one
    options: dict[str, dict[str, Any]] = {
        "an lr schedule": {"lr": lr},
        "lr and a beta": {"lr": lr, "betas": (Cosine(BETAS[0], HALF, end=0.5, swinging=True), BETAS[1])},
    }
    opt = fastopt.Adam(params, **{"lr": LR, "num_threads": threads, **options.get(name, {})})
    if name != "a new lr each step":
        return lambda: opt.step(grads)

    def by_hand() -> None:
        opt.lr = lr(opt.steps)
        opt.step(grads)

    return by_hand


def _save(folder: Path, name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    """The state after a step, copied or written to a file."""
    opt, path = _stepped(name, sizes, threads), folder / name
    if name == "fastopt, in memory":
        return lambda: opt.state_dict()
    if not name.startswith(PEER):
        return lambda: opt.save(path)
    import torch

    return lambda: torch.save(opt.state_dict(), path)


def _load(folder: Path, name: str, sizes: list[int], threads: int) -> Callable[[], object]:
    """The same state into the optimizer that it came from."""
    opt, path = _stepped(name, sizes, threads), folder / name
    if name == "fastopt, in memory":
        state = opt.state_dict()
        return lambda: opt.load_state_dict(state)
    if not name.startswith(PEER):
        opt.save(path)
        return lambda: opt.load(path)
    import torch

    torch.save(opt.state_dict(), path)
    return lambda: opt.load_state_dict(torch.load(path))


def _stepped(name: str, sizes: list[int], threads: int) -> Any:
    """An optimizer that has made a step, fastopt's or the peer's."""
    params, grads = _arrays(sizes)
    if name.startswith(PEER):
        peer: Any = Handed(PEERS[PEER], params, grads, threads=threads)
        peer.step()
        return peer.peer.optimizer
    opt = fastopt.Adam(params, LR, num_threads=threads)
    opt.step(grads)
    return opt
