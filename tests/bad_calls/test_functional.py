"""Calls of `fastopt.functional`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST as BACKENDS
from tests.bad_calls.arrays import Array
from tests.conftest import needed


@dataclass(frozen=True)
class FunctionCall:
    """A change to the arguments of a good call of `fastopt.functional.adam`: its arrays by name, its options by name."""

    id: str
    change: Callable[[dict[str, Array]], dict[str, Any]]
    error: type[Exception] | None = None
    words: str = ""


def option(name: str, value: Any, error: type[Exception] | None, words: str = "") -> FunctionCall:
    return FunctionCall(f"{name}={value!r:.24}", lambda arrays: {name: value}, error, words)


WHOLE = "^step: expected an integer >= 1"

FUNCTION_CALLS = [
    option("step", 0, ValueError, WHOLE + ", received 0$"),
    option("step", -1, ValueError, WHOLE + ", received -1$"),
    option("step", 1.0, TypeError, WHOLE + r", received 1\.0 \(float\)$"),
    option("step", True, TypeError, WHOLE + r", received True \(bool\)$"),
    option("step", None, TypeError, WHOLE + ", received None$"),
    option("step", "1", TypeError, WHOLE + r", received '1' \(str\)$"),
    option("step", 2**63, ValueError, WHOLE + " of 64 bits, received one of 64 bits$"),
    option("step", 10**4000, ValueError, WHOLE + " of 64 bits"),
    option("step", 2**63 - 1, None),
    option("step", np.int32(2), None),
    option("lr", -1.0, ValueError, "^lr: expected a finite number >= 0, received -1.0$"),
    option("lr", "1e-3", TypeError, "^lr: "),
    option("lr", None, None),
    option("betas", (0.9, 1.0), ValueError, r"^betas\[1\]: "),
    option("weight_decay", math.nan, ValueError, "^weight_decay: "),
    option("decoupled_weight_decay", 1, TypeError, "^decoupled_weight_decay: expected True or False"),
    option("maximize", None, TypeError, "^maximize: "),
    option("flush_denormals", 0, TypeError, "^flush_denormals: expected True or False"),
    option("clip_value", -0.5, ValueError, "^clip_value: expected None or a finite number >= 0, received -0.5$"),
    option("clip_value", None, None),
    option("grad_scale", 0.0, ValueError, "^grad_scale: "),
    option(
        "momentum",
        0.9,
        TypeError,
        "^momentum: rule 'adam' has no such hyperparameter; expected some of lr, betas, eps, eps_root, eps_hat, bias_",
    ),
    option("nonfinite", "skip", TypeError, "^nonfinite: rule 'adam' has no such hyperparameter"),
    option("backend", "gpu", ValueError, "^backend: "),
    option("backend", None, TypeError, "^backend: "),
    option("num_threads", 0, ValueError, "^num_threads: "),
    FunctionCall("p: list", lambda a: {"p": a["p"].tolist()}, TypeError, "^p: expected a NumPy array"),
    FunctionCall(
        "p: None", lambda a: {"p": None}, TypeError, "^p: expected a NumPy array of float32, float64, float16 or bfloat16, received None$"
    ),
    FunctionCall("p: read-only", lambda a: {"p": np.frombuffer(a["p"].tobytes())}, ValueError, "^p: expected a writeable array"),
    FunctionCall("p: strided", lambda a: {"p": np.zeros(12)[::2]}, ValueError, "^p: expected a dense array"),
    FunctionCall("p: int", lambda a: {"p": np.zeros(6, int)}, TypeError, "^p: expected dtype float32, float64, float16 or bfloat16"),
    FunctionCall("g: wrong shape", lambda a: {"g": np.zeros(5)}, ValueError, r"^g has shape \(5,\), its parameter p has shape \(6,\)$"),
    FunctionCall(
        "g: wrong dtype", lambda a: {"g": np.zeros(6, np.float32)}, TypeError, "^g: expected dtype float64 like p, received float32$"
    ),
    FunctionCall("g: None", lambda a: {"g": None}, TypeError, "^g: expected a NumPy array"),
    FunctionCall("g: masked", lambda a: {"g": np.ma.array(a["g"])}, TypeError, "^g: .* with a mask$"),
    FunctionCall("g: p", lambda a: {"g": a["p"]}, ValueError, "^g and p overlap in memory"),
    FunctionCall("g: a state", lambda a: {"g": a["v"]}, ValueError, "^g and state 1 of p overlap in memory"),
    FunctionCall(
        "m: wrong shape", lambda a: {"m": np.zeros((6, 1))}, ValueError, r"^m has shape \(6, 1\), its parameter p has shape \(6,\)$"
    ),
    FunctionCall("m: wrong dtype", lambda a: {"m": np.zeros(6, np.float32)}, TypeError, "^m: expected dtype float64 like p"),
    FunctionCall("m: None", lambda a: {"m": None}, TypeError, "^m: expected a NumPy array"),
    FunctionCall("v: read-only", lambda a: {"v": np.broadcast_to(np.zeros(6), (6,))}, ValueError, "^v: expected a writeable array"),
    FunctionCall("m: p", lambda a: {"m": a["p"]}, ValueError, "overlap in memory"),
    FunctionCall("m: v", lambda a: {"m": a["v"]}, ValueError, "^state 0 of p and state 1 of p overlap in memory"),
    FunctionCall("g: read-only", lambda a: {"g": np.frombuffer(a["g"].tobytes())}, None),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("call", FUNCTION_CALLS, ids=lambda call: call.id)
def test_functional(call: FunctionCall, backend: str) -> None:
    needed(backend)
    arrays = {name: np.arange(1.0, 7.0) + 10 * k for k, name in enumerate(("p", "g", "m", "v"))}
    before = {name: array.copy() for name, array in arrays.items()}
    given: dict[str, Any] = {**arrays, "step": 1, "backend": backend, **call.change(arrays)}
    positional = [given.pop(name) for name in arrays]
    if call.error is None:
        fastopt.functional.adam(*positional, **given)
        assert not np.array_equal(arrays["p"], before["p"])
        assert np.isfinite(arrays["p"]).all()
        assert np.array_equal(arrays["g"], before["g"])
        return
    with pytest.raises(call.error, match=call.words):
        fastopt.functional.adam(*positional, **given)
    for name, array in arrays.items():
        assert array.tobytes() == before[name].tobytes(), name


def test_functional_with_other_numbers_of_arrays() -> None:
    p, g = np.ones(3), np.ones(3)
    for arrays in ((), (p,), (p, g), (p, g, p.copy()), tuple(np.ones(3) for _ in range(5))):
        with pytest.raises(TypeError, match=rf"^adam: expected 4 arrays \(p, g, m, v\), received {len(arrays)}$"):
            fastopt.functional.adam(*arrays, step=1)
    with pytest.raises(TypeError, match="step"):
        fastopt.functional.sgd(p, g)
    with pytest.raises(AttributeError, match=r"^module 'fastopt\.functional' has no attribute 'adem'; rules are .*adam, "):
        fastopt.functional.adem  # noqa: B018
    with pytest.raises(ValueError, match=r"^rule: expected one of .*; received 'adem'$"):
        fastopt.functional.apply("adem", p, g, step=1)
    assert p.tolist() == [1.0, 1.0, 1.0]
