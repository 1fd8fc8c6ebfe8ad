"""Calls of `step`, on every backend, with the gradients gathered in compiled code and in Python."""

from __future__ import annotations

import collections
import fractions
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastopt.backends import HOST as BACKENDS
from fastopt.host import worklist
from tests.bad_calls.arrays import Array
from tests.bad_calls.gradients import REFUSED_GRADIENTS
from tests.bad_calls.situation import Situation, build
from tests.bad_calls.step_call import StepCall, first, second, step_calls, third
from tests.conftest import needed


def with_infinity(array: Array) -> Array:
    array.flat[-1] = np.inf
    return array


def same(situation: Situation) -> Any:
    return situation.good()


def read_only(s: Situation) -> Callable[[], None]:
    s.arrays[1].setflags(write=False)
    return lambda: s.arrays[1].setflags(write=True)


def resized(s: Situation) -> None:
    s.arrays[1].resize((500_000,), refcheck=False)


def shortened(s: Situation) -> None:
    s.arrays[1].resize((4,), refcheck=False)


NOT_A_SCALE = r"^grad_scale: expected a finite number >= 0, received "
NO_RECIPROCAL = r"^grad_scale: expected a number > 0 with a finite reciprocal, received "

STEP_CALLS = [
    *REFUSED_GRADIENTS,
    *(
        StepCall(f"grad_scale: {value!r:.30}", "array", same, error, words, grad_scale=value)
        for value, error, words in (
            (0, ValueError, NO_RECIPROCAL + r"0\.0$"),
            (-0.0, ValueError, NO_RECIPROCAL + r"-0\.0$"),
            (1e-310, ValueError, NO_RECIPROCAL),
            (-1.0, ValueError, NOT_A_SCALE + r"-1\.0$"),
            (math.nan, ValueError, NOT_A_SCALE + "nan$"),
            (math.inf, ValueError, NOT_A_SCALE + "inf$"),
            (10**400, ValueError, NOT_A_SCALE + "inf$"),
            (True, TypeError, NOT_A_SCALE + r"True \(bool\)$"),
            ("2", TypeError, NOT_A_SCALE + r"'2' \(str\)$"),
            (None, TypeError, NOT_A_SCALE + "None$"),
            (2j, TypeError, NOT_A_SCALE + r"2j \(complex\)$"),
            (np.array(2.0), TypeError, NOT_A_SCALE + r"an array of float64 and shape \(\)$"),
            ([2.0], TypeError, NOT_A_SCALE + r"\[2\.0\] \(list\)$"),
        )
    ),
    StepCall(
        "nonfinite=raise: infinity",
        "sequence",
        second(with_infinity),
        FloatingPointError,
        r"^grads\[1\]: expected finite values, received an infinity or a NaN$",
        options=(("nonfinite", "raise"),),
    ),
    StepCall(
        "nonfinite=raise: NaN in 0-d",
        "sequence",
        third(lambda g: np.full_like(g, np.nan)),
        FloatingPointError,
        r"^grads\[2\]: expected finite",
        options=(("nonfinite", "raise"),),
    ),
    StepCall(
        "nonfinite=raise: in the second dtype",
        "mixed",
        second(with_infinity),
        FloatingPointError,
        r"^grads\[1\]: expected finite",
        options=(("nonfinite", "raise"),),
    ),
    StepCall(
        "nonfinite=raise: wrong shape comes first",
        "array",
        lambda s: np.full(5, np.nan),
        ValueError,
        r"has shape",
        options=(("nonfinite", "raise"),),
    ),
    StepCall(
        "parameter made read-only",
        "sequence",
        same,
        ValueError,
        r"^params\[1\]: expected a writeable array, received a read-only one$",
        spoil=read_only,
    ),
    StepCall(
        "parameter of a mapping made read-only", "mapping", same, ValueError, r"^params\['b'\]: expected a writeable array", spoil=read_only
    ),
    StepCall(
        "parameter of the second dtype made read-only",
        "mixed",
        same,
        ValueError,
        r"^params\[1\]: expected a writeable array",
        spoil=read_only,
    ),
    StepCall(
        "parameter resized",
        "sequence",
        same,
        ValueError,
        r"^params\[1\]: expected the array that the optimizer was built with, received it moved or reshaped$",
        spoil=resized,
    ),
    StepCall("parameter resized, and its gradient", "sequence", same, ValueError, r"^params\[1\]: .* moved or reshaped$", spoil=shortened),
    # what is odd and works: the result is that of the good gradients
    *step_calls(
        "views of one buffer",
        None,
        ("between the parameters", lambda s: s.with_gradient(0, _filled(s.arrays[0].base[10:20], s.gradients()[0])), ""),
        ("after the last", lambda s: s.with_gradient(0, _filled(s.arrays[0].base[30:40], s.gradients()[0])), ""),
    ),
    *step_calls(
        "sequence",
        None,
        ("tuple", lambda s: tuple(s.gradients()), ""),
        ("generator", lambda s: (g for g in s.gradients()), ""),
        ("values of a mapping", lambda s: dict(enumerate(s.gradients())).values(), ""),
        ("deque", lambda s: collections.deque(s.gradients()), ""),
        ("read-only gradient", second(lambda g: np.frombuffer(g.tobytes(), np.float32)), ""),
        ("matrix, a subclass", first(lambda g: g.view(np.matrix)), ""),
        ("subclass of ndarray", second(lambda g: g.view(type("Own", (np.ndarray,), {}))), ""),
        ("view of a larger array", second(lambda g: np.concatenate([g, g])[5:]), ""),
        ("F-ordered vector", second(np.asfortranarray), ""),
        ("one gradient within another's memory", lambda s: _from_one_buffer(s), ""),
        ("an empty gradient inside a parameter", lambda s: s.with_gradient(3, s.arrays[0].ravel()[:0].reshape(0, 7)), ""),
    ),
    *step_calls(
        "mapping",
        None,
        ("another order", lambda s: dict(reversed(s.good().items())), ""),
        ("read-only mapping", lambda s: types.MappingProxyType(s.good()), ""),
        ("ordered dict", lambda s: collections.OrderedDict(s.good()), ""),
    ),
    *(
        StepCall(f"grad_scale of 1 as {type(value).__name__}", "array", same, grad_scale=value)
        for value in (1, np.float32(1), np.int8(1), fractions.Fraction(1))
    ),
]


def _filled(target: Array, values: Array) -> Array:
    target[...] = values
    return target


def _from_one_buffer(s: Situation) -> list[Any]:
    """Gradients may overlap each other: they are only read."""
    gradients = s.gradients()
    gradients[1] = np.concatenate([gradients[0].ravel(), gradients[1]])[12:]
    return gradients


@pytest.fixture(params=[pytest.param(True, id="compiled gather"), pytest.param(False, id="gather in Python")])
def gather(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(worklist, "Gatherer", None)
    elif worklist.Gatherer is None:
        pytest.skip("the compiled gather was not built: no C compiler when fastopt was installed")


@pytest.mark.usefixtures("gather")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("call", STEP_CALLS, ids=lambda call: call.id)
def test_step(call: StepCall, backend: str) -> None:
    needed(backend)
    situation = build(call.kind, backend=backend, **dict(call.options))
    twin = build(call.kind, backend=backend, **dict(call.options))
    undo = call.spoil(situation) if call.spoil else None
    grads = call.grads(situation)
    before = situation.bits()
    if call.error is None:
        assert situation.optimizer.step(grads, grad_scale=call.grad_scale) is True
        assert twin.optimizer.step(twin.good()) is True
        assert [p.tobytes() for p in situation.arrays] == [p.tobytes() for p in twin.arrays]
        assert situation.bits()[1:] == twin.bits()[1:]
        assert situation.bits() != before
        return
    with pytest.raises(call.error, match=call.words):
        situation.optimizer.step(grads, grad_scale=call.grad_scale)
    assert situation.bits() == before
    if call.spoil and undo is None:
        return
    if undo:
        undo()
    for optimizer, own in ((situation.optimizer, situation), (twin.optimizer, twin)):
        optimizer.step(own.good(6))
    assert situation.bits() == twin.bits(), "the step after the bad call is another one"


@pytest.mark.usefixtures("gather")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_good_gradient_is_looked_at_again_when_it_comes_back_changed(backend: str) -> None:
    """An address that was seen at the last step is not looked up again, but the array that has it may be another one."""
    needed(backend)
    situation = build("array", backend=backend)
    buffer = np.zeros(12)
    situation.optimizer.step(buffer[:6])
    before = situation.bits()
    for bad, words in (
        (buffer[:5], "shape"),
        (buffer[:12:2], "C-contiguous"),
        (buffer[:3].view(np.float32), "dtype"),
        (buffer[:6].reshape(2, 3), "shape"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            situation.optimizer.step(bad)
        assert situation.bits() == before
