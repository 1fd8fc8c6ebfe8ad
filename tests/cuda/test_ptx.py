"""The kernels as a GPU gets them: compiled to PTX with no GPU at hand, read line by line, and run on a machine that knows PTX."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt.crosscheck import Case, awkward_arrays, cases, ulp_distance
from fastopt.cuda.driver.kernels import for_older_drivers
from fastopt.cuda.worklist import cut
from fastopt.rules.entry import RULES
from fastopt.settings import Settings
from fastopt.transcribe import loop_body
from tests.cuda.kernels import launch, needs_compiler, ptx, ptx_of, source
from tests.cuda.ptx_machine import Program

KERNELS = [
    pytest.param(name, coupled, dtype, id=f"{name}{'_l2' if coupled else ''}-{dtype}")
    for name in RULES
    for coupled in (False, True)
    for dtype in ("float32", "float64")
]


@pytest.fixture(autouse=True)
def _compiler() -> None:
    needs_compiler()


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize(("name", "coupled", "dtype"), KERNELS)
def test_what_a_kernel_is_made_of(name: str, coupled: bool, dtype: str, capability: tuple[int, int]) -> None:
    text = ptx_of(name, coupled, dtype, capability)
    body = loop_body(RULES[name], coupled)
    assert f".target sm_{capability[0]}{capability[1]}" in text
    assert re.search(r"\.maxntid\s+256, 1, 1", text)
    check_memory(text, len(body.streams), len(body.written), dtype)
    check_arithmetic(text, dtype)
    kinds = re.findall(r"\.param \.(\w+) \w+_param_\d+", text)
    assert kinds == ["u64"] * 5 + [{"float32": "f32", "float64": "f64"}[dtype]] * len(body.scalars)


@pytest.mark.parametrize(("capability", "version"), [((8, 0), "7.0"), ((9, 0), "7.8")])
def test_any_driver_that_knows_the_gpu_takes_the_kernels(capability: tuple[int, int], version: str) -> None:
    """The compiler writes its own version, which an older driver refuses; the text needs no newer one than its target."""
    text = ptx_of("adam", False, "float32", capability)
    assert re.findall(r"^\.version (.*)$", text, re.MULTILINE) == [version]
    assert for_older_drivers(".version 9.5\n.target sm_999", (99, 9)) == ".version 9.5\n.target sm_999"


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_the_assembler_takes_them_and_registers_suffice(capability: tuple[int, int], tmp_path: Path) -> None:
    """Where NVIDIA's assembler is at hand, as on machines with the whole toolkit."""
    assembler = shutil.which("ptxas")
    if assembler is None:
        pytest.skip("ptxas is not on the path")
    for name in RULES:
        for coupled, dtype in itertools.product((False, True), ("float32", "float64")):
            (tmp_path / "kernel.ptx").write_text(ptx_of(name, coupled, dtype, capability))
            command = [assembler, "-v", f"-arch=sm_{capability[0]}{capability[1]}", "kernel.ptx", "-o", "kernel.cubin"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in done.stderr
            registers = int(re.findall(r"Used (\d+) registers", done.stderr)[0])
            assert registers <= 96, f"{name}, {dtype}: {registers} registers leave too few threads to a multiprocessor"


def check_memory(text: str, loads: int, stores: int, dtype: str) -> None:
    """Every stream is moved in vectors of 16 bytes, once, and in single elements once, for what is before and behind them."""
    kind = {"float32": "v4.f32", "float64": "v2.f64"}[dtype]
    assert text.count(f"ld.global.{kind}") == loads
    assert text.count(f"st.global.{kind}") == stores
    assert len(re.findall(rf"st\.global\.{kind[3:]}\s", text)) == stores
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


@pytest.mark.parametrize("from_memory", [False, True], ids=["scalars by value", "scalars from memory"])
@pytest.mark.parametrize(("name", "coupled", "dtype"), KERNELS)
def test_the_compiled_kernel_has_the_bits_of_the_oracle(name: str, coupled: bool, dtype: str, from_memory: bool) -> None:
    """Tensors of awkward lengths in one launch, more rows than blocks, values of note, streams that lie alike and that do not."""
    rule = RULES[name]
    case = cases(rule)[1 if coupled else 2]
    program, rng = Program(ptx_of(name, coupled, dtype)), np.random.default_rng(5)
    lengths = (0, 1, 3, 4, 5, 63, 64, 1023, 1024, 1025, 3001)
    for offset in (0, 8):
        streams = [[a.copy() for a in awkward_arrays(lengths, dtype, rng, True)] for _ in range(2 + len(rule.states))]
        for state in streams[2:]:
            for values in state:
                np.abs(values, out=values)
        expected = after_one_step(name, streams, case)
        settings = Settings(0.01, {**rule.defaults, **hyperparameters_of(case)}, **common_of(case))
        with np.errstate(all="ignore"):
            scalars = np.array(settings.scalars(rule, 7, case.grad_scale), dtype)
        launch(program, streams, cut(lengths, 1024), scalars, offsets=(offset,), from_memory=from_memory)
        for found, wanted in zip(streams, expected, strict=True):
            assert max(ulp_distance(a, b) for a, b in zip(found, wanted, strict=True)) == 0


def hyperparameters_of(case: Case) -> dict[str, Any]:
    return {name: value for name, value in case.options.items() if name not in ("weight_decay", "decoupled_weight_decay", "maximize")}


def common_of(case: Case) -> dict[str, Any]:
    options = case.options
    return {"weight_decay": options.get("weight_decay", 0.0), "decoupled": options.get("decoupled_weight_decay", False)}


def after_one_step(name: str, streams: list[list[Any]], case: Case) -> list[list[Any]]:
    import fastopt

    after = [[a.copy() for a in stream] for stream in streams]
    for arrays in zip(*after, strict=True):
        fastopt.functional.apply(name, *arrays, step=7, lr=0.01, grad_scale=case.grad_scale, backend="numpy", **case.options)
    return after


@pytest.mark.parametrize("start", [2**31, 2**32 + 1024, 2**40])
def test_indices_have_64_bits(start: int) -> None:
    """A row far behind 2^31 elements, in a stream that is said to begin as far before the memory that its elements lie in."""
    p, g = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    program = Program(ptx_of("sgd", False, "float32"))
    launch(program, [[p], [g]], np.array([[0, start, 5]]), np.array([0.5, 1.0, 1.0], np.float32), shift=start)
    assert p.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]


MUTATIONS = [
    pytest.param("+ row * 24)", "+ row * 16)", "bits", id="rows read at the wrong distance"),
    pytest.param("+ start * 4\n", "+ start * 8\n", "bits", id="a stream begins at the wrong element"),
    pytest.param("(1 * tensors + tensor)", "(1 * tensors)", "bits", id="the gradient of another tensor"),
    pytest.param("element = i + (vectors << 2)", "element = i + (vectors << 1)", "bits", id="the tail at the wrong place"),
    pytest.param("while i < vectors", "while i + 1 < vectors", "bits", id="a vector left out"),
    pytest.param("& 15 == 0", "& 3 == 0", "bits", id="vectors that are not aligned"),
    pytest.param("while row < rows", "while row < rows - 1", "bits", id="the last row left out"),
    pytest.param("multiply(beta1_, m_0)", "multiply(beta1_, m_1)", "bits", id="a lane reads another's value"),
    pytest.param("add(multiply(beta2_, v_2)", "subtract(multiply(beta2_, v_2)", "bits", id="a wrong operation in one lane"),
    pytest.param("new_m_3 = m_3", "new_m_3 = g_3", "bits", id="a wrong state in one lane"),
    pytest.param("multiply(beta1_, m_)", "beta1_ * m_", "arithmetic", id="an operator in the place of a call"),
    pytest.param("v_0 = add(multiply(beta2_, v_0)", "v_0 = add(beta2_ * v_0", "arithmetic", id="the same in a vector"),
    pytest.param("= load_vector_float32(p__at + offset)", "= SCALARS", "memory", id="four scalar loads"),
]


@pytest.mark.parametrize(("before", "after", "seen_by"), MUTATIONS)
def test_a_kernel_that_is_broken_is_seen(before: str, after: str, seen_by: str) -> None:
    """The checks above, turned on kernels with one mistake each."""
    body, text = source(RULES["adam"], False, "float32")
    assert before in text
    after = after.replace("SCALARS", ", ".join(f"load_float32(p__at + offset + {4 * lane})" for lane in range(4)))
    broken = ptx(text.replace(before, after), body.name, len(body.scalars), "float32", (9, 0))
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
    check_bits(ptx_of("adam", False, "float32"))


def check_bits(text: str) -> None:
    """Streams that lie alike, at the beginning of a vector and not; and streams that do not."""
    for offsets in ((0,), (4,), (0, 4, 0, 0)):
        assert distance_of_a_launch(text, offsets) == 0


def distance_of_a_launch(text: str, offsets: tuple[int, ...]) -> int:
    """How far Adam's kernel is from the oracle, in ULP, over a few tensors with states of ordinary values."""
    rng = np.random.default_rng(5)
    streams = [[np.abs(a) for a in awkward_arrays((70, 301, 9), np.float32, rng, False)] for _ in range(4)]
    expected = after_one_step("adam", streams, Case("defaults", {}))
    scalars = np.array(Settings(0.01, dict(RULES["adam"].defaults)).scalars(RULES["adam"], 7, 1.0), np.float32)
    launch(Program(text), streams, cut([70, 301, 9], 128), scalars, offsets=offsets, blocks=2, threads=32)
    return max(ulp_distance(a, b) for found, wanted in zip(streams, expected, strict=True) for a, b in zip(found, wanted, strict=True))
