"""Kernels of narrow storage as a GPU gets them: read line by line, and run on the machine that knows PTX."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fastopt import storage
from fastopt.crosscheck import cases
from fastopt.cuda.worklist import cut
from fastopt.kernel import Kernel
from fastopt.slots import Slot
from fastopt.storage import STORAGES, Storage
from fastopt.storage.bits import converted, plus, times
from tests.cuda.kernels import kernel, launch, needs_compiler, ptx, ptx_of, source
from tests.cuda.narrow import COMBINATIONS, arrays_of, differing
from tests.cuda.ptx_machine import Program
from tests.cuda.test_ptx import FEW, after_one_step, check_arithmetic, settings_of


@pytest.fixture(autouse=True)
def _compiler() -> None:
    needs_compiler()


NARROW = [
    pytest.param(
        name,
        coupled,
        storages,
        id=f"{name}{'_l2' if coupled else ''}-{'-'.join(storages)}",
        marks=() if name == "adam" else pytest.mark.long,
    )
    for name, coupled in FEW
    for storages in COMBINATIONS
]


@pytest.mark.parametrize(
    ("name", "coupled", "storages", "capability"),
    [
        pytest.param(*given.values, capability, id=f"{given.id}-sm_{capability[0]}{capability[1]}", marks=given.marks)
        for capability in ((8, 0), (9, 0))
        for given in NARROW
        if capability == (9, 0) or (given.values[0] == "adam" and len(set(given.values[2])) == 1)
    ],
)
def test_what_a_narrow_kernel_is_made_of(name: str, coupled: bool, storages: tuple[str, ...], capability: tuple[int, int]) -> None:
    """Every stream is moved in one vector, of as many bytes as its elements are, and its conversions round as the arithmetic does."""
    own = kernel(name, coupled, *storages)
    text = ptx_of(own, capability)
    lanes = 4 if "float32" in [storage.name for storage in own.storages] else 8
    kinds = {"float32": ".v4.f32", "narrow": {4: ".v2.u32", 8: ".v4.u32"}[lanes]}
    for operation, streams in (("ld", own.storages), ("st", (own.storages[0], *own.storages[2:]))):
        wide = sum(storage.texts is None for storage in streams)
        assert text.count(f"{operation}.global{kinds['float32']}") == wide
        assert text.count(f"{operation}.global{kinds['narrow']}") == len(streams) - wide
        assert len(re.findall(rf"{operation}\.global\.u16\s", text)) == len(streams) - wide
    assert not re.findall(r"\b(?:ld|st)\.(?!global|param)\w+", text)
    check_arithmetic(text.replace("cvt.rn.f32.s32", "CONVERTED"), "float32")
    assert ("cvt.rn.f32.s32" in text) == ("float16" in [storage.name for storage in own.storages])


@pytest.mark.parametrize("slots", [None, 1], ids=["scalars by value", "scalars from memory"])
@pytest.mark.parametrize(("name", "coupled", "storages"), NARROW)
def test_a_narrow_kernel_has_the_bits_of_the_oracle(name: str, coupled: bool, storages: tuple[str, ...], slots: int | None) -> None:
    """Streams as many elements behind a multiple of 256 bytes, from none to more than a vector has, and such that do not lie alike."""
    assert narrow_distance(kernel(name, coupled, *storages), ptx_of(kernel(name, coupled, *storages)), slots) == 0


def narrow_distance(own: Kernel, text: str, slots: int | None = None) -> int:
    """How many elements of a step differ from the oracle's."""
    program, rng, found = Program(text), np.random.default_rng(5), 0
    lengths = (0, 1, 3, 7, 8, 9, 17, 64, 255, 1025)
    case = cases(own.rule)[1 if own.stages.coupled else 2]
    settings = settings_of(own.rule, case)
    for offsets in ((0,), (1,), (5,), (8,), (0, 3), (0, 0, 3, 0)):
        streams = [arrays_of(lengths, storage.name, rng) for storage in own.storages]
        expected = after_one_step(own.rule.name, streams, case)
        with np.errstate(all="ignore"):
            scalars = np.array(Slot(own.rule, settings, 6).all_scalars(case.grad_scale, 1.0, False), np.float32)
        table = scalars if slots is None else np.stack([np.full_like(scalars, np.nan)] * slots + [scalars])
        launch(program, streams, cut(lengths, 1024), table, offsets=offsets, slots=None if slots is None else [slots] * len(lengths))
        found += sum(differing(a, b) for own_, wanted in zip(streams, expected, strict=True) for a, b in zip(own_, wanted, strict=True))
    return found


def _float8_load(bits: int) -> int:
    magnitude = bits & 0x7F
    normal = (magnitude << 21) + 0x38000000
    small = times(converted(magnitude), 0x37800000)  # in units of 2^-16
    finite = small if magnitude < 4 else normal
    number = (magnitude << 21) + 0x70000000 if magnitude >= 0x7C else finite
    return number | ((bits & 0x80) << 24)


def _float8_store(bits: int) -> int:
    magnitude = bits & 0x7FFFFFFF
    nearest = ((magnitude - 0x38000000) + 0xFFFFF + ((magnitude >> 21) & 1)) >> 21
    small = plus(magnitude, 0x43000000) - 0x43000000  # added to 128, whose last place is 2^-16
    finite = small if magnitude < 0x38800000 else nearest
    number = 0x7C if magnitude >= 0x47700000 else finite
    return (0x7E if magnitude > 0x7F800000 else number) | ((bits >> 24) & 0x80)


@pytest.mark.parametrize("storages", [("float32", "float8_e5m2", "float8_e5m2"), ("float8_e5m2",) * 3], ids=["beside float32", "alone"])
def test_a_storage_of_one_byte_that_is_entered(storages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """In vectors of four and of eight elements."""
    from fastopt.cuda import access, primitives

    entered = Storage("float8_e5m2", 1, _float8_load, _float8_store, module="ml_dtypes")
    monkeypatch.setitem(STORAGES, entered.name, entered)
    monkeypatch.setattr(storage, "_by_dtype", dict(storage._by_dtype))
    for name, function in access.loads_and_stores().items():
        monkeypatch.setattr(primitives, name, function, raising=False)
    own = kernel("adam", False, *storages)
    assert narrow_distance(own, ptx_of(own)) == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("m_0, m_1, m_2, m_3 = load_4_bfloat16", "m_0, m_1, m_2, m_3 = load_4_float16"),
        ("m_0, m_1, m_2, m_3 = load_4_bfloat16", "m_1, m_0, m_2, m_3 = load_4_bfloat16"),
        ("store_bfloat16(v__at", "store_float16(v__at"),
        ("element * 2, (new_m_0", "element * 4, (new_m_0"),
        ("+ start * 2\n        v__at", "+ start * 4\n        v__at"),
        (" | (p__at >> 2 ^ m__at >> 1)", ""),
    ],
)
def test_a_narrow_kernel_that_is_broken_is_seen(before: str, after: str) -> None:
    own = kernel("adam", False, "float32", "float32", "bfloat16")
    text = source(own)
    assert before in text
    names = "load_4_float16", "store_float16"
    text = text.replace(before, after).replace("    load_int64,\n", "    load_int64,\n" + "".join(f"    {name},\n" for name in names))
    broken = ptx(text, own.name, own.scalar_count, "float32", (9, 0))
    with pytest.raises((IndexError, AssertionError)):
        assert narrow_distance(own, broken) == 0
