"""PTX on its way to the driver."""

from __future__ import annotations

import re

import pytest

from fastopt.cuda.driver.kernels import for_older_drivers
from tests.cuda.kernels import kernel, needs_compiler, ptx_of


@pytest.mark.parametrize(("capability", "version"), [((8, 0), "7.0"), ((9, 0), "7.8")])
def test_any_driver_that_knows_the_gpu_takes_the_kernels(capability: tuple[int, int], version: str) -> None:
    """The compiler writes its own version, which an older driver refuses; the text needs no newer one than its target."""
    needs_compiler()
    text = ptx_of(kernel("adam", False, "float32"), capability)
    assert re.findall(r"^\.version (.*)$", text, re.MULTILINE) == [version]
    assert for_older_drivers(".version 9.5\n.target sm_999", (99, 9)) == ".version 9.5\n.target sm_999"
