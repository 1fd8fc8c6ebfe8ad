"""Stochastic rounding: right on the average, over elements and over steps, and the same from the text as from NumPy."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pytest

from fastopt.storage import OF_STATES, noise

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

DRAWN = OF_STATES["drawn_bfloat16"]
NUMBERS = (1.0, 1.001, -1.001, 3.14159, 1e-3 / 3, -2.7e-38 / 7, 1e-41, 6.5e37)


def test_factors_are_square_roots_of_primes() -> None:
    with decimal.localcontext(prec=40):
        for stream, primes in enumerate(((2, 3), (5, 7), (11, 13), (17, 19), (23, 29))):
            for found, prime in zip(noise.factors(stream), primes, strict=True):
                first = int(decimal.Decimal(prime).sqrt() % 1 * 2**16)
                assert found == (first << 16) + (first | 1)
    assert len({factor for stream in range(40) for factor in noise.factors(stream)}) == 80


@pytest.mark.parametrize("bits", [15, 16])
def test_the_lower_half_is_as_even_as_the_upper(bits: int) -> None:
    """Shares of a thousand in a row, over elements and over steps, are evenly spread but for 1 %; random ones but for 3 to 4 %."""
    for stream in range(8):
        for factor in noise.factors(stream):
            shares = np.sort((np.arange(1000, dtype=np.uint64) * np.uint64(factor)) % 2**bits / 2**bits)
            assert np.abs(shares - np.arange(1000) / 1000).max() < 0.011


def test_the_noise_of_elements_and_steps() -> None:
    along, between = noise.factors(2)
    found = noise.numbers(noise.factors(2), 1000, 5, 2**31 + 7)
    assert found.tolist() == [((1000 + i) * along + (2**31 + 7) * between) % 2**32 for i in range(5)]
    assert noise.step_scalars(0x123_4567_89AB) == (float(0x89AB), float(0x4567))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_mean_of_a_hundred_thousand_roundings_is_the_number(number: float) -> None:
    """Over elements at one step, and over steps of one element; to nearest it would be off by up to half a unit, 4e-3 of it."""
    count = 100_000
    values = np.full(count, number, np.float32)
    exact = np.float64(values[0])
    steps = np.concatenate([noise.numbers(noise.factors(1), 77, 1, step) for step in range(1, count + 1)])
    for drawn in (noise.numbers(noise.factors(1), 512, count, 9), steps):
        rounded = DRAWN.encode(values, drawn).astype(np.float64)
        spacing = float(np.spacing(np.float32(np.abs(exact)))) * 2**16  # denormals have as many bits fewer
        assert abs(rounded.mean() - exact) < max(3e-5 * abs(exact), 1e-3 * spacing)
        assert set(np.unique(rounded)) <= {exact} or len(np.unique(rounded)) == 2


def test_the_text_says_what_numpy_does() -> None:
    assert DRAWN.store is not None
    rng = np.random.default_rng(0)
    bits = np.concatenate(
        [rng.integers(0, 2**32, 20_000, np.uint32), np.array([0, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1], np.uint32)]
    )
    drawn = rng.integers(0, 2**32, bits.size, np.uint32)
    found = np.array([DRAWN.store(int(b), int(n)) & 0xFFFF for b, n in zip(bits, drawn, strict=True)], np.uint16)
    expected: Any = DRAWN.encode(bits.view(np.float32), drawn)
    nan = np.isnan(bits.view(np.float32))
    assert (found[~nan] == expected.view(np.uint16)[~nan]).all()
    assert np.isnan(found[nan].view(expected.dtype).astype(np.float32)).all()
    assert nan.any()
