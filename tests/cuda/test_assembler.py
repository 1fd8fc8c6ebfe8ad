"""NVIDIA's assembler, where it is at hand, as on machines with the whole toolkit: it takes the kernels, and what they keep where."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fastopt.kernel import Kernel, kernel_of
from fastopt.rules.entry import RULES
from fastopt.stages import PLAIN
from tests.cuda.kernels import kernel, needs_compiler, ptx_of
from tests.cuda.narrow import COMBINATIONS
from tests.cuda.test_ptx import FOR_A_TARGET

pytestmark = pytest.mark.long

CODES = ("signed8", "unsigned8")
BY_BLOCKS = [
    ("adam", "float32", "float32", CODES),
    ("adam", "split32", "bfloat16", CODES),
    ("adam", "drawn_split24", "bfloat16", CODES),
    ("momentum", "float32", "float32", CODES[:1]),
    ("adan", "float32", "float32", (CODES[0], *CODES, CODES[0])),
]
"""Rules, and the storages of parameters, gradients and states."""


@pytest.fixture
def assembler() -> str:
    needs_compiler()
    found = shutil.which("ptxas")
    if found is None:
        pytest.skip("ptxas is not on the path")
    return found


def assembled(assembler: str, own: Kernel, capability: tuple[int, int], folder: Path) -> tuple[int, int]:
    """A kernel's registers, and the bytes of those that it puts aside."""
    (folder / "kernel.ptx").write_text(ptx_of(own, capability))
    command = [assembler, "-v", f"-arch=sm_{capability[0]}{capability[1]}", "kernel.ptx", "-o", "kernel.cubin"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return int(re.findall(r"Used (\d+) registers", done.stderr)[0]), int(re.findall(r"(\d+) bytes stack frame", done.stderr)[0])


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_registers_suffice(assembler: str, capability: tuple[int, int], tmp_path: Path) -> None:
    # forms of one text take registers as their first one does
    alike = [kernel(*given.values) for given in FOR_A_TARGET[capability] if RULES[given.values[0]].is_first_form]
    narrow = [kernel("adam", True, *storages) for storages in COMBINATIONS if capability == (9, 0)]
    for own in (*alike, *narrow):
        registers, aside = assembled(assembler, own, capability, tmp_path)
        # what people use most stays in registers; for others, and for eight elements to a vector, a few bytes are put aside to stay within
        # a number of registers where more threads fit
        allowed = 0 if own in alike and own.rule.name in ("sgd", "momentum", "adam") else 32
        assert aside <= allowed, f"{own.name} spills"
        most = 96 if len(own.rule.states) < 4 else 112
        assert registers <= most, f"{own.name}: {registers} registers leave too few threads to a multiprocessor"


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize(("name", "parameter", "gradient", "states"), BY_BLOCKS)
def test_registers_of_a_block_suffice(
    assembler: str, capability: tuple[int, int], name: str, parameter: str, gradient: str, states: tuple[str, ...], tmp_path: Path
) -> None:
    """A thread has eight elements of a block at once: two blocks of threads fit a multiprocessor, or one of a rule with many states."""
    own = kernel_of(RULES[name], PLAIN, parameter, gradient, states)
    registers, aside = assembled(assembler, own, capability, tmp_path)
    assert aside == 0
    assert registers <= (128 if len(states) < 4 else 192)
