"""Calls that build an optimizer."""

from __future__ import annotations

import fractions
import types
from typing import Any

import numpy as np
import pytest

import fastopt
from tests.bad_calls.arguments import REFUSED_ARGUMENTS
from tests.bad_calls.arrays import swapped, unaligned
from tests.bad_calls.construction import Construction, constructions
from tests.conftest import needed

# ruff: noqa: ANN202  -- rules are bare formulas


def has_steps(optimizer: Any) -> bool:
    """Works, to the end of a step on zeros with the structure of params."""
    params = optimizer.params
    zeros = (
        {k: np.zeros_like(v) for k, v in params.items()}
        if isinstance(params, dict)
        else [np.zeros_like(p) for p in params]
        if isinstance(params, list)
        else np.zeros_like(params)
    )
    return optimizer.step(zeros) is True and optimizer.steps == 1


PARAMS = r"^params: expected an array, a sequence of arrays or a mapping of them, received "
ELEMENT = r"^params\[0\]: expected a NumPy array of float32, float64, float16 or bfloat16, received "
DTYPE = r"^params: expected dtype float32, float64, float16 or bfloat16 in native byte order, received "

CONSTRUCTIONS = [
    *constructions(
        TypeError,
        ("params: None", lambda p: fastopt.Adam(None), PARAMS + "NoneType$"),
        ("params: number", lambda p: fastopt.Adam(1.0), PARAMS + "float$"),
        ("params: NumPy scalar", lambda p: fastopt.Adam(np.float64(1.0)), PARAMS + "float64$"),
        ("params: string", lambda p: fastopt.Adam("weights"), PARAMS + "str$"),
        ("params: bytes", lambda p: fastopt.Adam(b"weights"), PARAMS + "bytes$"),
        ("params: list of numbers", lambda p: fastopt.Adam([1.0, 2.0]), ELEMENT + r"1\.0 \(float\)$"),
        (
            "params: list of lists",
            lambda p: fastopt.Adam([[1.0]]),
            r"^params\[0\]\[0\]: expected a NumPy array of .* received 1\.0 \(float\)$",
        ),
        ("params: list with None", lambda p: fastopt.Adam([p, None]), r"^params\[1\]: expected a NumPy array .* received None$"),
        ("params: mapping of lists", lambda p: fastopt.Adam({"w": [1.0]}), r"^params\['w'\]\[0\]: expected a NumPy array"),
        ("params: int64", lambda p: fastopt.Adam(p.astype(int)), DTYPE + "int64$"),
        ("params: complex128", lambda p: fastopt.Adam(p.astype(complex)), DTYPE + "complex128$"),
        ("params: bool", lambda p: fastopt.Adam(p > 0), DTYPE + "bool$"),
        ("params: object", lambda p: fastopt.Adam(p.astype(object)), DTYPE + "object$"),
        ("params: object array of arrays", lambda p: fastopt.Adam(np.array([p, None], object)), DTYPE + "object$"),
        ("params: text", lambda p: fastopt.Adam(p.astype(str)), DTYPE + "<U"),
        ("params: byte-swapped", lambda p: fastopt.Adam(swapped(p)), DTYPE + r"float64 in foreign byte order \(>f8\)$"),
        ("params: masked array", lambda p: fastopt.Adam(np.ma.masked_less(p, 2.0)), r"^params: expected a NumPy array .* with a mask$"),
        (
            "params: one of several bad",
            lambda p: fastopt.Adam({"w": p, "b": p.astype(np.int32)}),
            r"^params\['b'\]: expected dtype .* received int32$",
        ),
        ("rule: None", lambda p: fastopt.Optimizer(p, None), r"^rule: expected a name or the result of fastopt\.rule, received NoneType$"),
        ("rule: function", lambda p: fastopt.Optimizer(p, lambda p, g: p), r"^rule: .* received function$"),
        ("rule: class", lambda p: fastopt.Optimizer(p, fastopt.Adam), r"^rule: .* received type$"),
        (
            "hyperparameter of another rule",
            lambda p: fastopt.Optimizer(p, "sgd", momentum=0.9),
            r"^momentum: rule 'sgd' has no such hyperparameter; expected some of lr$",
        ),
        (
            "hyperparameter of no rule",
            lambda p: fastopt.Optimizer(p, "adam", beta1=0.9),
            r"^beta1: rule 'adam' has no such hyperparameter; did you mean `betas`\? Expected some of lr, betas, eps, eps_root, eps_hat",
        ),
        ("argument that Adam has not", lambda p: fastopt.Adam(p, beta1=0.9), "beta1"),
        ("no params", lambda p: fastopt.Adam(), "params"),
    ),
    *constructions(
        ValueError,
        ("params: empty list", lambda p: fastopt.Adam([]), r"^params: expected at least one array, received an empty sequence$"),
        ("params: spent generator", lambda p: fastopt.Adam(x for x in ()), r"received an empty sequence$"),
        ("params: empty mapping", lambda p: fastopt.Adam({}), r"^params: expected at least one array, received an empty mapping$"),
        (
            "params: reversed",
            lambda p: fastopt.Adam(p[::-1]),
            r"^params: expected a dense array, .* received strides \(-8,\) for shape \(6,\); .*np\.ascontiguousarray",
        ),
        ("params: every other", lambda p: fastopt.Adam(p[::2]), r"received strides \(16,\) for shape \(3,\)"),
        ("params: column of a matrix", lambda p: fastopt.Adam(p.reshape(2, 3)[:, 1]), r"expected a dense array"),
        ("params: broadcast", lambda p: fastopt.Adam(np.broadcast_to(p, (2, 6))), r"expected a dense array"),
        (
            "params: unaligned",
            lambda p: fastopt.Adam(unaligned((4,), np.float64)),
            r"^params: expected an array aligned to its 8-byte elements, received address 0x",
        ),
        (
            "params: read-only",
            lambda p: fastopt.Adam(np.frombuffer(p.tobytes())),
            r"^params: expected a writeable array, received a read-only one$",
        ),
        (
            "params: one array twice",
            lambda p: fastopt.Adam([p, p]),
            r"^params\[0\] and params\[1\] overlap in memory: expected arrays that share no element$",
        ),
        ("params: one array under two names", lambda p: fastopt.Adam({"a": p, "b": p}), r"^params\['a'\] and params\['b'\] overlap"),
        ("params: view and base", lambda p: fastopt.Adam([p, p[2:4]]), r"^params\[0\] and params\[1\] overlap"),
        ("params: views that overlap by one", lambda p: fastopt.Adam([p[3:], p[:4]]), r"^params\[1\] and params\[0\] overlap"),
        ("params: two shapes of one buffer", lambda p: fastopt.Adam([p, p.reshape(2, 3)]), r"overlap in memory"),
        ("params: two dtypes of one buffer", lambda p: fastopt.Adam([p, p.view(np.float32)]), r"^params\[0\] and params\[1\] overlap"),
        ("params: a long one over two short ones", lambda p: fastopt.Adam([p[4:5], p[1:2], p[0:6]]), r"overlap in memory"),
        ("rule: unknown", lambda p: fastopt.Optimizer(p, "adem"), r"^rule: expected one of .*adam, .*; received 'adem'$"),
        ("rule: empty", lambda p: fastopt.Optimizer(p, ""), r"^rule: expected one of .*; received ''$"),
        (
            "nesterov without momentum",
            lambda p: fastopt.SGD(p, nesterov=True),
            r"^nesterov: expected momentum > 0 and dampening .*0, received momentum 0\.0.* dampening 0\.0$",
        ),
        (
            "nesterov with dampening",
            lambda p: fastopt.SGD(p, momentum=0.9, dampening=0.1, nesterov=True),
            r"^nesterov: expected .* received momentum 0\.9.* dampening 0\.1$",
        ),
        (
            "dampening without momentum",
            lambda p: fastopt.SGD(p, dampening=0.1),
            r"^dampening: expected 0 where momentum is 0 \(nothing would be dampened\), received 0\.1$",
        ),
        (
            "averaged form with nesterov",
            lambda p: fastopt.Momentum(p, nesterov=True, form="averaged"),
            r"^nesterov: expected False with form='averaged', which has no such variant; received True$",
        ),
        (
            "numpy with threads",
            lambda p: fastopt.Adam(p, backend="numpy", num_threads=2),
            r"^num_threads: expected None or 1 \(the numpy backend runs in one thread\), received 2$",
        ),
    ),
    *constructions(
        ValueError,
        (
            "backend: cuda",
            lambda p: fastopt.Adam(p, backend="cuda"),
            r"^backend: expected 'auto' or 'numpy' or 'numba' or 'cython' for arrays in host memory, received 'cuda'$",
        ),
    ),
    *REFUSED_ARGUMENTS,
    Construction(
        "no learning rate",
        lambda p: fastopt.Optimizer(p, _without_default()),
        TypeError,
        r"^lr: rule 'nameless' has no default learning rate; expected a finite number >= 0, received None$",
    ),
    # odd, and right
    Construction("lr=None", lambda p: fastopt.Optimizer(p, "adam", None), works=lambda o: has_steps(o) and o.lr == 1e-3),
    Construction("lr=0", lambda p: fastopt.Adam(p, 0), works=lambda o: has_steps(o) and o.lr == 0.0),
    Construction("lr: fraction", lambda p: fastopt.Adam(p, fractions.Fraction(1, 4)), works=lambda o: has_steps(o) and o.lr == 0.25),  # type: ignore[arg-type]
    Construction("lr: float32", lambda p: fastopt.Adam(p, np.float32(0.5)), works=lambda o: has_steps(o) and o.lr == 0.5),  # type: ignore[arg-type]
    Construction(
        "betas: list",
        lambda p: fastopt.Adam(p, betas=[0.5, 0.25]),
        works=lambda o: has_steps(o) and o.hyperparameters["betas"] == (0.5, 0.25),
    ),  # type: ignore[arg-type]
    Construction("betas of 0", lambda p: fastopt.Adam(p, betas=(0, 0)), works=has_steps),
    Construction("eps of 0", lambda p: fastopt.Adam(p, eps=0), works=has_steps),
    Construction("0-d", lambda p: fastopt.Adam(np.array(1.5)), works=has_steps),
    Construction("empty", lambda p: fastopt.Adam(np.zeros((0, 3))), works=has_steps),
    Construction("only empty ones", lambda p: fastopt.Adam([np.zeros(0), np.zeros((2, 0), np.float32)]), works=has_steps),
    Construction("0-d and empty among others", lambda p: fastopt.Adam([p, np.array(1.0), np.zeros(0)]), works=has_steps),
    Construction("tuple", lambda p: fastopt.Adam((p,)), works=lambda o: has_steps(o) and isinstance(o.params, list)),
    Construction("generator", lambda p: fastopt.Adam(x for x in [p, p.copy()]), works=has_steps),
    Construction("values of a mapping", lambda p: fastopt.Adam({"w": p}.values()), works=has_steps),
    Construction("read-only mapping", lambda p: fastopt.Adam(types.MappingProxyType({"w": p})), works=has_steps),
    Construction("mapping with numbers as names", lambda p: fastopt.Adam({0: p, (1, 2): p.copy()}), works=has_steps),
    Construction("neighbours in one buffer", lambda p: fastopt.Adam([p[:3], p[3:]]), works=has_steps),
    Construction("the same empty view twice", lambda p: fastopt.Adam([p[:0], p[:0], p]), works=has_steps),
    Construction("F-ordered vector", lambda p: fastopt.Adam(np.asfortranarray(p)), works=has_steps),
    Construction("matrix, a subclass", lambda p: fastopt.Adam(p.reshape(2, 3).view(np.matrix)), works=has_steps),
    Construction("one-element axes", lambda p: fastopt.Adam(p.reshape(1, 6, 1)[:, :, ::1]), works=has_steps),
    Construction("num_threads: NumPy integer", lambda p: fastopt.Adam(p, num_threads=np.int8(1)), works=has_steps),  # type: ignore[arg-type]
    Construction("more threads than elements", lambda p: fastopt.Adam(p, num_threads=64, backend=_threaded()), works=has_steps),
]


def _without_default() -> fastopt.Rule:
    @fastopt.rule()
    def nameless(p, g, lr):  # type: ignore[no-untyped-def]
        return (p - lr * g,)

    return nameless


def _threaded() -> str:
    return "numba" if fastopt.available_backends()["numba"] is True else "auto"


@pytest.mark.parametrize("call", CONSTRUCTIONS, ids=lambda call: call.id)
def test_construction(call: Construction) -> None:
    p = np.arange(1.0, 7.0)
    if call.backend is not None:
        needed(call.backend)
    if call.works is not None:
        assert call.works(call.make(p))
        return
    assert call.error is not None
    with pytest.raises(call.error, match=call.words):
        call.make(p)
    assert p.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("FASTOPT_BACKEND", "gpu", r"^FASTOPT_BACKEND: expected one of auto, numpy, numba, cython, cuda; received 'gpu'$"),
        ("FASTOPT_BACKEND", "NUMPY", r"^FASTOPT_BACKEND: expected"),
        ("FASTOPT_BACKEND", " ", r"^FASTOPT_BACKEND: expected"),
        ("FASTOPT_NUM_THREADS", "0", r"^FASTOPT_NUM_THREADS: expected an integer from 1 to 1024, received '0'$"),
        ("FASTOPT_NUM_THREADS", "-1", r"^FASTOPT_NUM_THREADS: expected"),
        ("FASTOPT_NUM_THREADS", "1.5", r"^FASTOPT_NUM_THREADS: expected"),
        ("FASTOPT_NUM_THREADS", "many", r"^FASTOPT_NUM_THREADS: .* received 'many'$"),
        ("FASTOPT_NUM_THREADS", "9" * 5000, r"^FASTOPT_NUM_THREADS: expected"),
    ],
)
def test_environment(variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    backend = "numba" if variable == "FASTOPT_NUM_THREADS" else "auto"
    if backend == "numba":
        needed("numba")
    with pytest.raises(ValueError, match=words):
        fastopt.Adam(np.zeros(3), backend=backend)
