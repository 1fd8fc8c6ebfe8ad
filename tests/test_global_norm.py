"""Clipping to a global norm: the same sum, to the last bit, on every backend, for any threads, and however the arrays are batched."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import global_norm, storage
from fastopt.crosscheck import AWKWARD_LENGTHS
from tests.conftest import LAUNCHINGS

Array = np.ndarray[Any, Any]
LENGTHS = (*AWKWARD_LENGTHS, 5000, 70_001)
STORAGES = list(storage.STORAGES)


def gradients(dtype: str, seed: int = 0, lengths: Any = LENGTHS) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 3, n)).astype(storage.STORAGES[dtype].dtype) for n in lengths]


def test_by_hand() -> None:
    assert global_norm.global_norm([np.array([3.0]), np.array([[0.0, 4.0]], np.float32)]) == 5.0
    assert global_norm.global_norm([]) == 0.0
    assert global_norm.block_sums(np.ones(600)).tolist() == [256.0, 256.0, 88.0]
    assert global_norm.total(np.ones(256 * 257)) == 256.0 * 257


def test_the_order_within_a_block() -> None:
    """Written out: sixteen lanes, of which the upper half is added to the lower one, four times."""
    values = np.random.default_rng(0).standard_normal(200) ** 2
    lanes = [0.0] * 16
    for i, value in enumerate(values.tolist()):
        lanes[i % 16] += value
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    assert global_norm.block_sums(values).tolist() == lanes
    assert global_norm.block_sums(values)[0] != values.sum() or values[:50].sum() != sum(values[:50].tolist()), "any order will do here"


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("dtype", STORAGES)
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_the_same_bits_everywhere(launching: str, dtype: str, num_threads: int) -> None:
    options: dict[str, Any] = {} if launching == "numpy" else {"num_threads": num_threads}
    grads = gradients(dtype)
    params = [np.zeros(g.shape, "float64" if dtype == "float64" else "float32") for g in grads]
    opt = fastopt.SGD(params, grad_dtype=dtype, backend=launching, max_norm=math.inf, **options)
    opt.step(grads)
    expected = global_norm.global_norm([g.astype(np.float64) for g in grads])
    assert opt.grad_norm == expected
    assert opt.grad_norm == pytest.approx(math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in grads)), rel=1e-12)


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_batches_do_not_matter(launching: str) -> None:
    """The order of the sum is that of the parameters, whatever kernels they belong to."""
    grads = gradients("float32")
    mixed = [g.astype(np.float64) if i % 2 else g for i, g in enumerate(grads)]
    opt = fastopt.SGD([np.zeros_like(g) for g in mixed], max_norm=math.inf, backend=launching)
    assert len(opt._plan.batches) == 2
    opt.step(mixed)
    assert opt.grad_norm == global_norm.global_norm(mixed)


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_absent_gradients_count_as_zero(launching: str) -> None:
    grads: list[Any] = gradients("float32")
    opt = fastopt.SGD([np.zeros_like(g) for g in grads], max_norm=math.inf, backend=launching)
    opt.step(grads)
    grads[-1] = grads[3] = None
    opt.step(grads)
    assert opt.grad_norm == global_norm.global_norm([np.zeros(n) if g is None else g for n, g in zip(LENGTHS, grads, strict=True)])


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_fortran_order_is_summed_as_it_lies(launching: str) -> None:
    p, g = np.zeros((70, 50), order="F"), np.asfortranarray(np.random.default_rng(0).standard_normal((70, 50)))
    opt = fastopt.SGD(p, max_norm=math.inf, backend=launching)
    opt.step(g)
    assert opt.grad_norm == global_norm.global_norm([g.T])


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_norm_below_the_limit_leaves_the_bits_alone_and_one_above_scales(launching: str, dtype: str) -> None:
    grads = gradients(dtype)
    norm = global_norm.global_norm(grads) / 4.0
    params = [[np.ones_like(g) for g in grads] for _ in range(4)]
    plain, below, above, scaled = (fastopt.Adam(own, 0.1, weight_decay=0.1, backend=launching) for own in params)
    for _ in range(2):
        plain.step(grads, grad_scale=4.0)
        below.step(grads, grad_scale=4.0, max_norm=norm)
        above.step(grads, grad_scale=4.0, max_norm=0.5 * norm)
        scaled.step(grads, grad_scale=8.0)
    assert plain.grad_norm is None
    assert below.grad_norm == norm
    assert all(a.tobytes() == b.tobytes() for a, b in zip(params[0], params[1], strict=True))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(params[2], params[3], strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(params[0], params[2], strict=True))


def test_as_an_option_and_for_one_step() -> None:
    p, g = np.zeros(2), np.array([3.0, 4.0])
    opt = fastopt.SGD(p, lr=1.0, max_norm=1.0)
    opt.step(g)
    assert p.tolist() == pytest.approx([-0.6, -0.8])
    opt.step(g, max_norm=10.0)
    assert p.tolist() == pytest.approx([-3.6, -4.8])
    assert opt.grad_norm == 5.0


@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_norms_that_are_no_numbers(launching: str) -> None:
    """Multiplied by 0 where the norm is infinite, by a NaN where it is one, unless the step is skipped or refused."""
    for bad, others in ((np.inf, 1.0), (np.nan, np.nan)):
        p = np.ones(3)
        opt = fastopt.SGD(p, lr=1.0, max_norm=1.0, backend=launching)
        opt.step(np.array([1.0, bad, 1.0]))
        np.testing.assert_array_equal(p, [others, np.nan, others])
        np.testing.assert_array_equal(opt.grad_norm, bad)
        for nonfinite in ("skip", "raise"):
            p = np.ones(3)
            opt = fastopt.SGD(p, lr=1.0, max_norm=1.0, nonfinite=nonfinite, backend=launching)
            if nonfinite == "skip":
                assert opt.step(np.array([1.0, bad, 1.0])) is False
            else:
                with pytest.raises(FloatingPointError, match=r"^grads: expected finite values"):
                    opt.step(np.array([1.0, bad, 1.0]))
            assert p.tolist() == [1.0] * 3
            assert opt.steps == 0


def test_finite_gradients_whose_squares_are_not() -> None:
    """Their norm is infinite, and they are finite all the same."""
    p = np.ones(2)
    opt = fastopt.SGD(p, lr=1.0, max_norm=1.0, nonfinite="raise")
    assert opt.step(np.array([1e200, 0.0]))
    assert opt.grad_norm == math.inf
    assert p.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("value", "error"),
    [(0.0, ValueError), (-1.0, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError), (-math.inf, ValueError)],
)
def test_limits_that_are_refused(value: Any, error: type[Exception]) -> None:
    p = np.ones(2)
    with pytest.raises(error, match=r"^max_norm: "):
        fastopt.SGD(p, max_norm=value)
    opt = fastopt.SGD(p)
    with pytest.raises(error, match=r"^max_norm: "):
        opt.step(np.ones(2), max_norm=value)
    assert (p == 1.0).all()


@pytest.mark.parametrize(("norm", "expected"), [(1.0, 1.0), (2.0, 1.0), (4.0, 0.5), (math.inf, 0.0), (math.nan, math.nan)])
def test_the_factor_of_a_norm(norm: float, expected: float) -> None:
    assert str(global_norm.factor(norm, 2.0)) == str(expected)


@pytest.mark.usefixtures("threads_for_all_sizes")
@pytest.mark.parametrize("dtype", STORAGES)
@pytest.mark.parametrize("launching", [*LAUNCHINGS, "numpy"], indirect=True)
def test_what_is_not_finite_is_found_wherever_it_lies(launching: str, dtype: str) -> None:
    """Rows are read from several places at once, and what is left of them after that."""
    for length in (1, 3, 5, 18, 1027):
        g = np.ones(length, storage.STORAGES[dtype].dtype)
        opt = fastopt.SGD(
            np.ones(length, "float64" if dtype == "float64" else "float32"), grad_dtype=dtype, nonfinite="skip", backend=launching
        )
        assert opt.step(g)
        for place in {*range(min(length, 18)), *range(0, length, 97), length - 1}:
            g[place] = np.inf if place % 2 else np.nan
            assert opt.step(g) is False, f"{dtype}: element {place} of {length}"
            g[place] = 1.0
