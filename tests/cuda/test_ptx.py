"""The kernels as a GPU gets them: compiled to PTX with no GPU at hand, read line by line, and run on a machine that knows PTX."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pytest

from fastopt.crosscheck import Case, awkward_arrays, cases, stage_cases, ulp_distance
from fastopt.cuda.worklist import cut
from fastopt.kernel import Kernel
from fastopt.rules.entry import RULES, Rule
from fastopt.rules.family import Family
from fastopt.settings import Settings
from fastopt.slots import Slot
from fastopt.stages import Stages
from fastopt.transcribe import LoopBody
from tests.cuda.kernels import kernel, launch, needs_compiler, ptx, ptx_of, source
from tests.cuda.ptx_machine import Program
from tests.kernels import compiled_dtype, is_first_of_its_kind

FEW = (("sgd", True), ("adam", False), ("rmsprop_centered_momentum", False))
"""The simplest kernel, one that people use, and the one with most streams."""


def looked_at_first(name: str, coupled: bool) -> bool:
    """Whether `make test` looks at a kernel; those of as many streams as one of these are for `make test-long`."""
    return (name, coupled) in FEW or is_first_of_its_kind(RULES[name])


KERNELS = [
    pytest.param(
        name,
        coupled,
        dtype,
        id=f"{name}{'_l2' if coupled else ''}-{dtype}",
        marks=() if looked_at_first(name, coupled) else pytest.mark.long,
    )
    for name in RULES
    for coupled in (False, True)
    for dtype in (compiled_dtype(coupled).__name__,)
    if not coupled or RULES[name].is_first_form  # what precedes the other forms of a text precedes its first one
]


@pytest.fixture(autouse=True)
def _compiler() -> None:
    needs_compiler()


FOR_A_TARGET = {(8, 0): [given for given in KERNELS if given.values[:2] in FEW], (9, 0): KERNELS}
"""All for one target, and a few for the other: to compile one takes 0.3 s."""


@pytest.mark.parametrize(
    ("name", "coupled", "dtype", "capability"),
    [
        pytest.param(*given.values, capability, id=f"{given.id}-sm_{capability[0]}{capability[1]}", marks=given.marks)
        for capability, kernels in FOR_A_TARGET.items()
        for given in kernels
    ],
)
def test_what_a_kernel_is_made_of(name: str, coupled: bool, dtype: str, capability: tuple[int, int]) -> None:
    own = kernel(name, coupled, dtype)
    text, body = ptx_of(own, capability), own.body
    assert f".target sm_{capability[0]}{capability[1]}" in text
    assert re.search(r"\.maxntid\s+256, 1, 1", text)
    check_memory(text, len(body.streams), len(body.written), dtype, of_one_kind=not asks_scalars(body))
    check_arithmetic(text, dtype)
    kinds = re.findall(r"\.param \.(\w+) \w+_param_\d+", text)
    assert kinds == ["u64"] * 5 + [{"float32": "f32", "float64": "f64"}[dtype]] * len(body.scalars)


def asks_scalars(body: LoopBody) -> bool:
    """Whether a text compares scalars, which are the same for all elements: the compiler may write the loop once for each outcome."""
    return any(
        isinstance(node, ast.Compare) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LIMITS)
        for _, value in body.lines
        for node in ast.walk(value)
        if {name.id for name in ast.walk(node) if isinstance(name, ast.Name)} & set(body.scalars)
    )


LIMITS = ("maximum", "minimum")


def check_memory(text: str, loads: int, stores: int, dtype: str, of_one_kind: bool = True) -> None:
    """Every stream is moved in vectors of 16 bytes, once, and in single elements once, for what is before and behind them.

    Or once in each of the forms of the loop, where the compiler wrote several.
    """
    kind = {"float32": "v4.f32", "float64": "v2.f64"}[dtype]
    loaded, stored, single = (
        text.count(f"ld.global.{kind}"),
        text.count(f"st.global.{kind}"),
        len(re.findall(rf"st\.global\.{kind[3:]}\s", text)),
    )
    if of_one_kind:
        assert (loaded, stored, single) == (loads, stores, stores)
    else:
        assert {stored % stores, single % stores} == {0}
        assert stores <= stored <= 4 * stores
        assert stores <= single <= 4 * stores
        assert loaded <= stored // stores * loads
    assert not re.findall(r"\b(?:ld|st)\.(?!global|param)\w+", text), "memory that is neither global nor a parameter"
    assert ".local" not in text, "registers did not suffice, or an array was indexed"


def check_arithmetic(text: str, dtype: str) -> None:
    """Each operation rounds by itself and to nearest, nothing flushes denormals, and there is no other precision."""
    for line in text.splitlines():
        found = re.match(r"\s*(?:@!?%p\d+\s+)?((?:add|sub|mul|div|sqrt|fma|mad|rcp|rsqrt|ex2|lg2|cvt)\.[\w.]*f(?:16|32|64)\b)", line)
        if found is not None:
            assert re.fullmatch(rf"(add|mul|div|sqrt)\.rn\.f{dtype[5:]}", found[1]), line
    assert "fma." not in text
    assert ".ftz" not in text
    assert ".approx" not in text
    assert "call" not in text
    other = {"float32": "f64", "float64": "f32"}[dtype]
    assert not re.search(rf"\.{other}\b", text)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_with_every_stage_has_the_bits_of_the_oracle(dtype: str) -> None:
    own = kernel("momentum", True, dtype, **dict.fromkeys(Stages._fields[1:], True))
    assert_bits_of_the_oracle(own, stage_cases(own.rule)[0])


@pytest.mark.parametrize(("name", "coupled", "dtype"), KERNELS)
def test_the_compiled_kernel_has_the_bits_of_the_oracle(name: str, coupled: bool, dtype: str) -> None:
    """Tensors of awkward lengths in one launch, more rows than blocks, values of note; streams that lie alike, with scalars by value,
    and streams that do not, with scalars from memory, or the other way round.
    """
    assert_bits_of_the_oracle(kernel(name, coupled, dtype), cases(RULES[name])[1 if coupled else 2])


def assert_bits_of_the_oracle(own: Kernel, case: Case) -> None:
    rule, dtype, coupled = own.rule, own.compute, own.stages.coupled
    program, rng = Program(ptx_of(own)), np.random.default_rng(5)
    lengths = (0, 1, 3, 4, 5, 63, 64, 1023, 1024, 1025, 3001)
    for offset in (0, 1, 2):
        from_memory = (offset == 1) != coupled
        streams = [[a.copy() for a in awkward_arrays(lengths, dtype, rng, True)] for _ in own.storages]
        for state in streams[2:]:
            for values in state:
                np.abs(values, out=values)
        expected = after_one_step(rule.name, streams, case)
        settings = settings_of(rule, case)
        with np.errstate(all="ignore"):
            scalars = np.array(Slot(rule, settings, 6).all_scalars(case.grad_scale, 1.0, False), dtype)
        if not from_memory:
            launch(program, streams, cut(lengths, 1024), scalars, offsets=(offset,))
        else:
            table = np.stack([np.full_like(scalars, np.nan), scalars])
            launch(program, streams, cut(lengths, 1024), table, offsets=(offset,), slots=[1] * len(lengths))
        for found, wanted in zip(streams, expected, strict=True):
            assert max(ulp_distance(a, b) for a, b in zip(found, wanted, strict=True)) == 0


def settings_of(rule: Rule, case: Case) -> Settings:
    return Family.of(rule).settle({"lr": 0.01, **case.options}).settings


def after_one_step(name: str, streams: list[list[Any]], case: Case, step: int = 7) -> list[list[Any]]:
    import fastopt

    after = [[a.copy() for a in stream] for stream in streams]
    for arrays in zip(*after, strict=True):
        fastopt.functional.apply(name, *arrays, step=step, lr=0.01, grad_scale=case.grad_scale, backend="numpy", **case.options)
    return after


@pytest.mark.parametrize("start", [2**31, 2**32 + 1024, 2**40])
def test_indices_have_64_bits(start: int) -> None:
    """A row far behind 2^31 elements, in a stream that is said to begin as far before the memory that its elements lie in."""
    p, g = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    program = Program(ptx_of(kernel("sgd", False, "float32")))
    launch(program, [[p], [g]], np.array([[0, start, 5]]), np.array([0.5, 1.0, 1.0], np.float32), shift=start)
    assert p.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]


MUTATIONS = [
    pytest.param("+ row * 24)", "+ row * 16)", "bits", id="rows read at the wrong distance"),
    pytest.param("+ start * 4\n", "+ start * 8\n", "bits", id="a stream begins at the wrong element"),
    pytest.param("(1 * tensors + tensor)", "(1 * tensors)", "bits", id="the gradient of another tensor"),
    pytest.param("element = i + (vectors << 2)", "element = i + (vectors << 1)", "bits", id="the tail at the wrong place"),
    pytest.param("while element < end", "while element + 4 < end", "bits", id="a vector left out"),
    pytest.param("(p__at >> 2 ^ g__at >> 2) | ", "", "bits", id="vectors that are not aligned"),
    pytest.param("if slot < 0", "if slot < -1", "bits", id="a tensor that should be left alone"),
    pytest.param("(5 * tensors + tensor)", "(5 * tensors)", "bits", id="the slot of another tensor"),
    pytest.param("slot * 48", "slot * 44", "bits", id="the scalars of another slot"),
    pytest.param("while row < rows", "while row < rows - 1", "bits", id="the last row left out"),
    pytest.param("multiply(beta1_, m_0)", "multiply(beta1_, m_1)", "bits", id="a lane reads another's value"),
    pytest.param("add(multiply(beta2_, v_2)", "subtract(multiply(beta2_, v_2)", "bits", id="a wrong operation in one lane"),
    pytest.param("new_m_3 = m_3", "new_m_3 = g_3", "bits", id="a wrong state in one lane"),
    pytest.param("multiply(beta1_, m_)", "beta1_ * m_", "arithmetic", id="an operator in the place of a call"),
    pytest.param("v_0 = add(multiply(beta2_, v_0)", "v_0 = add(beta2_ * v_0", "arithmetic", id="the same in a vector"),
    pytest.param("= load_4_float32(p__at + element * 4)", "= SCALARS", "memory", id="four scalar loads"),
]


@pytest.mark.long
@pytest.mark.parametrize(("before", "after", "seen_by"), MUTATIONS)
def test_a_kernel_that_is_broken_is_seen(before: str, after: str, seen_by: str) -> None:
    """The checks above, turned on kernels with one mistake each."""
    own = kernel("adam", False, "float32")
    text, body = source(own), own.body
    assert before in text
    after = after.replace("SCALARS", ", ".join(f"load_float32(p__at + element * 4 + {4 * lane})" for lane in range(4)))
    broken = ptx(text.replace(before, after), own.name, own.scalar_count, "float32", (9, 0))
    if seen_by == "memory":
        with pytest.raises(AssertionError):
            check_memory(broken, len(body.streams), len(body.written), "float32")
        return
    if seen_by == "arithmetic":
        with pytest.raises(AssertionError):
            check_arithmetic(broken, "float32")
        return
    with pytest.raises((IndexError, AssertionError)):
        check_bits(broken)


def test_a_kernel_that_is_whole_is_not() -> None:
    """Lest what fails above be the launch."""
    check_bits(ptx_of(kernel("adam", False, "float32")))


def check_bits(text: str) -> None:
    """Streams that lie alike, at the beginning of a vector and not; and streams that do not."""
    for offsets in ((0,), (1,), (0, 1, 0, 0), (0, 0, 1, 0)):
        assert distance_of_a_launch(text, offsets) == 0


def distance_of_a_launch(text: str, offsets: tuple[int, ...]) -> int:
    """How far Adam's kernel is from the oracle, in ULP, over tensors with states of ordinary values: of two slots, and of none."""
    rng = np.random.default_rng(5)
    lengths, slots = (70, 301, 40, 9), [0, 1, -1, 1]
    streams = [[np.abs(a) for a in awkward_arrays(lengths, np.float32, rng, False)] for _ in range(4)]
    expected = [after_one_step("adam", streams, Case("defaults", {}), step) for step in (7, 3)] + [streams]
    wanted = [[expected[slot][s][t].copy() for t, slot in enumerate(slots)] for s in range(4)]
    settings = Settings(0.01, dict(RULES["adam"].defaults))
    table = np.array([Slot(RULES["adam"], settings, step - 1).all_scalars(1.0, 1.0, False) for step in (7, 3)], np.float32)
    launch(Program(text), streams, cut(lengths, 128), table, offsets=offsets, blocks=2, threads=32, slots=slots)
    return max(ulp_distance(a, b) for found, own in zip(streams, wanted, strict=True) for a, b in zip(found, own, strict=True))
