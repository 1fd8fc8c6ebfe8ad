"""Split parameters: every number there and back, the texts beside NumPy, and training as in float32, to the last bit with all 32."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.backends import numba_primitives, numba_storage
from fastopt.rules.entry import RULES
from fastopt.storage import EVERY, OF_PARAMETERS, STORAGES, noise
from fastopt.storage.split import SPLIT24, SPLIT32, Split, joined, parted

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")

Array = np.ndarray[Any, Any]
BFLOAT16 = STORAGES["bfloat16"].dtype


def compiled(name: str, loop: str) -> Any:
    """A loop over patterns of bits in Numba, with the functions of a storage as the backends have them."""
    storage = OF_PARAMETERS[name]
    names = "\n".join(["from numba import int8, int16, njit, uint16, uint32", "from fastopt.backends.numba_primitives import *"])
    text = f'{names}\n\n\n{numba_storage.module_source(storage)}\n\n@njit(error_model="numpy")\n{loop.replace("_own", f"_{name}")}'
    given: dict[str, Any] = {"__name__": numba_primitives.__name__}
    exec(compile(text, f"<{name}>", "exec"), given)
    return given["run"]


THERE_AND_BACK = """
def run(lower, wrong):
    for upper in range(wrong.size):  # in 32 bits throughout, of which vectors are made
        changed, high = uint32(0), uint32(upper) << uint32(16)
        for i in range(lower.size):
            bits = high | lower[i]
            number = as_float(bits)
            parameter = store_own(number)
            back = as_bits(load_own(parameter, rest_own(number)))
            nan = (bits & uint32(0x7FFFFFFF)) > uint32(0x7F800000)
            seen = ((uint32(parameter) & uint32(0x7FFF)) > uint32(0x7F80)) & ((back & uint32(0x7FFFFFFF)) > uint32(0x7F800000))
            changed |= bits_select(nan, uint32(not seen), (back ^ bits) | uint32(seen))
        wrong[upper] = changed
"""


@pytest.mark.parametrize("lower", [pytest.param(2**16, id="all", marks=pytest.mark.long), 2**12])
def test_every_pattern_goes_there_and_back(lower: int) -> None:
    """All 2^32, or of each upper half a sixteenth: the same number again; a NaN stays one, for who looks at the parameter alone too."""
    wrong = np.ones(2**16, np.uint32)
    chosen = np.random.default_rng(0).permutation(2**16)[:lower].astype(np.uint32)
    compiled("split32", THERE_AND_BACK)(chosen, wrong)
    assert not wrong.any()


def patterns(count: int) -> Array:
    """Patterns of float32 at random, the ends of each bfloat16's share, and those around halves of the places that are kept."""
    rng = np.random.default_rng(0)
    upper = np.arange(2**16, dtype=np.uint32)[:, None] << np.uint32(16)
    lower = np.array([0, 1, 0x7F, 0x80, 0x81, 0x17F, 0x180, 0x7FFF, 0x8000, 0x8001, 0xFF7F, 0xFF80, 0xFFFF], np.uint32)
    every: Array = np.concatenate([(upper + lower).reshape(-1), rng.integers(0, 2**32, count, np.uint32)])
    return every


def alike(a: Array, b: Array) -> bool:
    """Whether parameters have the same bits; one NaN is as another, and both have a correction of 0."""
    nan = np.isnan(a.astype(np.float32))
    other = np.isnan(b.astype(np.float32))
    return bool((nan == other).all() and (a.view(np.uint16)[~nan] == b.view(np.uint16)[~nan]).all())


@pytest.mark.parametrize("name", ["split32", "split24", "drawn_split24"])
def test_the_texts_say_what_numpy_does(name: str) -> None:
    storage, given = OF_PARAMETERS[name], patterns(100_000)
    split, numbers = storage.split, given.view(np.float32)
    assert split is not None
    drawn = noise.numbers(noise.factors(0), 5, given.size, 3) if storage.draws else None
    loop = "\ndef run(bits, noises, parameters, rests, back):\n    for i in range(bits.size):\n        number = as_float(bits[i])\n"
    beside = ", noises[i]" if storage.draws else ""
    loop += f"        parameters[i], rests[i] = store_own(number{beside}), rest_own(number{beside})\n"
    loop += "        back[i] = as_bits(load_own(parameters[i], rests[i]))\n"
    stored, rests, back = np.empty(given.size, np.uint16), np.empty(given.size, split.dtype), np.empty_like(given)
    compiled(name, loop)(given, given if drawn is None else drawn, stored, rests, back)
    parameters, corrections = parted(split, numbers, BFLOAT16, drawn)
    assert alike(parameters, stored.view(BFLOAT16))
    assert (corrections == rests).all()
    again = joined(split, parameters, corrections)
    if drawn is None:
        off = np.abs(again.view(np.int32).astype(np.int64) - given.view(np.int32))
        assert off[~np.isnan(numbers)].max() == (0 if split.bits == 32 else 2**7)
    unknown = np.isnan(numbers)
    assert (np.isnan(again) == np.isnan(back.view(np.float32))).all()
    assert (again.view(np.uint32)[~unknown] == back[~unknown]).all()


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFC00000, 0xFFFFFFFF])
@pytest.mark.parametrize("name", ["bfloat16", "drawn_bfloat16", "split32", "split24", "drawn_split24"])
def test_a_nan_is_the_one_bfloat16_nan_and_has_no_correction(name: str, bits: int) -> None:
    storage = EVERY[name]
    assert storage.store is not None
    for drawn in ([0], [0xFFFFFFFF]) if storage.draws else ([],):
        assert storage.store(bits, *drawn) & 0xFFFF == 0x7FC0
        if storage.split is not None:
            assert storage.split.rest(bits, *drawn) & (1 << storage.split.bits - 16) - 1 == 0


def test_the_parameter_is_the_nearest_bfloat16() -> None:
    """Of halves the one away from zero; otherwise NumPy's."""
    given = patterns(100_000)
    halves = (given & np.uint32(0xFFFF)) == 0x8000
    numbers = given[~halves].view(np.float32)
    with np.errstate(all="ignore"):
        assert alike(parted(SPLIT32, numbers, BFLOAT16)[0], numbers.astype(BFLOAT16))


def test_what_24_bits_keep_is_kept() -> None:
    """Every number of 24 bits goes there and back."""
    for first in range(0, 2**24, 2**20):
        bits = np.arange(first, first + 2**20, dtype=np.uint32) << np.uint32(8)
        numbers = bits.view(np.float32)
        again = joined(SPLIT24, *parted(SPLIT24, numbers, BFLOAT16))
        known = ~np.isnan(numbers)
        assert (again.view(np.uint32)[known] == bits[known]).all()
        assert np.isnan(again[~known]).all()


@pytest.mark.parametrize("number", [1.0, 1.00001, -1.00001, 3.1415926, -2.7e-38 / 7, 6.5e37])
@pytest.mark.parametrize("name", ["drawn_split24", "drawn_bfloat16"])
def test_the_mean_of_a_hundred_thousand_roundings_is_the_number(name: str, number: float) -> None:
    storage, count = OF_PARAMETERS[name], 100_000
    values = np.full(count, number, np.float32)
    drawn = noise.numbers(noise.factors(0), 512, count, 9)
    if storage.split is None:
        found = storage.encode(values, drawn).astype(np.float64)
    else:
        found = joined(storage.split, *parted(storage.split, values, BFLOAT16, drawn)).astype(np.float64)
    assert abs(found.mean() / np.float64(values[0]) - 1) < 3e-5
    assert len(np.unique(found)) == 1 + (float(values[0]) not in found)


def start(size: int) -> tuple[Array, Array]:
    """Parameters in bfloat16, and the same in float32."""
    narrow = np.random.default_rng(0).standard_normal(size).astype(BFLOAT16)
    return narrow, narrow.astype(np.float32)


@pytest.mark.parametrize("name", [rule.name for rule in RULES.values()])
def test_training_with_all_bits_is_training_in_float32(name: str) -> None:
    """To the last bit, with weight decay, moving averages and all; the parameter is what float32's rounds to."""
    rng = np.random.default_rng(1)
    narrow, whole = start(300)
    options: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.01, "ema_decay": 0.9, "backend": "numpy"}
    split = fastopt.Optimizer(narrow, name, master_bits=32, grad_dtype="float32", **options)
    plain = fastopt.Optimizer(whole, name, **options)
    for _ in range(20):
        g = rng.standard_normal(300).astype(np.float32)
        split.step(g, max_norm=10.0)
        plain.step(g, max_norm=10.0)
    assert (split.master_params().view(np.uint32) == whole.view(np.uint32)).all()
    assert (split.averages().view(np.uint16) == plain.averages().astype(BFLOAT16).view(np.uint16)).all()
    halves = (whole.view(np.uint32) & 0xFFFF) == 0x8000
    assert (narrow.view(np.uint16)[~halves] == whole.astype(BFLOAT16).view(np.uint16)[~halves]).all()


def trained(**options: Any) -> Array:
    """What a small slope comes to, which a bfloat16 by itself does not feel: 1 + 1,000 steps of 1e-5."""
    p = np.ones(10_000, BFLOAT16)
    optimizer = fastopt.SGD(p, lr=1e-5, **options)
    for _ in range(1_000):
        optimizer.step(np.full(10_000, -1.0, BFLOAT16))
    found: Array = optimizer.master_params()
    return found.astype(np.float64)


def test_small_updates_are_not_lost() -> None:
    assert (trained() == 1.0).all()
    for options in ({"master_bits": 32}, {"master_bits": 24, "stochastic_rounding": True}, {"stochastic_rounding": True}):
        assert trained(**options).mean() == pytest.approx(1.01, abs=2e-4), options
    assert (trained(master_bits=24) == 1.0).all()  # a third of the last place of 16 bits: half of one is needed


def test_the_states_of_a_checkpoint_know_the_correction() -> None:
    narrow, _ = start(5_000)
    optimizer = fastopt.Adam(narrow, master_bits=32, state_dtype="int8")
    rng = np.random.default_rng(2)
    gradient = partial(lambda: rng.standard_normal(5_000).astype(BFLOAT16))
    for _ in range(3):
        optimizer.step(gradient())
    saved, parameters = optimizer.state_dict(), narrow.copy()
    assert saved["state"]["correction"].dtype == np.int16
    assert saved["state"]["correction"].any()
    copy = pickle.loads(pickle.dumps(optimizer))
    other = fastopt.Adam(parameters, master_bits=32, state_dtype="int8")
    other.load_state_dict(saved)
    g = gradient()
    for each in (optimizer, copy, other):
        each.step(g)
    for each in (copy, other):
        assert (each.master_params().view(np.uint32) == optimizer.master_params().view(np.uint32)).all()


def test_a_group_each() -> None:
    narrow, whole = start(400)
    groups = [{"params": [narrow], "master_bits": 32}, {"params": [whole, narrow.copy()], "lr": 0.1}]
    optimizer = fastopt.Adam(groups)
    assert [kernel.split for kernel in optimizer._kernels] == [SPLIT32, None, None]
    optimizer.step([[np.ones(400, BFLOAT16)], [np.ones(400, np.float32), np.ones(400, BFLOAT16)]])
    assert [own.dtype.name for own in optimizer.master_params()[0]] == ["float32"]
    assert [None if own is None else own.dtype.name for own in optimizer.flat_state()["correction"]] == ["int16", None, None]


@pytest.mark.parametrize(
    ("dtype", "given", "error", "words"),
    [
        ("bfloat16", {"master_bits": 16}, ValueError, r"^master_bits: expected 32, 24 or None, received 16$"),
        ("bfloat16", {"master_bits": 24.0}, TypeError, r"^master_bits: "),
        ("bfloat16", {"master_bits": True}, TypeError, r"^master_bits: "),
        (
            "float32",
            {"master_bits": 32},
            ValueError,
            "^master_bits: expected None without parameters of bfloat16, received 32 beside",
        ),
        ("float16", {"master_bits": 24}, ValueError, r"^master_bits: expected None beside float16, which has no correction"),
        ("bfloat16", {"master_bits": 32, "stochastic_rounding": True}, ValueError, r"^stochastic_rounding: "),
        ("float32", {"stochastic_rounding": True}, ValueError, r"^stochastic_rounding: expected None or False beside state_dtype=None"),
    ],
)
def test_what_is_refused(dtype: str, given: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fastopt.Adam(np.ones(3, STORAGES[dtype].dtype), **given)


def test_a_choice_that_cannot_be_changed() -> None:
    optimizer = fastopt.Adam(np.ones(3, BFLOAT16), master_bits=32)
    with pytest.raises(ValueError, match=r"^master_bits: expected 32, as the states are; received another$"):
        optimizer.configure(master_bits=24)


@pytest.mark.parametrize("bits", [32, 24])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_parameters_that_are_written_by_others_are_half_a_unit_off_at_most(backend: str, bits: int) -> None:
    """Also where they are made 0, below which a negative correction would lead to NaN."""
    rng = np.random.default_rng(6)
    p = rng.standard_normal(4_000).astype(BFLOAT16)
    optimizer = fastopt.SGD(p, lr=0.0, master_bits=bits, backend=backend)
    optimizer.load_master_params(rng.standard_normal(4_000).astype(np.float32))
    assert {-1, 1} <= {int(sign) for sign in np.sign(optimizer.state_dict()["state"]["correction"])}
    given = np.array([0.0, -0.0, 1.0, -1.5], np.float32).repeat(1_000)
    p[...] = given
    optimizer.step(np.zeros_like(p))
    assert (np.abs(optimizer.master_params() - given) <= np.maximum(np.abs(given) * 2.0**-8, 2.0**-133)).all()
    assert (p == given.astype(BFLOAT16)).all()


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_gradient_that_shares_memory_with_a_correction_is_refused(backend: str) -> None:
    optimizer = fastopt.SGD(np.zeros(8, BFLOAT16), master_bits=32, backend=backend)
    (correction,) = optimizer._states[0]
    with pytest.raises(ValueError, match="overlap in memory"):
        optimizer.step(correction.view(BFLOAT16))


def test_splits_are_told_apart() -> None:
    assert {own.split for own in OF_PARAMETERS.values() if own.split} > {SPLIT24, SPLIT32}
    assert all(isinstance(own.split, Split) for own in OF_PARAMETERS.values() if own.name != "drawn_bfloat16")
