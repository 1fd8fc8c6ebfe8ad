"""Codes of blocks: the texts beside NumPy, what a code stands for, what is never lost, and what becomes of numbers that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from fastopt.backends.numba_primitives import MODE_BITS, mode, take_mode
from fastopt.storage import blocks, noise
from fastopt.storage.blocks import BLOCK, SIGNED, UNSIGNED, Code

Array = np.ndarray[Any, Any]
CODES = [pytest.param(SIGNED, id="signed"), pytest.param(UNSIGNED, id="unsigned")]


def pattern(number: Any) -> int:
    return int(np.float32(number).view(np.uint32))


def by_the_texts(code: Code, numbers: Array, drawn: Array) -> tuple[list[int], Array]:
    """Codes and scales of numbers, an element at a time."""
    codes, scales = [], []
    for start in range(0, numbers.size, BLOCK):
        block = numbers[start : start + BLOCK].view(np.uint32)
        largest = max(int(bits) & 0x7FFFFFFF for bits in block)
        inverse = code.inverse(largest) & 0xFFFFFFFF
        scales.append(code.scale(largest) & 0xFFFFFFFF)
        for bits, n in zip(block if largest <= blocks.BOUND else np.zeros_like(block), drawn[start : start + BLOCK], strict=True):
            codes.append(code.store(int(bits), inverse, int(n)) & 0xFF)
    return codes, np.array(scales, np.uint32).view(np.float32)


def notable(rng: np.random.Generator, size: int, code: Code) -> Array:
    """Numbers of all sizes, and zeros, denormals and numbers near a block's largest among them."""
    values = (rng.standard_normal(size) * 10.0 ** rng.uniform(-12, 3, size)).astype(np.float32)
    places = rng.random(size) < 0.2
    values[places] = rng.choice(np.array([0.0, -0.0, 1e-45, -1e-40, 2.0**-126, 900.0, 999.9], np.float32), int(places.sum()))
    return np.abs(values) if code is UNSIGNED else values


@pytest.mark.parametrize("code", CODES)
def test_the_texts_say_what_numpy_does(code: Code) -> None:
    rng = np.random.default_rng(0)
    numbers = notable(rng, 6 * BLOCK + 77, code)
    numbers[BLOCK : 2 * BLOCK] *= np.float32(1e-37)
    numbers[2 * BLOCK + 5], numbers[3 * BLOCK + 9] = np.inf, np.nan
    numbers[4 * BLOCK : 5 * BLOCK] = 0.0
    numbers[5 * BLOCK] = np.nextafter(np.float32(2.0**126), np.float32(0))
    for drawn in (
        rng.integers(0, 2**32, numbers.size, np.uint32),
        np.full(numbers.size, 2**32 - 1, np.uint32),
        np.zeros(numbers.size, np.uint32),
    ):
        codes, scales = blocks.encode(code, numbers, drawn)
        expected, of_texts = by_the_texts(code, numbers, drawn)
        assert codes.view(np.uint8).tolist() == expected
        np.testing.assert_array_equal(scales, of_texts)
        assert np.isnan(scales).tolist() == [False, False, True, True, False, False, False]
        found = blocks.decode(code, codes, scales)
        own = codes.view(np.uint8) if code is UNSIGNED else codes
        loaded = [code.load(int(c) & 0xFFFFFFFF, pattern(scales[i // BLOCK])) & 0xFFFFFFFF for i, c in enumerate(own.astype(np.int64))]
        np.testing.assert_array_equal(found, np.array(loaded, np.uint32).view(np.float32))


@pytest.mark.parametrize("code", CODES)
def test_what_codes_stand_for(code: Code) -> None:
    """Powers of them at powers of two, and between those a line for each doubling of the value."""
    found = code.values(np.arange(-127, 128) if code is SIGNED else np.arange(256)).astype(np.float64)
    sizes = found[127:] if code is SIGNED else found
    assert sizes[0] == 0.0
    for own in range(1, code.most + 1):
        doublings = code.power * (np.frexp(own)[1] - 1)  # before the power of two below it
        share = own / 2.0 ** (np.frexp(own)[1] - 1) - 1.0
        line = int(share * code.power)
        assert sizes[own] == code.unit * 2.0 ** (doublings + line) * (1.0 + share * code.power - line)
    if code is SIGNED:
        assert (found[:127] == -found[:127:-1]).all()
    assert (np.diff(found) > 0).all()
    assert sizes[-1] == code.largest
    assert sizes[-1] / sizes[max(code.least, 1)] == (16128.0 if code is SIGNED else 258048.0)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("scale", [1.0, 0.3, 7e-20, 1e25])
def test_what_is_stored_stays_where_it_is(code: Code, scale: float) -> None:
    """Whatever the noise: a number that a code stands for becomes that code again, but for the last bit of its scale."""
    own = np.arange(-127, 128) if code is SIGNED else np.r_[0, code.least : 256]
    codes = np.resize(own, BLOCK).astype(code.dtype)
    numbers = blocks.decode(code, codes, np.array([scale], np.float32))
    for noise_of_all in (0, 2**12, 2**14, 7 * 2**12, 2**15 - 1):
        again, scales = blocks.encode(code, numbers, np.full(BLOCK, noise_of_all, np.uint32))
        assert again.tolist() == codes.tolist()
        assert scales[0] == pytest.approx(scale, rel=3e-7)


@pytest.mark.parametrize("code", CODES)
def test_on_the_average_a_number_is_stored_as_itself(code: Code) -> None:
    """From the third code on, and between 0 and 1 where they may become 0; to a tenth of a percent over 4,096 steps."""
    sizes = np.array([1.0, 0.9, 0.6, 0.251, 0.2, 0.05, 0.013, 3e-3, 1.1e-3, 4e-4], np.float32)
    if code is SIGNED:
        sizes = np.append(sizes, np.float32(3e-5))  # half of the smallest
    numbers = np.zeros(BLOCK, np.float32)
    numbers[: sizes.size] = sizes
    total = np.zeros(BLOCK)
    for step in range(4096):
        codes, scales = blocks.encode(code, numbers, noise.numbers(noise.factors(1), 0, BLOCK, step))
        total += blocks.decode(code, codes, scales)
    np.testing.assert_allclose(total[: sizes.size] / 4096, sizes, rtol=2e-3)
    assert (total[sizes.size :] == 0).all()


@pytest.mark.parametrize("code", CODES)
def test_without_noise_it_is_the_nearest_code(code: Code) -> None:
    """Among those that there are, by about the root or the fourth root; the largest of a block has the largest."""
    own = code.values(np.r_[code.least or 1 : code.most + 1]).astype(np.float64)
    numbers = np.array([*(own[:-1] * 0.9 + own[1:] * 0.1), *(own[:-1] * 0.1 + own[1:] * 0.9), own[-1]], np.float32)
    for start in range(0, numbers.size, BLOCK - 1):
        some = np.append(numbers[start : start + BLOCK - 1], np.float32(own[-1]))
        codes, scales = blocks.encode(code, some)
        assert codes[-1] == code.most
        found = blocks.decode(code, codes, scales).astype(np.float64)
        nearest = own[np.abs(own[:, None] - some).argmin(axis=0)]
        np.testing.assert_allclose(found, nearest, rtol=1e-6)


def test_a_number_above_zero_never_becomes_zero_where_it_is_divided_by() -> None:
    numbers = np.full(BLOCK, 1e-30, np.float32)
    numbers[0], numbers[1] = 1.0, 0.0
    codes, scales = blocks.encode(UNSIGNED, numbers, np.zeros(BLOCK, np.uint32))
    assert codes[1] == 0
    assert (codes[2:] == UNSIGNED.least).all()
    assert (blocks.decode(UNSIGNED, codes, scales)[2:] > 0).all()


@njit
def be_in(wanted: int) -> Any:
    before = mode()
    take_mode(wanted)
    return before


@pytest.mark.skipif(not MODE_BITS, reason="there is nothing that could set a thread's mode")
def test_a_denormal_is_above_zero_also_for_a_thread_that_takes_denormals_for_zeros() -> None:
    """Compiled kernels look at patterns, and so does NumPy's statement of it."""
    numbers = np.zeros(BLOCK, np.float32)
    numbers[:2] = 1.0, 1e-40
    before = be_in(MODE_BITS & 0x01000040)  # x86's "denormals are zeros", Arm's "flush to zero"
    try:
        flushing = not bool((numbers != 0)[1])
        codes, _ = blocks.encode(UNSIGNED, numbers, np.zeros(BLOCK, np.uint32))
    finally:
        be_in(before)
    assert flushing
    assert codes[:3].tolist() == [255, UNSIGNED.least, 0]


@pytest.mark.parametrize("code", CODES)
def test_how_near_codes_are(code: Code) -> None:
    """The cosine of what is stored and what was: of a first moment, and of a second one after 30 gradients. Half as many codes fail."""
    rng = np.random.default_rng(1)
    numbers = (rng.standard_normal(BLOCK * 200) if code is SIGNED else rng.chisquare(30, BLOCK * 200)).astype(np.float32)
    codes, scales = blocks.encode(code, numbers, noise.numbers(noise.factors(1), 0, numbers.size, 5))
    assert _cosine(blocks.decode(code, codes, scales), numbers) > 0.9999
    assert _cosine(blocks.decode(code, codes // 4 * 4, scales), numbers) < 0.9999


def _cosine(a: Array, b: Array) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("large", [np.inf, np.nan, 2.0**126])
def test_a_block_that_is_not_finite_and_its_neighbours(code: Code, large: float) -> None:
    numbers = np.ones(3 * BLOCK, np.float32)
    numbers[BLOCK] = large
    codes, scales = blocks.encode(code, numbers, np.zeros(3 * BLOCK, np.uint32))
    found = blocks.decode(code, codes, scales)
    assert np.isnan(found).reshape(3, BLOCK).all(axis=1).tolist() == [False, True, False]
    assert found[0] == pytest.approx(1.0, rel=1e-6)
