"""The `cuda` backend on a device: every rule has the bits of the oracle, and every bad call is refused before anything is written.

On a GPU, and on what stands in for one (see `conftest`). Walks the table; a new rule needs no line here.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import arguments
from fastopt.crosscheck import Case, awkward_arrays, cases, compare, stage_cases, ulp_distance
from fastopt.cuda.arrays import DeviceArray
from fastopt.cuda.memory import from_host, to_host
from fastopt.rules.entry import RULES, Rule
from fastopt.rules.language import absolute, maximum, minimum, sign, sqrt
from tests.cuda.emulated_driver import EMULATED
from tests.cuda.simulator import SIMULATED
from tests.kernels import compiled_dtype, is_first_of_its_kind

# ruff: noqa: ANN202  -- rules are bare formulas

pytestmark = pytest.mark.usefixtures("device")

LENGTHS = (0, 1, 3, 17, 33, 300) if SIMULATED else (0, 1, 3, 7, 15, 16, 17, 31, 33, 255, 256, 257, 1023, 1024, 1025, 5_003, 40_001)
"""The simulator takes a tenth of a second for a thousand elements."""

TRIED = [rule for rule in RULES.values() if is_first_of_its_kind(rule) or not (EMULATED or SIMULATED)]
"""All rules on a GPU; on what stands in for one a rule of so many states, since `test_ptx` runs the kernels of all."""

EACH_CASE = [
    pytest.param(rule, case, dtype, id=f"{rule.name}: {case}-{dtype.__name__}")
    for rule in TRIED
    for case in cases(rule)
    for dtype in (compiled_dtype(case.coupled),)
]
"""Every case of a rule, with two of its kernels."""

BY_RULE = [pytest.param(rule, id=rule.name) for rule in TRIED]
BY_DTYPE = [pytest.param(dtype, id=dtype.__name__) for dtype in (np.float32, np.float64)]


@pytest.mark.parametrize(("rule", "case", "dtype"), EACH_CASE)
def test_awkward_lengths_starts_and_values(rule: Rule, case: Case, dtype: Any) -> None:
    assert compare(rule, "cuda", dtype, case, lengths=LENGTHS, steps=2, special=True) == 0


@pytest.mark.parametrize("dtype", BY_DTYPE)
@pytest.mark.parametrize("k", [0, 1], ids=["one group", "two groups"])
def test_every_stage(dtype: Any, k: int) -> None:
    rule = RULES["momentum"]
    assert compare(rule, "cuda", dtype, stage_cases(rule)[k], lengths=LENGTHS, steps=2 if SIMULATED else 4, special=True) == 0


@pytest.mark.parametrize("rule", BY_RULE)
def test_many_steps_with_a_changing_learning_rate(rule: Rule) -> None:
    steps = 4 if SIMULATED else 40
    assert compare(rule, "cuda", compiled_dtype(coupled=True), cases(rule)[1], lengths=(1, 17, 70), steps=steps, seed=7) == 0


@pytest.mark.parametrize("dtype", BY_DTYPE)
def test_every_length_and_every_start(dtype: Any) -> None:
    """A vector body that begins or ends at a wrong place shows at some of these."""
    lengths = range(0, 40, 3) if SIMULATED else range(131)
    assert compare(RULES["adam"], "cuda", dtype, cases(RULES["adam"])[0], lengths=lengths, steps=2, special=True) == 0


@pytest.mark.parametrize("dtype", BY_DTYPE)
@pytest.mark.parametrize("offset", range(0, 16, 4))
def test_streams_that_lie_alike_and_streams_that_do_not(offset: int, dtype: Any) -> None:
    """The parameter a few bytes behind a multiple of 16, the gradient at all distances."""
    if offset % np.dtype(dtype).itemsize:
        pytest.skip("not aligned to its elements")
    values = np.random.default_rng(1).standard_normal(77).astype(dtype)
    for distance in range(0, 16, np.dtype(dtype).itemsize):
        p, expected = from_host(values, offset=offset), values.copy()
        fastopt.Momentum(p, lr=0.1).step(from_host(values[::-1].copy(), offset=distance))
        fastopt.Momentum(expected, lr=0.1, backend="numpy").step(values[::-1].copy())
        assert ulp_distance(to_host(p), expected) == 0


def test_a_rule_from_outside_with_everything_that_a_rule_may_say() -> None:
    def reference(p: Any, g: Any, m: Any, *, step: int, lr: float, beta: float) -> tuple[Any, ...]:
        lr, beta = p.dtype.type(lr), p.dtype.type(beta)
        a = np.abs(g)
        b = np.where((a > m) | np.isnan(a), a, m)
        c = np.where((b < -g) | np.isnan(b), b, -g)
        s = np.where(np.isnan(c), c, np.sign(c))
        d = np.where(c < m, s, a)
        d = np.where(d != beta, d, np.sqrt(a))
        m = beta * m + d
        return p - lr * m / (a + beta), m

    @fastopt.rule(states=("m",), hyperparameters={"beta": 0.9}, reference=reference)
    def rows_at(p, g, m, lr, beta):  # type: ignore[no-untyped-def]  # the names are ones that the kernel's own source has
        row = absolute(g)
        p_0 = maximum(row, m)
        thread = minimum(p_0, -g)
        offset = sign(thread) if thread < m else row
        element = offset if offset != beta else sqrt(row)
        m = beta * m + element
        return p - lr * m / (row + beta), m

    for dtype in (np.float32, np.float64):
        assert compare(rows_at, "cuda", dtype, Case("all", {}), lengths=(1, 5, 64, 130), steps=3, special=True) == 0


def test_mixed_dtypes_and_a_mapping() -> None:
    rng = np.random.default_rng(0)
    host = {"a": rng.standard_normal(5), "b": rng.standard_normal((3, 7)).astype(np.float32), "c": np.zeros((0, 2), np.float32)}
    host["d"] = np.array(2.0)
    params = {name: from_host(values) for name, values in host.items()}
    on_device, on_host = fastopt.AdamW(params, lr=0.1), fastopt.AdamW(host, lr=0.1, backend="numpy")
    for _ in range(3):
        gradients = {name: np.asarray(rng.standard_normal(values.shape), values.dtype) for name, values in host.items()}
        on_device.step({name: from_host(values) for name, values in gradients.items()}, grad_scale=2.0)
        on_host.step(gradients, grad_scale=2.0)
    for name, values in host.items():
        assert ulp_distance(to_host(params[name]), values) == 0
    assert on_device.backend == "cuda"
    assert on_device.params == params
    assert on_device.steps == 3


def test_a_run_moves_between_host_and_device(tmp_path: Path) -> None:
    """State is the same on both, and so are checkpoints."""
    rng = np.random.default_rng(0)
    values, gradients = rng.standard_normal(50).astype(np.float32), [rng.standard_normal(50).astype(np.float32) for _ in range(4)]
    expected = values.copy()
    straight = fastopt.Adam(expected, backend="numpy")
    for g in gradients:
        straight.step(g)
    first = fastopt.Adam(from_host(values))
    first.step(from_host(gradients[0]))
    first.save(tmp_path / "state.safetensors")
    second_p = to_host(first.params)
    second = fastopt.Adam(second_p, backend="numpy")
    second.load(tmp_path / "state.safetensors")
    second.step(gradients[1])
    third = fastopt.Adam(from_host(second_p))
    third.load_state_dict(second.state_dict())
    for g in gradients[2:]:
        third.step(from_host(g))
    assert third.steps == 4
    assert ulp_distance(to_host(third.params), expected) == 0
    for name, state in third.state_dict()["state"].items():
        assert isinstance(state, np.ndarray)
        assert ulp_distance(state, straight.state_dict()["state"][name]) == 0


@pytest.mark.parametrize("state_dtype", [None, "bfloat16"])
def test_states_of_any_layout_and_storage_are_loaded(state_dtype: Any) -> None:
    rng = np.random.default_rng(0)
    host = [rng.standard_normal((3, 5)).T, np.array(2.0), np.zeros((0, 2)), rng.standard_normal((2, 3, 4)).transpose(2, 0, 1)]
    host = [values.astype(np.float32, order="K") for values in host]
    first, second = (fastopt.Adam([from_host(values) for values in host], state_dtype=state_dtype) for _ in range(2))
    first.step([from_host(values) for values in host])
    second.load_state_dict(first.state_dict())
    saved, found = (optimizer.state_dict() for optimizer in (first, second))
    assert found["steps"] == 1
    for name, values in saved["state"].items():
        assert all(value.any() for value in values if value.size)
        assert [value.tobytes() for value in found["state"][name]] == [value.tobytes() for value in values]


def test_functional() -> None:
    host = [np.random.default_rng(i).standard_normal(30).astype(np.float32) ** 2 for i in range(4)]
    device = [from_host(a) for a in host]
    fastopt.functional.adam(*device, step=3, lr=0.1)
    fastopt.functional.adam(*host, step=3, lr=0.1, backend="numpy")
    assert all(ulp_distance(to_host(a), b) == 0 for a, b in zip(device, host, strict=True))
    with pytest.raises(TypeError, match=r"^p lies in device memory, m lies? in host|^p lies in device memory, m in host memory"):
        fastopt.functional.adam(device[0], device[1], host[2], device[3], step=1)


def test_new_gradients_at_every_step_and_the_same_again() -> None:
    """Addresses are uploaded where they changed, and only those: a stale one would show."""
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(n).astype(np.float32) for n in (5, 9, 2, 40)]
    params = [from_host(p) for p in host]
    on_device, on_host = fastopt.SGD(params, lr=0.5), fastopt.SGD(host, lr=0.5, backend="numpy")
    gradients = [rng.standard_normal(p.shape).astype(np.float32) for p in host]
    held = [from_host(g) for g in gradients]
    for step in range(12):
        for i in range(len(host)):
            if step % (i + 2) == 0:
                gradients[i] = rng.standard_normal(host[i].shape).astype(np.float32)
                held[i] = from_host(gradients[i])
        on_device.step(held)
        on_host.step(gradients)
        assert all(ulp_distance(to_host(p), q) == 0 for p, q in zip(params, host, strict=True))


def array(length: int = 4, dtype: Any = np.float32, offset: int = 0) -> DeviceArray:
    return from_host(np.ones(length, dtype), offset=offset)


def test_host_beside_device_is_refused_with_both_named() -> None:
    expected = (
        r"^params\[1\] lies in device memory, params\[0\] in host memory: expected all arrays in one; received .*DeviceArray and a NumPy"
    )
    with pytest.raises(TypeError, match=expected):
        fastopt.Adam([np.ones(3), array(3)])
    with pytest.raises(TypeError, match=r"^params\['b'\] lies in device memory, params\['a'\] in host memory"):
        fastopt.Adam({"a": np.ones(3), "b": array(3)})
    p = array()
    optimizer = fastopt.Adam(p)
    with pytest.raises(TypeError, match=r"^grads: expected an array on the device of params \(cuda:0\), received a NumPy array of float32"):
        optimizer.step(np.ones(4, np.float32))
    host = np.ones(4, np.float32)
    with pytest.raises(TypeError, match=rf"^grads: expected a NumPy array of {arguments.KINDS}, received .*DeviceArray"):
        fastopt.Adam(host, backend="numpy").step(p)
    assert (to_host(p) == 1).all()
    assert (host == 1).all()


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (lambda p: array(5), ValueError, r"^grads has shape \(5,\), its parameter params has shape \(4,\)$"),
        (lambda p: array(4, np.float64), TypeError, r"^grads: expected dtype float32 like params, received float64$"),
        (lambda p: p, ValueError, r"^(grads and params|params and grads) overlap in memory"),
        (lambda p: DeviceArray(p.address + 8, (4,), p.dtype, p.device, p), ValueError, "overlap in memory"),
        (lambda p: 1.0, TypeError, r"^grads: expected one array, like params; received float$"),
    ],
)
def test_gradients_that_cannot_be_used(gradient: Any, error: type[Exception], message: str) -> None:
    p = array()
    optimizer = fastopt.Adam(p)
    with pytest.raises(error, match=message):
        optimizer.step(gradient(p))
    assert (to_host(p) == 1).all()
    assert optimizer.steps == 0


def test_calls_that_make_no_sense_on_a_device() -> None:
    p = array()
    for call, error, message in (
        (lambda: fastopt.Adam(p, backend="numba"), ValueError, r"^backend: expected 'auto' or 'cuda' for arrays in device memory"),
        (lambda: fastopt.Adam(p, num_threads=2), ValueError, r"^num_threads: expected None or 1 \(a step on a device"),
        (
            lambda: fastopt.Adam(p, nonfinite="skip"),
            ValueError,
            r"^nonfinite: expected 'propagate' for arrays in device memory, received 'skip'$",
        ),
        (lambda: fastopt.Adam([p, p]), ValueError, r"^params\[0\] and params\[1\] overlap"),
        (lambda: fastopt.Adam(p).step(array(), stream="main"), TypeError, r"^stream: expected a CUDA stream .* received 'main' \(str\)$"),
        (lambda: fastopt.Adam(p).step(array(), stream=-1), TypeError, r"^stream: expected a CUDA stream"),
        (lambda: fastopt.Adam(p).step(array(), stream=True), TypeError, r"^stream: expected a CUDA stream"),
        (lambda: fastopt.Adam(p).advance(), RuntimeError, r"^advance: expected a step that was captured"),
    ):
        with pytest.raises(error, match=message):
            call()  # type: ignore[no-untyped-call]
    assert (to_host(p) == 1).all()


def test_calls_that_make_no_sense_on_the_host() -> None:
    p = np.ones(3)
    optimizer = fastopt.Adam(p, backend="numpy")
    with pytest.raises(TypeError, match=r"^stream: expected None for arrays in host memory, received 0$"):
        optimizer.step(np.ones(3), stream=0)
    with pytest.raises(TypeError, match=r"^advance: expected an optimizer of device arrays"):
        optimizer.advance()
    assert (p == 1).all()


@pytest.mark.parametrize("offset", [0, 4, 8, 12])
def test_states_lie_as_their_parameter_does(offset: int) -> None:
    """So that a parameter in the middle of a larger array is worked on in whole vectors too, where its gradient lies like it."""
    optimizer = fastopt.Adam(array(100, offset=offset))
    assert [state.address % 16 for state in optimizer._states[0]] == [offset, offset]
    assert all((values == 0).all() for values in optimizer.state_dict()["state"].values())


def test_nothing_but_empty_arrays() -> None:
    p = from_host(np.zeros((0, 3), np.float32))
    optimizer = fastopt.Adam([p])
    assert optimizer.step([from_host(np.zeros((0, 3), np.float32))]) is True
    assert optimizer.steps == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
def test_a_copy_goes_on_by_itself(copied: Any) -> None:
    rng = np.random.default_rng(0)
    values, first, second = (rng.standard_normal(20).astype(np.float32) for _ in range(3))
    optimizer = fastopt.Adam({"w": from_host(values, offset=4)}, lr=0.1)
    optimizer.step({"w": from_host(first)})
    other = copied(optimizer)
    assert other.params["w"].address % 16 == 4
    between = to_host(optimizer.params["w"])
    other.step({"w": from_host(second)})
    assert np.array_equal(to_host(optimizer.params["w"]), between)
    optimizer.step({"w": from_host(second)})
    assert ulp_distance(to_host(optimizer.params["w"]), to_host(other.params["w"])) == 0
    assert optimizer.steps == other.steps == 2


def test_awkward_arrays_are_placed_as_they_lie() -> None:
    for values in awkward_arrays((5, 6, 7), np.float32, np.random.default_rng(0), False):
        placed = from_host(values, offset=values.ctypes.data % 64)
        assert placed.address % 64 == values.ctypes.data % 64
        assert np.array_equal(to_host(placed), values)


@pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")
def test_a_kernel_is_compiled_for_the_first_optimizer_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at every call, nor for other sizes or numbers of tensors."""
    from fastopt.cuda.driver import kernels

    @fastopt.rule(default_lr=1e-3)
    def compiled_once(p, g, lr):
        return (p - lr * (g + g),)

    def steps(*shapes: int, lr: float = 0.5) -> None:
        optimizer = fastopt.Optimizer([from_host(np.ones(n, np.float32)) for n in shapes], compiled_once, lr)
        for _ in range(3):
            optimizer.step([from_host(np.ones(n, np.float32)) for n in shapes], grad_scale=2.0)

    compiled: list[str] = []
    whole = kernels.ptx_of
    monkeypatch.setattr(kernels, "ptx_of", lambda source, name, *rest: (compiled.append(name), whole(source, name, *rest))[1])
    steps(5)
    assert len(compiled) == 1
    steps(5)
    steps(1, 300, 7, lr=0.25)
    assert len(compiled) == 1
