"""What is set outside and could reach the bits: compiler flags in the environment, and how a thread does arithmetic."""

from __future__ import annotations

import platform
import tempfile
import textwrap
from pathlib import Path

import fastopt
from tests.attack.files import use_a_rule
from tests.attack.outcome import Outcome, Say
from tests.host.processes import PREAMBLE, WAYS, run

__all__ = ["arithmetic_modes", "compiler_flags", "modes_are_taken_over"]

FLAGS = (
    "-Ofast -ffast-math -fassociative-math -fno-signed-zeros -freciprocal-math -ffinite-math-only -ffp-contract=fast",
    "-ffast-math",
    "-Ofast",
    "-ffp-contract=fast -mfma",
    "-funsafe-math-optimizations",
    "-O3 -fassociative-math -fno-signed-zeros -fno-trapping-math",
    "-freciprocal-math",
    "-ffinite-math-only",
    "-mdaz-ftz",
    "-march=native -ffast-math",
)

EXACT = """
import sys
import numpy as np
import fastopt

@fastopt.rule()
def sums_in_order(p, g, lr):
    total = p + g
    rest = total - p
    lost = g - rest  # 0 for whoever takes sums for exact
    return (total - lr * lost / g * g / lr,)

rng = np.random.default_rng(0)
start, g = rng.standard_normal(10_001).astype(np.float32), (rng.standard_normal(10_001) * 1e-3).astype(np.float32)
found = []
for backend in ("numpy", sys.argv[1]):
    p = start.copy()
    fastopt.Optimizer(p, sums_in_order, 0.3, backend=backend).step(g)
    found.append(p.tobytes())
assert found[0] == found[1], "other bits"
assert np.float32(1e-40) * np.float32(0.5) != 0, "the process flushes denormals"
"""


def compiler_flags(size: float, say: Say) -> Outcome:
    """A rule from outside, compiled with foreign flags in CFLAGS and LDFLAGS, has the reference's bits, and so has a clean run after it."""
    outcome = Outcome()
    if fastopt.available_backends()["cython"] is not True:
        outcome.left_out.append("compiler flags: cython cannot be used here")
        return outcome
    for flags in FLAGS[: max(1, round(len(FLAGS) * size))]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "cache")
            for environment in ({"CFLAGS": flags, "LDFLAGS": flags, "CPPFLAGS": flags}, {}):
                done = use_a_rule("cython", folder, before=EXACT, **environment)
                outcome.holds(done.stdout == "0.75\n", f"CFLAGS={flags}, {environment or 'clean'}: {done.stdout}{done.stderr[-500:]}")
            built = len(list(folder.rglob("*.so")))
            outcome.holds(built == 4, f"CFLAGS={flags}: of two rules {built} kernels, and not one under each flags")
            outcome.counts["sets of foreign flags"] += 1
    say(f"compiler flags: {outcome.counts['sets of foreign flags']}")
    return outcome


MODES = {
    **dict.fromkeys(("x86_64", "amd64"), [r | f for f in (0, 0x8000, 0x0040, 0x8040) for r in (0, 0x2000, 0x4000, 0x6000)][1:]),
    **dict.fromkeys(("aarch64", "arm64"), [(r << 22) | (f << 24) for f in (0, 1) for r in (0, 1, 2, 3)][1:]),
}
"""Rounding and flushing, as MXCSR or FPCR has them: all there are, without the usual one."""

SCRIPT = """
from importlib.util import find_spec
from numba import njit
from fastopt.backends.numba_primitives import mode, take_mode
@njit
def be_in(wanted):
    before = mode()
    take_mode(wanted)
    return before
size, HAS_BFLOAT16 = 100_001, find_spec("ml_dtypes") is not None
def walks(backend, threads):
    found, rng = [], np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        tiny = np.finfo(dtype).smallest_subnormal
        p = (rng.standard_normal(size) * tiny * 2.0**20).astype(dtype)
        p[::2] = rng.standard_normal(size // 2 + 1)
        g = (rng.standard_normal(size) * np.sqrt(tiny)).astype(dtype)
        narrow = [{"state_dtype": name} for name in ("int8", *["bfloat16"] * HAS_BFLOAT16)] if dtype is np.float32 else []
        for optimizer, options in ((fastopt.Adam, {}), (fastopt.Momentum, {}), *((fastopt.Adam, own) for own in narrow)):
            own = p.copy()
            made = optimizer(own, lr=0.1, weight_decay=0.01, backend=backend, num_threads=threads, **options)
            for _ in range(3):
                made.step(g)
            found.append(own.tobytes() + b"".join(s.tobytes() for s in made._states[0]))
    return found
plain = walks(backend, 2)
assert plain == walks(backend, 1)
for wanted in MODES:
    before = be_in(wanted)
    try:
        alone, shared, reference = walks(backend, 1), walks(backend, 2), walks("numpy", None)
    finally:
        be_in(before)
    assert alone != plain, f"mode {wanted:#x} makes no difference"
    assert shared == alone, f"mode {wanted:#x}: helpers do not do as their caller does"
    assert reference == alone, f"mode {wanted:#x}: not the reference's bits"
    assert walks(backend, 2) == plain, "helpers stayed in the mode"
print("alike")
"""


def modes_are_taken_over(backend: str, way: str, count: int) -> int:
    """Steps in several of the modes that a thread may be in; answers how many. Raises AssertionError where helpers do otherwise."""
    chosen = MODES[platform.machine().lower()]
    chosen = chosen[:: max(1, len(chosen) // count)][:count]
    text = PREAMBLE + textwrap.dedent(SCRIPT).replace("MODES", repr(chosen))
    answer = run(text, backend, way)
    assert answer == "alike\n", answer
    return len(chosen)


def arithmetic_modes(size: float, say: Say) -> Outcome:
    """Every rounding, with denormals flushed or not, set in the calling thread: helpers do the same, and the reference too."""
    outcome = Outcome()
    if platform.machine().lower() not in MODES or fastopt.available_backends()["numba"] is not True:
        outcome.left_out.append("modes of arithmetic: there is nothing that could set them")
        return outcome
    for backend, way in WAYS:
        if fastopt.available_backends()[backend] is not True:
            continue
        try:
            outcome.counts["modes of arithmetic"] += modes_are_taken_over(backend, way, max(2, round(15 * size)))
        except AssertionError as error:
            outcome.faults.append(f"modes of arithmetic, {backend} by {way}: {error}")
    say(f"modes of arithmetic: {outcome.counts['modes of arithmetic']}")
    return outcome
