"""Gradients that `step` refuses: by their structure, type, shape, order, and by the memory they lie in."""

from __future__ import annotations

import numpy as np

from tests.bad_calls.arrays import swapped, unaligned
from tests.bad_calls.step_call import first, second, step_calls, third

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

REFUSED_GRADIENTS = [
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
]
