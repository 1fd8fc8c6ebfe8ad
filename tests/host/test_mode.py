"""How helpers do arithmetic: as the thread that calls them, be it fastopt's own or Numba's."""

from __future__ import annotations

import platform

import pytest

from tests.attack.modes import MODES, modes_are_taken_over
from tests.conftest import needed
from tests.host.processes import WAYS

pytestmark = pytest.mark.long


@pytest.mark.skipif(platform.machine().lower() not in MODES, reason="helpers take over the modes of x86-64 and ARM alone")
@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_helpers_do_arithmetic_as_the_calling_thread_does(backend: str, way: str) -> None:
    """And go back to their own with the next caller. `torch.set_flush_denormal` sets such a mode."""
    needed(backend)
    needed("numba")  # whose compiled code can set one
    assert modes_are_taken_over(backend, way, 2) == 2
