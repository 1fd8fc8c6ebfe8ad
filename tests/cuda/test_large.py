"""Tensors past 2^31 and 2^32 elements, on a GPU with the memory for them (`test_ptx` looks at the same indices without)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastopt


@pytest.mark.parametrize("elements", [2**31 + 5, 2**32 + 7])
def test_past_32_bits(torch: Any, elements: int) -> None:
    if torch.cuda.mem_get_info()[0] < 9 * elements:
        pytest.skip(f"{9 * elements / 1e9:.0f} GB of memory")
    p, g = torch.zeros(elements, device="cuda"), torch.full((elements,), 2.0, device="cuda")
    places = [0, 1, 2**31 - 1, 2**31, elements - 1]
    g[places] = torch.arange(3.0, 8.0, device="cuda")
    fastopt.SGD(p, lr=0.5).step(g)
    assert p[places].tolist() == [-1.5, -2.0, -2.5, -3.0, -3.5]
    p[places] = -1.0
    assert bool((p == -1.0).all()), "an element was left out, or written twice"
    del p, g
    torch.cuda.empty_cache()


def test_many_rows_in_one_grid(torch: Any) -> None:
    """A hundred thousand tensors, most of them tiny: more rows than any grid has blocks at once."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 40, 100_000)
    flat = torch.zeros(int(sizes.sum()), device="cuda")
    params = list(torch.split(flat, sizes.tolist()))
    fastopt.SGD(params, lr=1.0).step(list(torch.split(torch.ones_like(flat), sizes.tolist())))
    assert bool((flat == -1.0).all())
