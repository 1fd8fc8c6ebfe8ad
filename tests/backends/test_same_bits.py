"""The promise of the package: every backend has the bits of the oracle. Walks the table; a new rule needs no line here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import crosscheck
from fastopt.crosscheck import AWKWARD_LENGTHS, Case, awkward_arrays, cases, compare, stage_cases, ulp_distance
from fastopt.rules.entry import RULES, Rule
from tests.conftest import LAUNCHINGS
from tests.kernels import compiled_dtype, is_first_of_its_kind

# ruff: noqa: ANN202  -- rules are bare formulas

LENGTHS = (*AWKWARD_LENGTHS, 6001)
"""With one more, so that the blocks of 256 suffice for each of three threads."""

IN_THREADS = [
    pytest.param(launching, rule, id=f"{launching}-{rule.name}")
    for launching in LAUNCHINGS
    for rule in RULES.values()
    if launching != "numba's prange" or is_first_of_its_kind(rule)
]
DTYPES = (np.float32, np.float64)
BY_DTYPE = [pytest.param(dtype, id=dtype.__name__) for dtype in DTYPES]


def chosen(every_dtype: bool) -> Iterator[Any]:
    """Every rule, launched in every way, with every case, dtype and thread count, and every kernel that was compiled ahead.

    Not each with each: a rule more may not cost a hundred tests. Cases take turns with thread counts and, unless `every_dtype` asks for
    both, with dtypes. Of Numba's kernels there are two (`compiled_dtype`). Its own calls of them, in one thread and by `prange`, are the
    same for every kernel, whose address they are given: one rule of so many states goes through them.
    """
    for rule in RULES.values():
        for launching in LAUNCHINGS:
            for i, case in enumerate(cases(rule)):
                if launching == "numba's prange" and not is_first_of_its_kind(rule):
                    continue
                if launching == "numba's prange":
                    picked = [(compiled_dtype(case.coupled), 2 + i % 4 // 2 if case.coupled else 1)]
                elif launching == "numba":
                    picked = [(compiled_dtype(case.coupled), 1 + i % 3)]
                else:
                    dtypes = DTYPES if every_dtype else (DTYPES[(i + i // 2) % 2],)
                    picked = [(dtype, 1 + (i + j) % 3) for j, dtype in enumerate(dtypes)]
                for dtype, threads in picked:
                    name = f"{launching}-{rule.name}: {case}-{dtype.__name__}-{threads}"
                    yield pytest.param(launching, rule, case, dtype, threads, id=name)


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(("launching", "rule", "case", "dtype", "num_threads"), list(chosen(every_dtype=True)), indirect=["launching"])
def test_awkward_lengths_starts_and_values(rule: Rule, case: Case, launching: str, dtype: Any, num_threads: int) -> None:
    assert compare(rule, launching, dtype, case, lengths=LENGTHS, num_threads=num_threads, special=True) == 0


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(("launching", "rule", "case", "dtype", "num_threads"), list(chosen(every_dtype=False)), indirect=["launching"])
def test_many_steps_with_a_changing_learning_rate(rule: Rule, case: Case, launching: str, dtype: Any, num_threads: int) -> None:
    assert compare(rule, launching, dtype, case, lengths=(1, 17, 300), steps=24, num_threads=num_threads, seed=7) == 0


@pytest.mark.parametrize("every_dtype", [True, False])
def test_nothing_is_left_out_for_any_rule(every_dtype: bool) -> None:
    for rule in RULES.values():
        for launching in LAUNCHINGS:
            own = [p.values[2:] for p in chosen(every_dtype) if p.values[:2] == (launching, rule)]
            if launching == "numba's prange" and not is_first_of_its_kind(rule):
                assert not own
                continue
            assert {case.name for case, _, _ in own} == {case.name for case in cases(rule)}
            assert {dtype for _, dtype, _ in own} == set(DTYPES)
            assert {threads for _, _, threads in own} == {1, 2, 3}
            assert len({(case.coupled, dtype) for case, dtype, _ in own}) == (4 if launching == "cython" else 2)


STAGED = [
    pytest.param(launching, rule, id=f"{launching}-{rule.name}")
    for launching in LAUNCHINGS
    for rule in RULES.values()
    if rule.name in ("momentum", "adan") and (launching != "numba's prange" or rule is RULES["momentum"])
]


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(("launching", "rule"), STAGED, indirect=["launching"])
def test_every_stage(rule: Rule, launching: str) -> None:
    """Of a rule of few states and one of many, since stages stand around every text alike; each of these kernels is compiled now."""
    dtype = DTYPES[len(rule.states) % 2]
    for threads, case in enumerate(stage_cases(rule), start=2):
        assert compare(rule, launching, dtype, case, lengths=LENGTHS, num_threads=threads, special=True) == 0
        assert compare(rule, launching, dtype, case, lengths=(1, 17, 300), steps=30, num_threads=threads, seed=7) == 0


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(("launching", "rule"), IN_THREADS, indirect=["launching"])
def test_one_large_tensor(rule: Rule, launching: str) -> None:
    """Cut within itself, among threads that run long enough to meet, and to take over each other's pieces."""
    dtype = np.float64 if launching == "cython" else compiled_dtype(coupled=True)
    assert compare(rule, launching, dtype, cases(rule)[1], lengths=(200_003,), steps=2, num_threads=2) == 0


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize(("launching", "rule"), IN_THREADS, indirect=["launching"])
def test_misaligned_starts_and_every_length_to_130(rule: Rule, launching: str) -> None:
    """A vector body that begins or ends at a wrong place shows at some of these lengths."""
    assert compare(rule, launching, np.float32, cases(rule)[1], lengths=range(131), steps=2, num_threads=3, special=True) == 0


HUGE = [
    pytest.param({"lr": 1e200}, 1.0, id="lr beyond float32"),
    pytest.param({"lr": 1e-3, "weight_decay": 1e300}, 1.0, id="decay beyond float32"),
    pytest.param({"lr": 1e200, "weight_decay": 1e200, "decoupled_weight_decay": True}, 1.0, id="retention of minus infinity"),
    pytest.param({"lr": 1e-3}, 1e-300, id="gradient factor beyond float32"),
    pytest.param({"lr": 1e-60, "weight_decay": 1e-60}, 1e60, id="scalars that are 0 in float32"),
    pytest.param({"lr": 0.0}, 1.0, id="lr of 0"),
]


@pytest.mark.parametrize(("options", "grad_scale"), HUGE)
@pytest.mark.parametrize("dtype", BY_DTYPE)
@pytest.mark.parametrize("launching", LAUNCHINGS, indirect=True)
def test_scalars_at_the_ends_of_the_dtype(options: dict[str, float], grad_scale: float, dtype: Any, launching: str) -> None:
    """Rounded to an infinity or to 0 in every backend, with no warning from any."""
    assert ulp_difference("adam", launching, dtype, options, grad_scale) == 0
    assert ulp_difference("momentum", launching, dtype, options, grad_scale) == 0


def ulp_difference(rule: str, backend: str, dtype: Any, options: dict[str, Any], grad_scale: float) -> int:
    ends = []
    for name in (backend, "numpy"):
        p = np.array([1.0, -2.0, 0.0, 1e-30, 3e30], dtype)
        optimizer = fastopt.Optimizer(p, rule, backend=name, **options)
        for _ in range(3):
            optimizer.step(np.array([0.5, 0.0, -0.0, 1e-30, -1e20], dtype), grad_scale=grad_scale)
        ends.append([p, *optimizer.state_dict()["state"].values()])
    return max(ulp_distance(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("dtype", BY_DTYPE)
@pytest.mark.parametrize("launching", LAUNCHINGS, indirect=True)
def test_steps_beyond_the_floats_integers(launching: str, dtype: Any) -> None:
    """The step is an integer: 2^24 in float32 plus one is 2^24 again, 2^53 in float64 likewise."""
    for step in (2**24 + 1, 2**53 + 1, 2**62):
        ends = []
        for backend in (launching, "numpy"):
            arrays = [np.array(values, dtype) for values in ([1.0, -2.0], [0.5, 0.25], [0.1, 0.2], [0.3, 0.4])]
            fastopt.functional.adam(*arrays, step=step, lr=1e-2, betas=(0.99999999, 0.999999999), backend=backend)
            ends.append(arrays)
        assert all(ulp_distance(a, b) == 0 for a, b in zip(*ends, strict=True))
        assert ends[0][0][0] != 1.0


def every_nonfinite_place(dtype: Any) -> Iterator[np.ndarray[Any, Any]]:
    for length in (1, 3, 8, 17, 64, 1025):
        for place in {0, length // 2, length - 1}:
            for value in (np.inf, -np.inf, np.nan):
                g = np.ones(length, dtype)
                g[place] = value
                yield g


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("dtype", BY_DTYPE)
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_nonfinite_gradients_are_found_wherever_they_are(launching: str, dtype: Any) -> None:
    for g in every_nonfinite_place(dtype):
        p = np.zeros(g.shape, dtype)
        options: dict[str, Any] = {} if launching == "numpy" else {"num_threads": 2}
        optimizer = fastopt.SGD(p, lr=1.0, nonfinite="skip", backend=launching, **options)
        assert optimizer.step(g) is False
        assert not p.any()
        largest = np.full(g.shape, np.finfo(dtype).max)
        assert optimizer.step(largest) is True
        assert (p == -largest).all()


def test_small_steps_do_go_through_threads(threads_for_all_sizes: None) -> None:
    """The comparisons above would prove nothing of threads if this were not so."""
    for backend in ("cython", "numba"):
        if fastopt.available_backends()[backend] is True:
            optimizer = fastopt.Optimizer([np.ones(n) for n in LENGTHS], "adam", backend=backend, num_threads=3)
            only = optimizer._plan.batches[0]
            assert only.runner.several
            assert len(only.work.parallel) == 3
            assert (np.diff(only.work.parallel) > 0).all(), "a thread without rows"


def test_the_comparison_sees_one_bit() -> None:
    """`compare` is what all of the above hangs on: with a rule that is off by one bit it must not answer 0."""

    def reference(p: Any, g: Any, *, step: int, lr: float) -> tuple[Any, ...]:
        return (np.nextafter(p - lr * g, np.inf, dtype=p.dtype),)

    @fastopt.rule(reference=reference)
    def plain_descent(p, g, lr):  # type: ignore[no-untyped-def]
        return (p - lr * g,)

    for dtype in (np.float32, np.float64):
        assert crosscheck.compare(plain_descent, "numba", dtype, Case("off by one", {}), lengths=(5,), steps=1) == 1


def test_awkward_arrays_are_awkward() -> None:
    arrays = awkward_arrays(AWKWARD_LENGTHS, np.float32, np.random.default_rng(0), special=True)
    assert {a.ctypes.data % 64 for a in arrays} >= {4 * k for k in range(16)} or len({a.ctypes.data % 64 for a in arrays}) > 4
    values = np.concatenate(arrays)
    assert np.isnan(values).any()
    assert np.isposinf(values).any()
    assert np.isneginf(values).any()
    zeros = values[values == 0]
    assert np.signbit(zeros).any()
    assert not np.signbit(zeros).all()
    denormal = values[(values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)]
    assert len(denormal)
