"""Models of storages, by hand."""

from __future__ import annotations

import numpy as np
import pytest

import fastopt
from bench.narrow.models import Blocks, ModelAdam


def test_codes_by_hand() -> None:
    v = np.zeros(32, np.float32)
    v[:4] = [4.0, 1.0, (2 * 0.1 / 255) ** 2, (2 * 100.4 / 255) ** 2]
    once, kept = Blocks(least=0).kept(v), Blocks(least=1).kept(v)
    expected = [2.0, 2 * 128 / 255, 0.0, 2 * 100 / 255]  # 127.5 rounds to even
    np.testing.assert_allclose(np.sqrt(once[:4]), expected, rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(kept[:4]), [*expected[:2], 2 / 255, expected[3]], rtol=1e-6)
    assert not once[4:].any()
    assert not kept[4:].any()
    assert not Blocks().kept(np.zeros(64, np.float32)).any()


def test_blocks_have_scales_of_their_own() -> None:
    v = np.concatenate([np.full(32, 1.0), np.full(32, 1e-8)]).astype(np.float32)
    np.testing.assert_allclose(Blocks().kept(v), v, rtol=1e-5)
    assert Blocks(least=0, size=64).kept(v)[-1] == 0.0


@pytest.mark.parametrize(("scale", "largest"), [(np.float32, 1.001), (np.float16, 1.001)])
def test_a_scale_is_rounded(scale: type, largest: float) -> None:
    v = np.full(32, np.float32(largest**2))
    root = np.sqrt(Blocks(scale).kept(v)[0])
    assert root == pytest.approx(float(scale(largest)), rel=1e-6)
    assert (root == pytest.approx(largest, rel=1e-6)) == (scale is np.float32)


def test_adam_is_adam_where_nothing_is_lost() -> None:
    class Whole(Blocks):
        def kept(self, v: np.ndarray) -> np.ndarray:
            return v

    rng = np.random.default_rng(0)
    p = rng.standard_normal(64).astype(np.float32)
    expected = p.copy()
    made, beside = ModelAdam(p, Whole(), lr=1e-2, beta2=0.99), fastopt.Adam(expected, lr=1e-2, betas=(0.9, 0.99))
    for _ in range(30):
        g = rng.standard_normal(64).astype(np.float32)
        made.step(g)
        beside.step(g)
    np.testing.assert_allclose(p, expected, atol=1e-6)
    np.testing.assert_allclose(made.v, beside.flat_state()["v"][0], rtol=1e-5)
