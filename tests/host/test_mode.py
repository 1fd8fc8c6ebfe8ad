"""How helpers do arithmetic: as the thread that calls them, be it fastopt's own or Numba's."""

from __future__ import annotations

import platform
import textwrap

import pytest

from tests.conftest import needed
from tests.host.processes import PREAMBLE, WAYS, run

MODES = {"x86_64": (0x8040, 0x4000), "amd64": (0x8040, 0x4000), "aarch64": (1 << 24, 1 << 22), "arm64": (1 << 24, 1 << 22)}
"""Flushing denormals to zero, and rounding up, as MXCSR or FPCR has them."""


@pytest.mark.skipif(platform.machine().lower() not in MODES, reason="helpers take over the modes of x86-64 and ARM alone")
@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_helpers_do_arithmetic_as_the_calling_thread_does(backend: str, way: str) -> None:
    """And go back to their own with the next caller. `torch.set_flush_denormal` sets such a mode."""
    needed(backend)
    needed("numba")  # whose compiled code can set one
    script = """
    from numba import njit
    from fastopt.backends.numba_primitives import mode, take_mode
    @njit
    def be_in(wanted):
        before = mode()
        take_mode(wanted)
        return before
    size = 100_001
    rng = np.random.default_rng(0)
    def walk(backend, threads):
        found = []
        for dtype in (np.float32, np.float64):
            tiny = np.finfo(dtype).smallest_subnormal
            p = (rng.standard_normal(size) * tiny * 2.0**20).astype(dtype)
            p[::2] = rng.standard_normal(size // 2 + 1)
            g = (rng.standard_normal(size) * np.sqrt(tiny)).astype(dtype)
            for optimizer in (fastopt.Adam, fastopt.Momentum):
                own = p.copy()
                made = optimizer(own, lr=0.1, weight_decay=0.01, backend=backend, num_threads=threads)
                for _ in range(3):
                    made.step(g)
                found.append(own.tobytes() + b"".join(s.tobytes() for s in made._states[0]))
        return found
    def walks(backend, threads):
        global rng
        rng = np.random.default_rng(0)
        return walk(backend, threads)
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
    text = PREAMBLE + textwrap.dedent(script).replace("MODES", repr(MODES[platform.machine().lower()]))
    assert run(text, backend, way) == "alike\n"
