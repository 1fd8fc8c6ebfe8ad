"""The compiled kernels are vector code: packed instructions of the full width, in their own dtype, and never an FMA.

Read from the machine code itself: what Numba's LLVM emits for this CPU, and `objdump` of the built extensions. What a
kernel must hold follows from its rule's text: a rule with a root needs a packed root, and so on.
"""

from __future__ import annotations

import ast
import platform
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest

from fastopt.backends import cython_backend, cython_build
from fastopt.rules.entry import RULES, Rule
from fastopt.stages import Stages
from fastopt.storage import STORAGES
from fastopt.transcribe import LoopBody, loop_body
from tests.conftest import AVAILABLE, a_compiler_at_hand, needed
from tests.kernels import is_first_of_its_kind, kernel

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="the instructions looked for are those of x86-64"
)

BODIES = [pytest.param(rule, coupled, id=rule.name + "_l2" * coupled) for rule in RULES.values() for coupled in (False, True)]
DTYPES = ("float32", "float64")
SUFFIX = {"float32": "ps", "float64": "pd"}

FMA = re.compile(r"\bvfn?m(add|sub)\w*")
IN_DOUBLE = re.compile(r"\bv?((add|sub|mul|div|sqrt|max|min)(pd|sd)|cvt(ss2sd|ps2pd|sd2ss|pd2ps)\w*)\b")
"""Arithmetic in float64, and the conversions that betray it. Moves and masks of 8 bytes may be spelled `pd` at any time."""


def operations(body: LoopBody) -> set[str]:
    """Which packed instructions the arithmetic of a loop body asks for."""
    found = {"mul"}  # every kernel scales its gradient
    for _, value in body.lines:
        for node in ast.walk(value):
            if isinstance(node, ast.Div):
                found.add("div")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sqrt":
                found.add("sqrt")
    return found


def check(code: str, body: LoopBody, dtype: str, registers: tuple[str, ...]) -> None:
    """Asserts that machine code in AT&T's syntax is what it should be; `registers` are the widths that will do."""
    assert code, "no machine code was found"
    for operation in operations(body):
        packed = rf"\bv?{operation}{SUFFIX[dtype]}\b[^\n]*%({'|'.join(registers)})\d"
        assert re.search(packed, code), f"no {operation}{SUFFIX[dtype]} on {' or '.join(registers)} registers"
    fused = FMA.search(code)
    assert fused is None, f"{fused and fused.group()} rounds once where the rule rounds twice"
    if dtype == "float32":
        double = IN_DOUBLE.search(code)
        assert double is None, f"{double and double.group()} in a float32 kernel"


def numba_registers() -> tuple[str, ...]:
    """The widths that LLVM takes on this CPU: 512 bits with AVX-512 on AMD's, 256 by preference on most of Intel's."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return ("zmm",) if binding.get_host_cpu_name().startswith("znver") else ("zmm", "ymm")
    return ("ymm",) if features.get("avx") else ("xmm",)


@pytest.mark.parametrize(
    ("rule", "coupled", "dtype"),
    [
        pytest.param(rule, coupled, dtype, id=f"{rule.name}-{coupled}-{dtype}")
        for rule in RULES.values()
        for coupled, dtype in ((True, "float32"), (False, "float64"))
        if dtype == "float32" or is_first_of_its_kind(rule)
    ],
)
def test_numba(rule: Rule, coupled: bool, dtype: str) -> None:
    """The C function that the launcher calls. What Numba finds on disk has no assembly with it, and is compiled anew.

    That takes time. So of every rule the kernel that does most, in float32, where more can go wrong, and of a rule of so many states
    another; and this file comes first by its name, so that what it compiles on a new machine is kept for the tests that come after.
    """
    needed("numba")
    from fastopt.backends import numba_backend, numba_source

    own = kernel(rule, coupled, dtype)
    module: Any = numba_backend.module_of(own)
    numba_backend._address(module)
    if module.entries["kernel"].cache_hits:
        module = numba_backend._executed(f"vectorized_{own.name}", numba_source.kernel_source(own, cache=False))
        numba_backend._address(module)
    check(module.entries["kernel"]._library.get_asm_str(), own.body, dtype, numba_registers())


@pytest.mark.parametrize(
    "storages", [("float32", "float32", "bfloat16"), ("bfloat16",) * 3, ("float32", "float32", "float16"), ("float16",) * 3]
)
def test_narrow_storage_in_numba(storages: tuple[str, str, str]) -> None:
    """Conversions are vector code too, in 32 bits."""
    needed("numba")
    from fastopt.backends import numba_backend, numba_source

    own = kernel("adam", False, *storages)
    module: Any = numba_backend._executed(f"vectorized_{own.name}", numba_source.kernel_source(own, cache=False))
    check(module.compiled()._library.get_asm_str(), own.body, "float32", numba_registers())


@pytest.mark.parametrize("dtype", DTYPES)
def test_stages_in_numba(dtype: str) -> None:
    needed("numba")
    from fastopt.backends import numba_backend, numba_source

    own = kernel("adam", True, dtype, **dict.fromkeys(Stages._fields[1:], True))
    module: Any = numba_backend._executed(f"vectorized_{own.name}", numba_source.kernel_source(own, cache=False))
    check(module.compiled()._library.get_asm_str(), own.body, dtype, numba_registers())


@pytest.mark.parametrize("dtype", DTYPES)
def test_stages_in_cython(dtype: str) -> None:
    """Compiled when they are first used, for this CPU."""
    needed("cython")
    a_compiler_at_hand()
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    own = kernel("adam", True, dtype, **dict.fromkeys(Stages._fields[1:], True))
    symbols = _disassembled(cython_backend._compiled_now(own.rule, cython_backend._at_once(own)).__file__)
    code = "\n".join(text for symbol, text in symbols.items() if re.search(rf"_{re.escape(own.name)}(_row)?(\.\w+)*$", symbol))
    check(code, own.body, dtype, (REGISTERS[cython_backend.isa()],))


REGISTERS = {"baseline": "xmm", "v3": "ymm", "v4": "zmm"}


@cache
def disassembled(isa: str) -> dict[str, str]:
    """The code of each symbol of a built extension."""
    from importlib.util import find_spec

    spec = find_spec(f"fastopt.backends._kernels_{isa}")
    assert spec is not None
    assert spec.origin is not None
    return _disassembled(spec.origin)


def _disassembled(path: Any) -> dict[str, str]:
    command = ["objdump", "-d", "--no-show-raw-insn", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^[0-9a-f]+ <([^>]+)>:$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def kernel_code(isa: str, name: str) -> str:
    """The code of a kernel, with that of the kernel it jumps into where gcc found two of them to be the same."""
    symbols = disassembled(isa)
    own = [symbol for symbol in symbols if re.search(rf"_kernels_{re.escape(name)}(_row)?(\.\w+)*$", symbol)]
    for symbol in own:
        for target in re.findall(r"\b(?:jmp|call)\s+[0-9a-f]+ <(__pyx_f_[^>+]+)>", symbols[symbol]):
            if target not in own:
                own.append(target)
    return "\n".join(symbols[symbol] for symbol in own)


@pytest.mark.parametrize("isa", list(cython_build.ISA_FLAGS))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rule", "coupled"), BODIES)
def test_cython(rule: Rule, coupled: bool, dtype: str, isa: str) -> None:
    """Every build, also those that this CPU could not run."""
    needed("cython")
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    if isa not in cython_backend.build_report()["isas"]:
        pytest.skip(f"the compiler that built fastopt does not know {cython_build.ISA_FLAGS[isa]}")
    own = kernel(rule, coupled, dtype)
    check(kernel_code(isa, own.name), own.body, dtype, (REGISTERS[isa],))


@pytest.mark.parametrize("isa", list(cython_build.ISA_FLAGS))
@pytest.mark.parametrize("storage", list(STORAGES))
def test_squares_in_cython(storage: str, isa: str) -> None:
    needed("cython")
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    if isa not in cython_backend.build_report()["isas"]:
        pytest.skip(f"the compiler that built fastopt does not know {cython_build.ISA_FLAGS[isa]}")
    code = kernel_code(isa, f"squares_of_{storage}")
    assert re.search(r"\bv?mulpd\b", code), "squares are taken one by one"
    assert FMA.search(code) is None


def test_the_build_for_this_cpu_is_the_widest_it_can_run() -> None:
    needed("cython")
    level = cython_backend.launched.launcher().ISA_LEVEL
    built = cython_backend.build_report()["isas"]
    expected = {4: "v4", 3: "v3", 0: "baseline"}[level]
    if expected in built:
        assert cython_backend.isa() == expected
    if AVAILABLE["numba"] is True:  # two ways to ask the CPU
        from llvmlite import binding

        features = binding.get_host_cpu_features()
        assert (level == 4) == all(features.get(name) for name in ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"))
        assert (level >= 3) == all(features.get(name) for name in ("avx2", "bmi", "bmi2", "fma"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("vmulps %zmm1,%zmm2,%zmm3\nvsqrtps %zmm1,%zmm2\nvdivps %zmm1,%zmm2,%zmm3\n", None),
        ("vmulps %ymm1,%ymm2,%ymm3\nvsqrtps %ymm1,%ymm2\nvdivps %ymm1,%ymm2,%ymm3\n", "no .* on zmm registers"),
        ("vmulss %zmm1\nvsqrtss %xmm1\nvdivss %xmm1\n", "no .* on zmm registers"),
        ("vmulps %zmm1\nvsqrtps %zmm1\nvdivps %zmm1\nvfmadd213ps %zmm1\n", "rounds once where the rule rounds twice"),
        ("vmulps %zmm1\nvsqrtps %zmm1\nvdivps %zmm1\nvfnmsub231ps %zmm1\n", "rounds once"),
        ("vmulps %zmm1\nvsqrtps %zmm1\nvdivps %zmm1\nvcvtss2sd %xmm1\n", "vcvtss2sd in a float32 kernel"),
        ("vmulps %zmm1\nvsqrtps %zmm1\nvdivps %zmm1\nvaddpd %zmm1\n", "vaddpd in a float32 kernel"),
        ("", "no machine code was found"),
    ],
)
def test_the_check_sees_what_it_looks_for(code: str, words: str | None) -> None:
    body = loop_body(RULES["adam"])
    assert operations(body) == {"mul", "div", "sqrt"}
    if words is None:
        check(code, body, "float32", ("zmm",))
    else:
        with pytest.raises(AssertionError, match=words):
            check(code, body, "float32", ("zmm",))


@pytest.mark.parametrize("storage", STORAGES)
def test_squares_in_numba(storage: str) -> None:
    needed("numba")
    from fastopt.backends import numba_backend, numba_source

    module: Any = numba_backend._executed(f"vectorized_squares_{storage}", numba_source.squares_source(STORAGES[storage], cache=False))
    code = module.compiled()._library.get_asm_str()
    assert re.search(rf"\bv?mulpd\b.*%{numba_registers()[-1][0]}mm", code), "squares are taken one by one"
