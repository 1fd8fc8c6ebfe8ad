"""The update step: every rule, backend and dtype over parameter sizes and many-tensor lists, each beside the ceilings.

The quick profile takes the first form of each text in float32 over all of them; other forms, and float64, at one size within the
caches and one beyond, on the compiled backends. The full one takes all.

Textbook NumPy, the reference, stands beside NumPy in place where that has the rule (`bench.in_place`); in float32, which is what peers
and training are measured in.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import RULES, backends
from fastopt.crosscheck import Case, compare

from .arrays import gpt2_shapes, random_arrays
from .ceiling import ceilings
from .ceiling import names as ceiling_names
from .in_place import IN_PLACE, NAME, InPlace
from .interleave import Contender, interleave
from .ours import REFERENCE
from .records import Row, row_of
from .replay import Figures, replayed

SIZES = {
    "smoke": (1_000,),
    "quick": (100, 1_000, 10_000, 100_000, 1_000_000, 16_000_000),
    "full": (100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000, 16_000_000, 64_000_000),
}
LISTS: dict[str, dict[str, list[Any]]] = {
    "smoke": {"10 x 100": [100] * 10},
    "quick": {"1,000 x 1,000": [1_000] * 1_000, "GPT-2 small / 4": gpt2_shapes(4)},
    "full": {"1,000 x 1,000": [1_000] * 1_000, "GPT-2 small / 4": gpt2_shapes(4), "GPT-2 small": gpt2_shapes(1)},
}
IN_SHORT: dict[bool, tuple[str, ...]] = {False: ("10,000", "16,000,000"), True: ("10,000",)}
"""Of what the quick profile measures in short, by whether the backend is the reference."""

LR = 1e-4
BUDGET = {"smoke": 0.01, "quick": 0.06, "full": 0.6}
"""Seconds of timing a cell."""

BACKENDS = tuple(backends.on_host())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    profile = metafunc.config.getoption("--profile")
    cells = [
        pytest.param(rule, backend, dtype, label, contender, id=f"{rule}-{backend}-{dtype}-{label.replace(' ', '')}-{contender}")
        for dtype in ("float32", "float64")
        for label in _workloads(profile)
        for rule in RULES
        for backend in BACKENDS
        if profile != "quick" or label in IN_SHORT[backend == REFERENCE] or (dtype == "float32" and RULES[rule].is_first_form)
        for contender in contenders(rule, backend, dtype)
    ]
    metafunc.parametrize(("rule", "backend", "dtype", "label", "contender"), cells)


def contenders(rule: str, backend: str, dtype: str) -> list[str]:
    """Who makes steps in a cell, the backend first, and the ceilings."""
    beside = [NAME] if backend == REFERENCE and rule in IN_PLACE and dtype == "float32" else []
    return [backend, *beside, *ceiling_names(rule, backend)]


@lru_cache(maxsize=1)
def _arrays(profile: str, label: str, dtype: str) -> tuple[list[Any], list[Any]]:
    """Parameters and gradients, the same for all rules: to fill large ones takes longer than to time a step on them."""
    shapes = _workloads(profile)[label]
    return random_arrays(shapes, dtype, seed=0), random_arrays(shapes, dtype, seed=len(shapes))


def _workloads(profile: str) -> dict[str, list[Any]]:
    return {f"{size:,}": [size] for size in SIZES[profile]} | LISTS[profile]


@cache
def _verify(rule: str, backend: str, dtype: str) -> None:
    """Before anything is timed: what is fast and wrong has no time."""
    distance = compare(RULES[rule], backend, np.dtype(dtype), Case("defaults", {}), steps=2)
    assert distance == 0, f"{rule}, {backend}, {dtype}: {distance} ULP from the reference"
    if NAME in contenders(rule, backend, dtype):
        _verify_in_place(rule, dtype)


def _verify_in_place(rule: str, dtype: str) -> None:
    params, *grads = (random_arrays([100, 1_000], dtype, seed) for seed in (0, 2, 4))
    expected = [p.copy() for p in params]
    reference, in_place = fastopt.Optimizer(expected, RULES[rule], LR, backend=REFERENCE), InPlace(params, rule, LR)
    for each in grads:
        reference.step(each)
        in_place.step(each)
    assert all(map(np.array_equal, params, expected)), f"{rule}, {dtype}: {NAME} differs from the reference"


@replayed
def test_step(
    benchmark: Any, figures: Figures, profile: str, threads: int, rule: str, backend: str, dtype: str, label: str, contender: str
) -> None:
    _verify(rule, backend, dtype)
    cell = f"step: {rule}, {backend}, {dtype}, {label}"
    figures.hand_over(benchmark, cell, contender, lambda: _measured(profile, threads, rule, backend, dtype, label))


def _measured(profile: str, threads: int, rule: str, backend: str, dtype: str, label: str) -> Row:
    shapes = _workloads(profile)[label]
    params, grads = _arrays(profile, label, dtype)
    entry = RULES[rule]
    opt = fastopt.Optimizer(params, entry, LR, backend=backend, num_threads=None if backend == REFERENCE else threads)
    elements = sum(math.prod(s) if isinstance(s, tuple) else s for s in shapes)
    timed = {backend: Contender(lambda: opt.step(grads))}
    if NAME in contenders(rule, backend, dtype):
        in_place = InPlace(params, rule, LR)
        timed[NAME] = Contender(lambda: in_place.step(grads))
    timed |= ceilings(rule, backend, elements, dtype, threads)
    return row_of(
        interleave(timed, BUDGET[profile]),
        group="step",
        rule=rule,
        backend=backend,
        dtype=dtype,
        label=label,
        tensors=len(shapes),
        elements=elements,
        bytes_per_parameter=entry.bytes_per_parameter(params[0].itemsize),
        working_set=(2 + len(entry.states)) * elements * params[0].itemsize,
        threads=1 if backend == REFERENCE else threads,
    )
