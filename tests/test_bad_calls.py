"""Bad calls, and odd ones: each either works, or raises what the documentation says with everything as it was before.

Four tables: calls of `step` (on every backend, with the gradients gathered in compiled code and in Python),
constructions, `fastopt.functional`, and changes to a standing optimizer. An entry says what is called and what comes of
it: an exception with its words (argument, expected, received), or a check of the result.
"""

from __future__ import annotations

import collections
import decimal
import fractions
import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import HOST
from fastopt.host import worklist
from fastopt.optimizers.base import Optimizer
from tests.conftest import needed

Array = np.ndarray[Any, Any]
ALL_BACKENDS = HOST


# ruff: noqa: ANN202  -- rules are bare formulas


def unaligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array whose first element does not lie at a multiple of its size."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array = np.zeros(size + 16, np.uint8)[1 : 1 + size].view(dtype).reshape(shape)
    assert not array.flags.aligned
    return array


def swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder())


def with_infinity(array: Array) -> Array:
    array.flat[-1] = np.inf
    return array


# ---------------------------------------------------------------------------------------------------- the state of things


@dataclass
class Situation:
    """An optimizer that has made a step, and what is needed to call it."""

    optimizer: Optimizer
    arrays: list[Array]
    structure: Callable[[list[Any]], Any]

    def gradients(self, seed: int = 5) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [np.asarray(rng.standard_normal(p.shape)).astype(p.dtype) for p in self.arrays]

    def good(self, seed: int = 5) -> Any:
        return self.structure(self.gradients(seed))

    def with_gradient(self, index: int, gradient: Any) -> Any:
        gradients = self.gradients()
        gradients[index] = gradient
        return self.structure(gradients)

    def bits(self) -> list[Any]:
        """Everything that a call that failed must have left alone."""
        state = self.optimizer.state_dict()
        arrays = [array for own in self.optimizer._states for array in own]
        return [
            [p.tobytes() for p in self.arrays],
            [s.tobytes() for s in arrays],
            state["steps"],
            state["groups"],
            state["slots"],
        ]


def build(kind: str, **options: Any) -> Situation:
    """A situation of one of the kinds that params come in; the same numbers every time."""
    rng = np.random.default_rng(3)

    def some(shape: tuple[int, ...], dtype: Any) -> Array:
        return np.asarray(rng.standard_normal(shape)).astype(dtype)

    structure: Callable[[list[Any]], Any] = list
    if kind == "array":
        arrays = [some((6,), np.float64)]
        structure = lambda gradients: gradients[0]  # noqa: E731
    elif kind == "sequence":
        arrays = [some((3, 4), np.float32), some((5,), np.float32), some((), np.float32), some((0, 7), np.float32)]
    elif kind == "mapping":
        arrays = [some((4, 3), np.float64), some((3,), np.float64)]
        structure = lambda gradients: dict(zip(("w", "b"), gradients, strict=True))  # noqa: E731
    elif kind == "mixed":
        arrays = [some((6,), np.float32), some((3,), np.float64)]
    else:
        assert kind == "views of one buffer"
        buffer = some((40,), np.float64)
        arrays = [buffer[0:10], buffer[20:30]]
    situation = Situation(Optimizer(structure(arrays), "adam", 0.1, **options), arrays, structure)
    situation.optimizer.step(situation.good(1))
    return situation


# -------------------------------------------------------------------------------------------------------- calls of step


@dataclass(frozen=True)
class StepCall:
    """One call of step. `words` is None where it works; `after` then looks at the result, or a good step would be the same."""

    id: str
    kind: str
    grads: Callable[[Situation], Any]
    error: type[Exception] | None = None
    words: str = ""
    grad_scale: Any = 1.0
    options: tuple[tuple[str, Any], ...] = ()
    spoil: Callable[[Situation], Callable[[], None] | None] | None = None
    """Does something to the parameters before the call; returns what undoes it, or None if that cannot be undone."""


def same(situation: Situation) -> Any:
    return situation.good()


def first(make: Callable[[Array], Any]) -> Callable[[Situation], Any]:
    """Good gradients with the first one, of shape (3, 4) and float32 in a sequence, made into something else."""
    return lambda s: s.with_gradient(0, make(s.gradients()[0]))


def second(make: Callable[[Array], Any]) -> Callable[[Situation], Any]:
    return lambda s: s.with_gradient(1, make(s.gradients()[1]))


def third(make: Callable[[Array], Any]) -> Callable[[Situation], Any]:
    return lambda s: s.with_gradient(2, make(s.gradients()[2]))


def step_calls(kind: str, error: type[Exception] | None, *entries: tuple[str, Callable[[Situation], Any], str]) -> list[StepCall]:
    return [StepCall(f"{kind}: {name}", kind, grads, error, words) for name, grads, words in entries]


def read_only(s: Situation) -> Callable[[], None]:
    s.arrays[1].setflags(write=False)
    return lambda: s.arrays[1].setflags(write=True)


def resized(s: Situation) -> None:
    s.arrays[1].resize((500_000,), refcheck=False)


def shortened(s: Situation) -> None:
    s.arrays[1].resize((4,), refcheck=False)


NOT_A_SEQUENCE = r"^grads: expected a sequence of 4 arrays, like params; received "
NOT_AN_ARRAY = r"^grads\[1\]: expected a NumPy array of float32, float64, float16 or bfloat16, received "
NOT_A_DTYPE = r"^grads\[1\]: expected dtype float32, float64, float16 or bfloat16 in native byte order, received "
NOT_CONTIGUOUS = (
    r"^grads\[0\]: expected a dense array, C-contiguous or with its dimensions in another order; received strides \(.*\) for shape \(3, 4\)"
)
OTHER_ORDER = (
    r"^grads\[0\]: expected its elements in the order of params\[0\]'s, with strides \(4, 1\) in elements; received strides \(1, 3\)$"
)
NOT_A_MAPPING = r"^grads: expected a mapping with the names of params; received "
NOT_ONE_ARRAY = r"^grads: expected one array, like params; received "
NOT_A_SCALE = r"^grad_scale: expected a finite number >= 0, received "
NO_RECIPROCAL = r"^grad_scale: expected a number > 0 with a finite reciprocal, received "

STEP_CALLS = [
    *step_calls(
        "sequence",
        TypeError,
        ("None", lambda s: None, NOT_A_SEQUENCE + "NoneType$"),
        ("one array", lambda s: s.gradients()[0], NOT_A_SEQUENCE + "ndarray$"),
        ("mapping", lambda s: dict(enumerate(s.gradients())), NOT_A_SEQUENCE + "dict$"),
        ("string", lambda s: "abcd", NOT_A_SEQUENCE + "str$"),
        ("bytes", lambda s: b"abcd", NOT_A_SEQUENCE + "bytes$"),
        ("number", lambda s: 1.0, NOT_A_SEQUENCE + "float$"),
        ("object array of arrays", lambda s: np.array([*s.gradients(), None], object), NOT_A_SEQUENCE + "ndarray$"),
        ("list within", second(lambda g: g.tolist()), NOT_AN_ARRAY + r"\[.*\(list\)$"),
        ("number within", second(lambda g: 0.5), NOT_AN_ARRAY + r"0\.5 \(float\)$"),
        ("bytes within", second(lambda g: g.tobytes()), NOT_AN_ARRAY + r".*\(bytes\)$"),
        ("memoryview within", second(memoryview), NOT_AN_ARRAY + r".*\(memoryview\)$"),
        ("masked array", second(lambda g: np.ma.masked_less(g, 0.0)), NOT_AN_ARRAY + r"an array of float32 and shape \(5,\) with a mask$"),
        ("masked array without a mask", second(lambda g: np.ma.array(g)), NOT_AN_ARRAY + "an array of .* with a mask$"),
        ("NumPy scalar for 0-d", third(lambda g: g[()]), r"^grads\[2\]: expected a NumPy array .*\(float32\); np.asarray makes a 0-d"),
        ("float for 0-d", third(float), r"^grads\[2\]: expected a NumPy array .*\(float\)$"),
        (
            "float64 for float32",
            second(lambda g: g.astype(np.float64)),
            r"^grads\[1\]: expected dtype float32 like params\[1\], received float64$",
        ),
        ("float16", second(lambda g: g.astype(np.float16)), r"^grads\[1\]: expected dtype float32 like params\[1\], received float16$"),
        ("int32", second(lambda g: g.astype(np.int32)), NOT_A_DTYPE + "int32$"),
        ("uint8", second(lambda g: np.zeros(5, np.uint8)), NOT_A_DTYPE + "uint8$"),
        ("bool", second(lambda g: g > 0), NOT_A_DTYPE + "bool$"),
        ("complex64", second(lambda g: g.astype(np.complex64)), NOT_A_DTYPE + "complex64$"),
        (
            "long double",
            second(lambda g: g.astype(np.longdouble)),
            NOT_A_DTYPE + ("float(96|128)$" if np.finfo(np.longdouble).bits > 64 else ""),
        ),
        ("object", second(lambda g: g.astype(object)), NOT_A_DTYPE + "object$"),
        ("text", second(lambda g: g.astype(str)), NOT_A_DTYPE + "<U"),
        ("structured", second(lambda g: np.zeros(5, [("x", np.float32)])), NOT_A_DTYPE + r"\[\('x', '<f4'\)\]$"),
        ("date", second(lambda g: np.zeros(5, "datetime64[s]")), NOT_A_DTYPE + "datetime64"),
        ("byte-swapped", second(swapped), NOT_A_DTYPE + r"float32 in foreign byte order \(>f4\)$"),
    ),
    *step_calls(
        "sequence",
        ValueError,
        ("one too few", lambda s: s.gradients()[:-1], r"^grads: expected 4 arrays, one for each parameter; received 3$"),
        ("one too many", lambda s: [*s.gradients(), np.zeros(1, np.float32)], r"^grads: expected 4 arrays, .*; received 5$"),
        ("empty", lambda s: [], r"^grads: expected 4 arrays, .*; received 0$"),
        ("spent generator", lambda s: (g for g in ()), r"^grads: expected 4 arrays, .*; received 0$"),
        (
            "transposed shape",
            first(lambda g: np.ascontiguousarray(g.T)),
            r"^grads\[0\] has shape \(4, 3\), its parameter params\[0\] has shape \(3, 4\)$",
        ),
        ("flat", first(np.ravel), r"^grads\[0\] has shape \(12,\), its parameter params\[0\] has shape \(3, 4\)$"),
        ("broadcastable", first(lambda g: g[:1].copy()), r"^grads\[0\] has shape \(1, 4\), "),
        ("one more dimension", first(lambda g: g[..., None].copy()), r"^grads\[0\] has shape \(3, 4, 1\), "),
        ("empty array", first(lambda g: g[:0].copy()), r"^grads\[0\] has shape \(0, 4\), "),
        (
            "0-d for (5,)",
            second(lambda g: np.zeros((), np.float32)),
            r"^grads\[1\] has shape \(\), its parameter params\[1\] has shape \(5,\)$",
        ),
        ("(1,) for 0-d", third(lambda g: g.reshape(1)), r"^grads\[2\] has shape \(1,\), its parameter params\[2\] has shape \(\)$"),
        (
            "another empty shape",
            lambda s: s.with_gradient(3, np.zeros((7, 0), np.float32)),
            r"^grads\[3\] has shape \(7, 0\), .* \(0, 7\)$",
        ),
        ("transposed view", first(lambda g: np.ascontiguousarray(g.T).T), OTHER_ORDER),
        ("F-ordered", first(np.asfortranarray), OTHER_ORDER),
        ("every other element", first(lambda g: np.repeat(g, 2, axis=1)[:, ::2]), NOT_CONTIGUOUS),
        ("reversed", first(lambda g: g[::-1]), NOT_CONTIGUOUS),
        ("broadcast", first(lambda g: np.broadcast_to(g[0], (3, 4))), NOT_CONTIGUOUS),
        (
            "unaligned",
            first(lambda g: unaligned((3, 4), np.float32)),
            r"^grads\[0\]: expected an array aligned to its 4-byte elements, received address 0x",
        ),
        (
            "its own parameter",
            lambda s: s.with_gradient(1, s.arrays[1]),
            r"^grads\[1\] and params\[1\] overlap in memory: expected arrays that share no element$",
        ),
        ("all parameters", lambda s: list(s.arrays), r"^grads\[0\] and params\[0\] overlap in memory"),
        ("a state", lambda s: s.with_gradient(1, s.optimizer._states[1][1]), r"^grads\[1\] and state 1 of params\[1\] overlap in memory"),
        (
            "a state's view",
            lambda s: s.with_gradient(0, s.optimizer._states[0][0].reshape(4, 3).reshape(3, 4)),
            r"^grads\[0\] and state 0 of params\[0\] overlap",
        ),
        ("the first good, the last bad", lambda s: s.with_gradient(2, s.arrays[2][...]), r"overlap in memory"),
    ),
    *step_calls(
        "views of one buffer",
        ValueError,
        ("overlaps the end of one", lambda s: s.with_gradient(0, s.arrays[0].base[5:15]), r"^params\[0\] and grads\[0\] overlap in memory"),
        (
            "overlaps the beginning of another",
            lambda s: s.with_gradient(0, s.arrays[0].base[11:21]),
            r"^grads\[0\] and params\[1\] overlap in memory",
        ),
        ("the other parameter", lambda s: s.with_gradient(0, s.arrays[1]), r"^grads\[0\] and params\[1\] overlap in memory"),
        ("one element", lambda s: s.with_gradient(1, s.arrays[0].base[29:39]), r"^params\[1\] and grads\[1\] overlap in memory"),
    ),
    *step_calls(
        "views of one buffer",
        None,
        ("between the parameters", lambda s: s.with_gradient(0, _filled(s.arrays[0].base[10:20], s.gradients()[0])), ""),
        ("after the last", lambda s: s.with_gradient(0, _filled(s.arrays[0].base[30:40], s.gradients()[0])), ""),
    ),
    *step_calls(
        "mapping",
        TypeError,
        ("None", lambda s: None, NOT_A_MAPPING + "NoneType$"),
        ("list", lambda s: s.gradients(), NOT_A_MAPPING + "list$"),
        ("array", lambda s: s.gradients()[0], NOT_A_MAPPING + "ndarray$"),
        ("pairs", lambda s: list(s.good().items()), NOT_A_MAPPING + "list$"),
        (
            "wrong dtype",
            lambda s: {**s.good(), "b": np.zeros(3, np.float32)},
            r"^grads\['b'\]: expected dtype float64 like params\['b'\], received float32$",
        ),
    ),
    *step_calls(
        "mapping",
        ValueError,
        ("name missing", lambda s: {"w": s.gradients()[0]}, r"^grads: expected the names of params; 'b' is missing \(1 in all\)$"),
        ("all names missing", lambda s: {}, r"^grads: expected the names of params; 'w' is missing \(2 in all\)$"),
        ("another name", lambda s: {"w": s.gradients()[0], "bias": s.gradients()[1]}, r"'b' is missing"),
        (
            "name besides",
            lambda s: {**s.good(), "x": s.gradients()[0]},
            r"^grads: expected the names of params; received 'x' besides \(1 in all\)$",
        ),
        (
            "wrong shape",
            lambda s: {**s.good(), "w": np.zeros((3, 4))},
            r"^grads\['w'\] has shape \(3, 4\), its parameter params\['w'\] has shape \(4, 3\)$",
        ),
        ("its own parameter", lambda s: {**s.good(), "w": s.arrays[0]}, r"^grads\['w'\] and params\['w'\] overlap in memory"),
    ),
    *step_calls(
        "array",
        TypeError,
        ("None", lambda s: None, NOT_ONE_ARRAY + "NoneType$"),
        ("list of one", lambda s: s.gradients(), NOT_ONE_ARRAY + "list$"),
        ("list of numbers", lambda s: s.good().tolist(), NOT_ONE_ARRAY + "list$"),
        ("float", lambda s: 0.5, NOT_ONE_ARRAY + "float$"),
        ("mapping", lambda s: {"w": s.good()}, NOT_ONE_ARRAY + "dict$"),
        ("float32 for float64", lambda s: s.good().astype(np.float32), r"^grads: expected dtype float64 like params, received float32$"),
        ("masked array", lambda s: np.ma.masked_less(s.good(), 0.0), r"^grads: expected a NumPy array .* with a mask$"),
    ),
    *step_calls(
        "array",
        ValueError,
        ("wrong shape", lambda s: np.zeros(5), r"^grads has shape \(5,\), its parameter params has shape \(6,\)$"),
        (
            "reversed",
            lambda s: s.good()[::-1],
            r"^grads: expected a dense array, .* received strides \(-8,\) for shape \(6,\)",
        ),
        ("the parameter", lambda s: s.arrays[0], r"^grads and params overlap in memory"),
    ),
    *step_calls(
        "mixed",
        ValueError,
        # each list of one dtype knows only its own arrays; a gradient over the other's is refused all the same
        (
            "float64 view of the float32 parameter",
            lambda s: s.with_gradient(1, s.arrays[0].view(np.float64)),
            r"^grads\[1\] and params\[0\] overlap in memory",
        ),
        (
            "float32 view of the float64 parameter",
            lambda s: s.with_gradient(0, s.arrays[1].view(np.float32)),
            r"^grads\[0\] and params\[1\] overlap in memory",
        ),
        (
            "float64 view of a float32 state",
            lambda s: s.with_gradient(1, s.optimizer._states[0][0].view(np.float64)),
            r"^grads\[1\] and state 0 of params\[0\] overlap",
        ),
    ),
    *step_calls(
        "mixed",
        TypeError,
        (
            "dtypes swapped",
            lambda s: [g.astype(d) for g, d in zip(s.gradients(), (np.float64, np.float32), strict=True)],
            r"^grads\[0\]: expected dtype float32 like params\[0\], received float64$",
        ),
        (
            "the second group bad",
            second(lambda g: g.astype(np.float32)),
            r"^grads\[1\]: expected dtype float64 like params\[1\], received float32$",
        ),
    ),
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
@pytest.mark.parametrize("backend", ALL_BACKENDS)
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
@pytest.mark.parametrize("backend", ALL_BACKENDS)
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


# -------------------------------------------------------------------------------------------------------- constructions


@dataclass(frozen=True)
class Construction:
    """A call that builds an optimizer; `make` gets a fresh array of six float64, which must be as before if it fails."""

    id: str
    make: Callable[[Array], Any]
    error: type[Exception] | None = None
    words: str = ""
    works: Callable[[Any], bool] | None = None
    backend: str | None = None


def constructions(error: type[Exception], *entries: tuple[str, Callable[[Array], Any], str]) -> list[Construction]:
    return [Construction(name, make, error, words) for name, make, words in entries]


def hyperparameter(cls: Callable[..., Any], name: str, *entries: tuple[Any, type[Exception], str], **others: Any) -> list[Construction]:
    """One argument with bad values."""

    def entry(value: Any, error: type[Exception], words: str) -> Construction:
        id = ", ".join([f"{name}={value!r:.24}", *(f"{key}={other!r}" for key, other in others.items())])
        words = words if words.startswith("^") else rf"^{name}: .*{words}"
        return Construction(
            f"{cls.__name__}({id})", lambda p: cls(p, **{name: value}, **others), error, words, backend=others.get("backend")
        )

    return [entry(*e) for e in entries]


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


NOT_A_NUMBER: tuple[tuple[Any, type[Exception], str], ...] = (
    (-0.1, ValueError, r"expected a finite number >= 0, received -0\.1$"),
    (math.nan, ValueError, "expected a finite number >= 0, received nan$"),
    (math.inf, ValueError, "expected a finite number >= 0, received inf$"),
    (-math.inf, ValueError, "received -inf$"),
    (10**400, ValueError, "received inf$"),
    (-(10**400), ValueError, "received -inf$"),
    (True, TypeError, r"received True \(bool\)$"),
    (np.True_, TypeError, r"received np\.True_ \(bool\)$"),
    ("0.1", TypeError, r"received '0\.1' \(str\)$"),
    (0.1j, TypeError, r"received 0\.1j \(complex\)$"),
    ([0.1], TypeError, r"received \[0\.1\] \(list\)$"),
    (np.array(0.1), TypeError, r"received an array of float64 and shape \(\)$"),
    (decimal.Decimal("0.1"), TypeError, r"received Decimal\('0\.1'\) \(Decimal\)$"),
)
NONE = (None, TypeError, "received None$")
NOT_A_FLAG = (
    *((value, TypeError, rf"expected True or False, received .*\({type(value).__name__}\)$") for value in (1, 0, "yes", 1.0, [])),
    NONE,
)
OUTSIDE_UNIT: tuple[tuple[Any, type[Exception], str], ...] = tuple(
    (value, ValueError, r"expected a number in \[0, 1\), received ") for value in (1.0, 1.5, -0.1, math.nan, math.inf)
)
NOT_THREADS: tuple[tuple[Any, type[Exception], str], ...] = (
    (0, ValueError, "expected an integer >= 1, received 0$"),
    (-1, ValueError, "expected an integer >= 1, received -1$"),
    (1.5, TypeError, r"expected an integer >= 1, received 1\.5 \(float\)$"),
    (2.0, TypeError, r"received 2\.0 \(float\)$"),
    (True, TypeError, r"received True \(bool\)$"),
    ("2", TypeError, r"received '2' \(str\)$"),
    (10**10, ValueError, "expected an integer from 1 to 1024, received 10000000000$"),
    (2**64, ValueError, "expected an integer >= 1 of 64 bits, received one of 65 bits$"),
)

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
            r"^beta1: rule 'adam' has no such hyperparameter; did you mean `betas`\? Expected some of lr, betas, eps, eps_root, eps_hat$",
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
        ("rule: unknown", lambda p: fastopt.Optimizer(p, "adan"), r"^rule: expected one of .*adam, .*; received 'adan'$"),
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
    *hyperparameter(fastopt.Adam, "lr", *NOT_A_NUMBER),
    *hyperparameter(fastopt.SGD, "lr", *NOT_A_NUMBER[:3]),
    *hyperparameter(fastopt.Adam, "eps", *NOT_A_NUMBER, NONE),
    *hyperparameter(fastopt.Adam, "eps_root", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(fastopt.Adam, "weight_decay", *NOT_A_NUMBER, NONE),
    *hyperparameter(fastopt.AdamW, "weight_decay", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(fastopt.SGD, "momentum", *NOT_A_NUMBER, NONE),
    *hyperparameter(fastopt.Momentum, "momentum", *NOT_A_NUMBER[:9], NONE),
    *hyperparameter(fastopt.Momentum, "momentum", *OUTSIDE_UNIT[:2], form="averaged"),
    *hyperparameter(fastopt.SGD, "dampening", *OUTSIDE_UNIT, NONE, momentum=0.9),
    *hyperparameter(fastopt.RMSProp, "alpha", *OUTSIDE_UNIT, NONE),
    *hyperparameter(fastopt.RMSProp, "eps", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(fastopt.RMSProp, "momentum", *NOT_A_NUMBER[:3], NONE),
    *hyperparameter(
        fastopt.Adam,
        "betas",
        ((1.0, 0.9), ValueError, r"^betas\[0\]: expected a number in \[0, 1\), received 1\.0$"),
        ((0.9, 1.0), ValueError, r"^betas\[1\]: expected"),
        ((-0.1, 0.9), ValueError, r"^betas\[0\]: .* received -0\.1$"),
        ((0.9, math.nan), ValueError, r"^betas\[1\]: .* received nan$"),
        ((True, 0.9), TypeError, r"^betas\[0\]: .* received True \(bool\)$"),
        (("0.9", 0.9), TypeError, r"^betas\[0\]: .* received '0\.9' \(str\)$"),
        ((0.9,), TypeError, r"expected 2 numbers, received \(0\.9,\) \(tuple\)$"),
        ((0.9, 0.9, 0.9), TypeError, "expected 2 numbers"),
        (0.9, TypeError, r"expected 2 numbers, received 0\.9 \(float\)$"),
        ("ab", TypeError, r"expected 2 numbers, received 'ab' \(str\)$"),
        ({0.9, 0.99}, TypeError, r"expected 2 numbers, received .*\(set\)$"),
        (np.array([0.9, 0.99]), TypeError, r"expected 2 numbers, received an array of float64 and shape \(2,\)$"),
        (None, TypeError, "expected 2 numbers, received None$"),
    ),
    *hyperparameter(fastopt.Adam, "amsgrad", *NOT_A_FLAG),
    *hyperparameter(fastopt.Adam, "maximize", *NOT_A_FLAG),
    *hyperparameter(fastopt.Adam, "decoupled_weight_decay", *NOT_A_FLAG),
    *hyperparameter(fastopt.SGD, "nesterov", *NOT_A_FLAG, momentum=0.9),
    *hyperparameter(fastopt.RMSProp, "centered", *NOT_A_FLAG),
    *hyperparameter(fastopt.RMSProp, "eps_inside_root", *NOT_A_FLAG),
    *hyperparameter(
        fastopt.Adam,
        "nonfinite",
        ("ignore", ValueError, r"expected one of 'propagate', 'skip', 'raise'; received 'ignore'$"),
        (None, TypeError, r"expected one of 'propagate', 'skip', 'raise'; received None$"),
        (True, TypeError, r"received True \(bool\)$"),
    ),
    *hyperparameter(
        fastopt.Momentum,
        "form",
        ("nag", ValueError, r"expected one of 'heavy_ball', 'velocity', 'averaged'; received 'nag'$"),
        (None, TypeError, "received None$"),
    ),
    *hyperparameter(
        fastopt.Adam,
        "backend",
        ("gpu", ValueError, r"expected one of 'auto', 'numpy', 'numba', 'cython', 'cuda'; received 'gpu'$"),
        ("Numba", ValueError, "received 'Numba'$"),
        ("", ValueError, "received ''$"),
        (None, TypeError, "received None$"),
        (3, TypeError, r"received 3 \(int\)$"),
    ),
    *(entry for backend in ("cython", "numba") for entry in hyperparameter(fastopt.Adam, "num_threads", *NOT_THREADS, backend=backend)),
    *hyperparameter(fastopt.Adam, "num_threads", *NOT_THREADS[:6], backend="numpy"),
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


# ----------------------------------------------------------------------------------------------------------- functional


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
    option("grad_scale", 0.0, ValueError, "^grad_scale: "),
    option(
        "momentum", 0.9, TypeError, "^momentum: rule 'adam' has no such hyperparameter; expected some of lr, betas, eps, eps_root, eps_hat$"
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


@pytest.mark.parametrize("backend", ALL_BACKENDS)
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
    with pytest.raises(AttributeError, match=r"^module 'fastopt\.functional' has no attribute 'adan'; rules are .*adam, "):
        fastopt.functional.adan  # noqa: B018
    with pytest.raises(ValueError, match=r"^rule: expected one of .*; received 'adan'$"):
        fastopt.functional.apply("adan", p, g, step=1)
    assert p.tolist() == [1.0, 1.0, 1.0]


# ----------------------------------------------------------------------------------- changes to an optimizer that stands


def loaded(**changes: Any) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({**o.state_dict(), **changes})


def loaded_state(change: Callable[[dict[str, Any]], Any]) -> Callable[[Optimizer], None]:
    """Loads a state after a change to it, with everything else at other values: none of it may be taken over."""

    def load(o: Optimizer) -> None:
        other = o.state_dict()
        state = {name: {key: array + 1.0 for key, array in arrays.items()} for name, arrays in other["state"].items()}
        groups = [{**group, "lr": 0.77} for group in other["groups"]]
        o.load_state_dict({**other, "steps": 77, "groups": groups, "state": change(state)})

    return load


def loaded_group(**changes: Any) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({**o.state_dict(), "groups": [{**o.state_dict()["groups"][0], **changes}]})


def loaded_slot(**changes: Any) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({**o.state_dict(), "slots": [{**o.state_dict()["slots"][0], **changes}]})


def assign(name: str, value: Any) -> Callable[[Optimizer], None]:
    return lambda o: setattr(o, name, value)


def without(key: str) -> Callable[[Optimizer], None]:
    return lambda o: o.load_state_dict({name: value for name, value in o.state_dict().items() if name != key})


WHOLE_STATE = r"^state_dict: expected a mapping with steps, groups, slots, state; received "
GROUPS = r"^state_dict\['groups'\]: "
STATE_NAMES = r"^state_dict\['state'\]: expected a mapping with \['m', 'v'\]; received "

CHANGES: list[tuple[str, Callable[[Optimizer], None], type[Exception], str]] = [
    ("lr: negative", assign("lr", -1.0), ValueError, r"^lr: expected a finite number >= 0, received -1\.0$"),
    ("lr: NaN", assign("lr", math.nan), ValueError, "^lr: "),
    ("lr: string", assign("lr", "0.1"), TypeError, "^lr: "),
    ("lr: None", assign("lr", None), TypeError, "^lr: .* received None$"),
    ("steps", assign("steps", 3), AttributeError, "steps"),
    ("rule", assign("rule", "sgd"), AttributeError, "rule"),
    ("backend", assign("backend", "numpy"), AttributeError, "backend"),
    (
        "configure: unknown name",
        lambda o: o.configure(lr=0.5, momentum=0.9),
        TypeError,
        "^momentum: rule 'adam' has no such hyperparameter",
    ),
    ("configure: the second bad", lambda o: o.configure(lr=0.5, eps=-1.0), ValueError, "^eps: "),
    ("configure: the first bad", lambda o: o.configure(eps=math.nan, weight_decay=0.5), ValueError, "^eps: "),
    ("configure: betas", lambda o: o.configure(betas=(0.5, 2.0), lr=0.5), ValueError, r"^betas\[1\]: "),
    ("configure: flag", lambda o: o.configure(maximize="yes"), TypeError, "^maximize: "),
    ("configure: what is not configured", lambda o: o.configure(backend="numpy"), TypeError, "^backend: rule 'adam' has no such"),
    ("configure: positional", lambda o: o.configure(0.5), TypeError, "positional"),  # type: ignore[call-arg]
    ("load: None", lambda o: o.load_state_dict(None), ValueError, WHOLE_STATE + "NoneType$"),  # type: ignore[arg-type]
    ("load: empty", lambda o: o.load_state_dict({}), ValueError, WHOLE_STATE + r"\[\]$"),
    ("load: list", lambda o: o.load_state_dict([1]), ValueError, WHOLE_STATE + "list$"),  # type: ignore[arg-type]
    ("load: more", loaded(extra=1), ValueError, WHOLE_STATE + r"\[.*'extra'\]$"),
    *((f"load: without {key}", without(key), ValueError, WHOLE_STATE) for key in ("steps", "groups", "slots", "state")),
    (
        "load: another rule",
        loaded_group(rule="amsgrad"),
        ValueError,
        r"^state_dict\['groups'\]\[0\]\['rule'\]: expected 'adam', received 'amsgrad'$",
    ),
    ("load: negative steps", loaded(steps=-1), ValueError, r"^state_dict\['steps'\]: expected an integer >= 0, received -1$"),
    ("load: steps as a float", loaded(steps=3.0), TypeError, r"^state_dict\['steps'\]: expected an integer >= 0, received 3\.0"),
    ("load: steps as a flag", loaded(steps=True), TypeError, r"^state_dict\['steps'\]"),
    ("load: steps beyond 64 bits", loaded(steps=10**400), ValueError, r"^state_dict\['steps'\]: .* of 64 bits"),
    ("load: negative lr", loaded_group(lr=-1.0), ValueError, "^lr: "),
    ("load: groups as None", loaded(groups=None), ValueError, GROUPS + "expected 1 groups, received NoneType$"),
    ("load: no groups", loaded(groups=[]), ValueError, GROUPS + "expected 1 groups, received 0$"),
    (
        "load: a group as a list",
        loaded(groups=[[1]]),
        ValueError,
        r"^state_dict\['groups'\]\[0\]: expected a mapping with .*; received list$",
    ),
    (
        "load: hyperparameter unknown",
        loaded_group(momentum=0.9),
        ValueError,
        r"^state_dict\['groups'\]\[0\]: expected a mapping with .*'momentum'",
    ),
    ("load: hyperparameter bad", loaded_group(eps=-1.0), ValueError, "^eps: "),
    ("load: other positions", loaded_group(params=[1, 0]), ValueError, r"^state_dict\['groups'\]\[0\]\['params'\]: expected the positions"),
    ("load: another storage", loaded_group(state_dtype="float64"), ValueError, r"\['state_dtype'\]: expected None, received 'float64'$"),
    ("load: slots as None", loaded(slots=None), TypeError, r"^state_dict\['slots'\]: expected a sequence, received NoneType$"),
    (
        "load: no slots",
        loaded(slots=[]),
        ValueError,
        r"^state_dict\['slots'\]: expected the steps of every parameter, received none for .* 0$",
    ),
    ("load: a slot without steps", loaded(slots=[{"memory": {}, "params": [0, 1]}]), ValueError, r"^state_dict\['slots'\]\[0\]: expected"),
    (
        "load: a slot's steps",
        loaded_slot(steps=-2),
        ValueError,
        r"^state_dict\['slots'\]\[0\]\['steps'\]: expected an integer >= 0, received -2$",
    ),
    ("load: a slot for no parameter", loaded_slot(params=[0, 2]), ValueError, r"\['params'\]: expected positions .*; received 2$"),
    ("load: a parameter twice", loaded_slot(params=[0, 0]), ValueError, r"\['params'\]: expected positions .*, each once; received 0$"),
    ("load: a parameter without a slot", loaded_slot(params=[1]), ValueError, "received none for the one at 0$"),
    ("load: memory of no rule", loaded_slot(memory={"x": 1.0}), ValueError, r"\['memory'\]: expected \[\], received \['x'\]$"),
    ("load: state as None", loaded(state=None), ValueError, STATE_NAMES + "NoneType$"),
    ("load: state without v", loaded_state(lambda s: {"m": s["m"]}), ValueError, STATE_NAMES + r"\['m'\]$"),
    ("load: state with more", loaded_state(lambda s: {**s, "x": s["m"]}), ValueError, STATE_NAMES + r"\['m', 'v', 'x'\]$"),
    (
        "load: state in another structure",
        loaded_state(lambda s: {**s, "v": list(s["v"].values())}),
        TypeError,
        r"^state_dict\['state'\]\['v'\]: expected a mapping",
    ),
    (
        "load: state with a name missing",
        loaded_state(lambda s: {**s, "v": {"w": s["v"]["w"]}}),
        ValueError,
        r"^state_dict\['state'\]\['v'\]: .*'b' is missing",
    ),
    (
        "load: state of another shape",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": np.zeros(4)}}),
        ValueError,
        r"^state_dict\['state'\]\['v'\]\['b'\] has shape \(4,\), its parameter params\['b'\] has shape \(3,\)$",
    ),
    (
        "load: state of another dtype",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": np.zeros(3, np.float32)}}),
        TypeError,
        r"^state_dict\['state'\]\['v'\]\['b'\]: expected dtype float64 like params\['b'\], received float32$",
    ),
    (
        "load: state as numbers",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": [1.0, 2.0, 3.0]}}),
        TypeError,
        r"\['b'\]: expected a NumPy array",
    ),
    (
        "load: state byte-swapped",
        loaded_state(lambda s: {**s, "v": {**s["v"], "b": swapped(s["v"]["b"])}}),
        TypeError,
        "foreign byte order",
    ),
]


@pytest.mark.parametrize("backend", ALL_BACKENDS)
@pytest.mark.parametrize(("change", "error", "words"), [pytest.param(*rest, id=name) for name, *rest in CHANGES])
def test_change(change: Callable[[Optimizer], None], error: type[Exception], words: str, backend: str) -> None:
    needed(backend)
    situation, twin = build("mapping", backend=backend), build("mapping", backend=backend)
    before = situation.bits()
    with pytest.raises(error, match=words):
        change(situation.optimizer)
    assert situation.bits() == before
    for own in (situation, twin):
        own.optimizer.step(own.good(6))
    assert situation.bits() == twin.bits(), "the step after the bad call is another one"


def test_a_hundred_calls_and_more() -> None:
    assert len(STEP_CALLS) + len(CONSTRUCTIONS) + len(FUNCTION_CALLS) + len(CHANGES) > 300
    for table in (STEP_CALLS, CONSTRUCTIONS, FUNCTION_CALLS):
        names = [(type(call).__name__, call.id) for call in table]
        assert all(call.error is None or call.words for call in table), "an exception without its words"
        assert len(names) == len(table)
