"""Kernels with states by blocks, and with corrections beside parameters, as a GPU gets them: read line by line, and run on the machine that
knows PTX, beside the oracle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt.crosscheck import Case, awkward_arrays, cases, stage_cases
from fastopt.cuda.worklist import cut
from fastopt.kernel import CORRECTION, Kernel
from fastopt.rules.entry import RULES
from fastopt.slots import Slot
from fastopt.storage import EVERY, STORAGES
from tests.cuda.kernels import launch, needs_compiler, ptx, ptx_of, source
from tests.cuda.narrow import differing
from tests.cuda.ptx_machine import Program
from tests.cuda.test_ptx import FEW, check_arithmetic
from tests.kernels import is_first_of_its_kind

Array = np.ndarray[Any, Any]

STORED: dict[str, dict[str, Any]] = {
    "int8": {"dtype": "float32", "state_dtype": "int8"},
    "int8-bfloat16": {"dtype": "bfloat16", "state_dtype": "int8"},
    "int8-32": {"dtype": "bfloat16", "state_dtype": "int8", "master_bits": 32},
    "int8-24": {"dtype": "bfloat16", "state_dtype": "int8", "master_bits": 24},
    "int8-24-drawn": {"dtype": "bfloat16", "state_dtype": "int8", "master_bits": 24, "stochastic_rounding": True},
    "int8-float16": {"dtype": "float16", "state_dtype": "int8", "grad_dtype": "float32"},
    "32": {"dtype": "bfloat16", "master_bits": 32},
    "24": {"dtype": "bfloat16", "master_bits": 24},
    "32-bfloat16": {"dtype": "bfloat16", "state_dtype": "bfloat16", "master_bits": 32},
    "24-drawn-bfloat16": {"dtype": "bfloat16", "state_dtype": "bfloat16", "master_bits": 24, "stochastic_rounding": True},
}
"""Arguments of optimizers: by blocks with every kind of parameter, and corrections in vectors of four and of eight elements."""

LENGTHS = (0, 1, 31, 32, 255, 256, 257, 600, 1024, 1025, 8100)
OFFSETS = ((0,), (1,), (4,), (0, 3), (0, 0, 3, 0), (0, 0, 0, 3))
"""Elements behind a multiple of 256 bytes, of the streams by turns: alike within a vector or not, and within a word of codes or not."""


@pytest.fixture(autouse=True)
def _compiler() -> None:
    needs_compiler()


def optimizer(rule: str, case: Case, stored: dict[str, Any], lengths: Sequence[int] = LENGTHS) -> Any:
    """An optimizer of the oracle, with numbers of note among its parameters and all codes in its states, at its seventh step."""
    asked, rng = dict(stored), np.random.default_rng(7)
    params = awkward_arrays(lengths, asked.pop("dtype"), rng, True)
    if "state_dtype" in asked:
        asked["narrow_from"] = 0
    found = fastopt.Optimizer(params, rule, 0.01, backend="numpy", **{**asked, **case.options})
    for kernel, held in zip(found._kernels, found._states, strict=True):
        for name, array in zip(kernel.held, held, strict=True):
            array[...] = any_of(array, name, rng)
    for slot in found._plan.active:
        slot.steps = 6
    return found


def any_of(like: Array, name: str, rng: np.random.Generator) -> Array:
    """What may lie in an array that is held: any code and correction, states and scales of all sizes, and a few scales of NaN."""
    if like.dtype == np.uint8:
        codes = rng.integers(11, 256, like.shape)
        return np.where(codes == 11, 0, codes)
    if like.dtype.kind == "i":
        return rng.integers(-127 if name != CORRECTION else np.iinfo(like.dtype).min, np.iinfo(like.dtype).max, like.shape, endpoint=True)
    sizes = np.float32(10.0) ** rng.uniform(-12, 2, like.shape)
    return np.where(rng.random(like.shape) < 0.1, np.nan, sizes) if name.endswith("_scale") else sizes


def distance(own: Any, text: str, case: Case, offsets: Sequence[int], slots: int | None) -> int:
    """How many elements of all that a step writes are not the oracle's, in a launch of a kernel that is given as PTX."""
    (kernel,) = set(own._kernels)
    rng = np.random.default_rng(8)
    gradients = awkward_arrays([p.size for p in own._params], kernel.gradient.name, rng, False)
    for k, g in enumerate(gradients):
        if k % 2 and g.size:
            g[rng.integers(g.size)] = (np.inf, np.nan, 0.0, -0.0)[k // 2 % 4]
    streams = [own._params, gradients, *([held[k] for held in own._states] for k in range(len(kernel.held)))]
    given = [[array.copy() for array in stream] for stream in streams]
    (share,) = own._shares
    with np.errstate(all="ignore"):
        scalars = np.array(Slot(kernel.rule, share.settings, 6).all_scalars(case.grad_scale, 1.0, kernel.draws), np.float32)
    table = scalars if slots is None else np.stack([np.full_like(scalars, np.nan)] * slots + [scalars])
    own.step(gradients, grad_scale=case.grad_scale)
    rows = cut([p.size for p in own._params], 1024)
    blocks = [-(-p.size // 256) for p in own._params]
    first = np.cumsum([0, *blocks])[:-1]
    of_tensors = None if slots is None else [slots] * len(given[0])
    launch(Program(text), given, rows, table, offsets=offsets, slots=of_tensors, first_blocks=first)
    return sum(differing(a, b) for found, wanted in zip(given, streams, strict=True) for a, b in zip(found, wanted, strict=True))


KERNELS = [
    pytest.param(
        name,
        coupled,
        stored,
        id=f"{name}{'_l2' if coupled else ''}-{stored}",
        marks=() if name == "adam" or (stored == "int8" and (name, coupled) in FEW) else pytest.mark.long,
    )
    for name in RULES
    for coupled in (False, True)
    for stored in STORED
    if ((name, coupled) in FEW or (stored == "int8" and not coupled and is_first_of_its_kind(RULES[name])))
    if RULES[name].states or stored != "int8"
]


@pytest.mark.parametrize(("name", "coupled", "stored"), KERNELS)
def test_it_has_the_bits_of_the_oracle(name: str, coupled: bool, stored: str) -> None:
    """Streams that lie alike and such that do not, whole blocks and others, scalars by value and from memory, by turns."""
    case = cases(RULES[name])[1 if coupled else 2]
    for turn, offsets in enumerate(OFFSETS):
        own = optimizer(name, case, STORED[stored])
        assert distance(own, ptx_of(own._kernels[0]), case, offsets, 1 if turn % 2 else None) == 0


@pytest.mark.parametrize("stored", ["int8", "int8-32"])
def test_with_every_stage(stored: str) -> None:
    case = stage_cases(RULES["adam"])[0]
    for offsets in OFFSETS[:2]:
        own = optimizer("adam", case, STORED[stored])
        assert distance(own, ptx_of(own._kernels[0]), case, offsets, None) == 0


@pytest.mark.parametrize("stored", list(STORED))
def test_what_it_is_made_of(stored: str) -> None:
    """Every stream is moved in vectors: by blocks in two for eight elements of a thread, which are words of codes."""
    own = optimizer("adam", cases(RULES["adam"])[2], STORED[stored], (256,))._kernels[0]
    text = ptx_of(own)
    assert not re.findall(r"\b(?:ld|st)\.(?!global|param)\w+", text)
    assert ".local" not in text
    check_arithmetic(re.sub(r"cvt\.(rn\.f32\.[su](16|32)|rzi\.s(32|64)\.f32)\s", "CONVERTED ", text), "float32")
    moved = moves(text)
    assert moved == expected_moves(own), moved
    blocked = len(own.blocked)
    assert len(re.findall(r"shfl\.sync\.bfly\.b32\s.*, 31, -1;", text)) == 5 * 2 * blocked
    assert len(re.findall(r"bar\.warp\.sync\s+-1;", text)) == bool(blocked)


def moves(text: str) -> dict[str, int]:
    """How many loads and stores of each kind there are, of those in vectors and of single words."""
    found: dict[str, int] = {}
    for operation, kind in re.findall(r"\b(ld|st)\.global\.((?:v\d\.)?[busf]\d+)\s", text):
        key = f"{operation} {kind}"
        if kind.startswith("v") or kind.endswith("u32"):
            found[key] = found.get(key, 0) + 1
    return found


def expected_moves(own: Kernel) -> dict[str, int]:
    """The vectors that a kernel moves: what is as wide as its arithmetic, and what is narrower, as words."""
    sizes = [(storage.itemsize, storage.texts is None, k != 1) for k, storage in enumerate(own.storages)]
    if own.split is not None:
        sizes.append((np.dtype(own.split.dtype).itemsize, False, True))
    lanes = 4 if own.blocked or any(whole for _, whole, _ in sizes) else 8
    times = 2 if own.blocked else 1
    found: dict[str, int] = {}
    for size, whole, written in sizes:
        words = lanes * size // 4
        kind = f"{f'v{words}.' if words > 1 else ''}{'f32' if whole else 'u32'}"
        for operation in ("ld", "st") if written else ("ld",):
            found[f"{operation} {kind}"] = found.get(f"{operation} {kind}", 0) + times
    return found


MUTATIONS = [
    pytest.param("+ (start >> 8) * 4", "+ (start >> 7) * 4", id="the scales of another row"),
    pytest.param("block = thread >> 5", "block = thread >> 4", id="a block for half a warp"),
    pytest.param("lane = thread & 31", "lane = thread & 15", id="two threads for the same elements"),
    pytest.param("further = element + 128", "further = element + 64", id="the second vector at the wrong place"),
    pytest.param("if end <= length and ", "if ", id="a whole block where there is less"),
    pytest.param(" | v__at >> 0) & 3", ") & 3", id="words of codes that are not aligned"),
    pytest.param("m__largest = larger_magnitude(m__largest, new_m_5)\n", "\n", id="an element whose magnitude nobody looks at"),
    pytest.param("m__largest = larger_magnitude(m__largest, new_m_)\n", "\n", id="the same where elements are looked at one by one"),
    pytest.param("m__largest = largest_of_warp(m__largest)\n", "\n", id="threads that do not tell each other"),
    pytest.param("v__largest, (new_v_4", "m__largest, (new_v_4", id="another state's magnitude"),
    pytest.param("scale_signed8(m__largest)", "scale_unsigned8(m__largest)", id="the scale of another code"),
    pytest.param("if lane == 0:", "if lane == 0 and block != 2:", id="a scale that is left as it was"),
    pytest.param("m__start + further * ", "m__start + element * ", id="the noise of other elements"),
    pytest.param("block += threads >> 5", "block += threads >> 4", id="blocks that are left out"),
]


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), MUTATIONS)
def test_a_kernel_that_is_broken_is_seen(before: str, after: str) -> None:
    case = cases(RULES["adam"])[2]
    own = optimizer("adam", case, STORED["int8"])
    kernel = own._kernels[0]
    text = source(kernel)
    assert before in text
    broken = ptx(text.replace(before, after), kernel.name, kernel.scalar_count, "float32", (9, 0))

    def all_offsets() -> None:
        for offsets in OFFSETS:
            assert distance(optimizer("adam", case, STORED["int8"]), broken, case, offsets, None) == 0

    with pytest.raises((IndexError, AssertionError, RuntimeError)):
        all_offsets()


def test_every_storage_is_in_one_of_the_kernels() -> None:
    case = cases(RULES["adam"])[2]
    seen = {s.name for stored in STORED.values() for s in optimizer("adam", case, stored, (256,))._kernels[0].storages}
    assert seen | set(STORAGES) == set(EVERY)
