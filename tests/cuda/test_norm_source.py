"""The kernels of the global norm, as a GPU gets them: on the machine that knows PTX, and with one mistake each."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt import global_norm
from fastopt.cuda.driver.kernels import ptx_of
from fastopt.cuda.norm_source import clip_source, fold_source, squares_source
from fastopt.cuda.source import PRIMITIVES
from fastopt.cuda.worklist import cut
from fastopt.storage import STORAGES
from tests.cuda.heap import Heap
from tests.cuda.kernels import needs_compiler
from tests.cuda.narrow import arrays_of
from tests.cuda.ptx_machine import Program

INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)

SOURCES = {
    **{f"squares_{name}": (squares_source(storage, PRIMITIVES)[0], (INT64,) * 6) for name, storage in STORAGES.items()},
    "fold": (fold_source(PRIMITIVES)[0], (INT64,) * 3),
    **{f"clip_{name}": (clip_source(name, PRIMITIVES)[0], (INT64,) * 3 + (FLOAT64,) * 2 + (INT64,) * 3) for name in ("float32", "float64")},
}


@pytest.fixture(autouse=True)
def _compiler() -> None:
    needs_compiler()


def ptx(name: str, capability: tuple[int, int] = (9, 0), text: str | None = None) -> str:
    return ptx_of(SOURCES[name][0] if text is None else text, name, SOURCES[name][1], capability)


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("name", list(SOURCES))
def test_what_a_kernel_is_made_of(name: str, capability: tuple[int, int], tmp_path: Path) -> None:
    text = ptx(name, capability)
    for line in text.splitlines():
        found = re.match(r"\s*((?:add|sub|mul|div|sqrt|fma|mad|rcp|rsqrt|cvt)\.[\w.]*f(?:16|32|64)\b[\w.]*)", line)
        exact = r"cvt\.f64\.f32|cvt\.rn\.f32\.(f64|s32)|mul\.rn\.f32"  # the last two are float16's, into float32
        assert found is None or re.fullmatch(rf"(add|mul|div|sqrt)\.rn\.f64|{exact}", found[1]), line
    assert not re.search(r"fma\.|\.ftz|\.approx|call|\.local", text)
    assert not re.findall(r"\b(?:ld|st)\.(?!global|param)\w+", text)
    if shutil.which("ptxas"):
        (tmp_path / "kernel.ptx").write_text(text)
        command = ["ptxas", "-v", f"-arch=sm_{capability[0]}{capability[1]}", "kernel.ptx", "-o", "kernel.cubin"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "0 bytes stack frame" in done.stderr


def norm_and_factors(gradients: list[Any], storage: str, changed: dict[str, str], options: dict[str, Any]) -> tuple[float, list[float]]:
    """What the kernels make of gradients: the norm, and the factors of two slots, along the gradients and against them.

    `changed` are texts to take in the place of a kernel's own. The first two tensors have gradients, the third has none.
    """
    heap, rows = Heap(1 << 23), cut([len(g) for g in gradients], 1024)
    programs = {name: Program(ptx(name, text=changed.get(name))) for name in (f"squares_{storage}", "fold", "clip_float32")}

    def placed(values: Any) -> int:
        address = heap.allocate(max(values.nbytes, 1))
        heap.view(address, values.nbytes)[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return address

    blocks = [-(-len(g) // 256) for g in gradients]
    streams = np.zeros((5, len(gradients)), np.int64)
    streams[1] = [placed(g) for g in gradients]
    streams[3], streams[4] = np.cumsum([0, *blocks[:-1]]), [0, 1, -1]
    counts = [sum(blocks)]
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // 256))
    places = [placed(np.full(8 * count, np.nan)) for count in (counts[0], counts[min(1, len(counts) - 1)])]
    arguments = placed(streams), len(gradients), placed(rows), len(rows), len(streams), places[0]
    programs[f"squares_{storage}"].run(heap, 3, 32, arguments)
    for count, sums in pairwise(counts):
        programs["fold"].run(heap, -(-8 * sums // 64) if sums < 8 else 2, 64, (places[0], count, places[1]))
        places.reverse()
    norm, scale = placed(np.zeros(1)), placed(np.array([options["grad_scale"]]))
    table = np.array([[0.5, np.nan, 1.0, 1.0], [0.25, np.nan, 1.0, -1.0]], np.float32)
    table_at = placed(table)
    programs["clip_float32"].run(heap, 1, 32, (places[0], norm, scale, options["max_norm"], np.nan, table_at, 3, 2))
    found = heap.view(table_at, table.nbytes).view(np.float32).reshape(table.shape)
    assert np.array_equal(found[:, [0, 2, 3]], table[:, [0, 2, 3]])
    return float(heap.view(norm, 8).view(np.float64)[0]), found[:, 1].tolist()


def as_on_the_host(gradients: list[Any], storage: str, options: dict[str, Any]) -> tuple[float, list[float]]:
    norm = global_norm.global_norm([STORAGES[storage].decode(g) for g in gradients[:2]]) / options["grad_scale"]
    clip = 1.0 if norm <= options["max_norm"] else options["max_norm"] / norm
    return norm, [float(np.float32(direction * clip / options["grad_scale"])) for direction in (1.0, -1.0)]


def gradients_of(storage: str, lengths: tuple[int, ...] = (70_003, 1271, 300), seed: int = 0) -> list[Any]:
    return arrays_of(lengths, storage, np.random.default_rng(seed), special=False)


@pytest.mark.parametrize("storage", list(STORAGES))
@pytest.mark.parametrize("lengths", [(70_003, 1030, 300), (1, 0, 0), (255, 257, 5), (65_536, 0, 5), (65_280, 1, 0)], ids=str)
def test_the_compiled_kernels_have_the_bits_of_the_oracle(storage: str, lengths: tuple[int, ...]) -> None:
    for options in ({"grad_scale": 1.0, "max_norm": 0.7}, {"grad_scale": 3.1, "max_norm": 1e9}):
        gradients = gradients_of(storage, lengths)
        assert norm_and_factors(gradients, storage, {}, options) == as_on_the_host(gradients, storage, options)


MUTATIONS = [
    ("squares_float32", "(part >> 3 << 8) + (part & 7)", "(part >> 3 << 8) + (part & 3)"),
    ("squares_float32", "if element + 248 < length", "if element + 240 < length"),
    ("squares_float32", "+ (start >> 8)", "+ (start >> 9)"),
    ("squares_float32", "if slot < 0:", "if slot < -1:"),
    ("squares_float32", "if element + 248 < length", "if element < length"),
    ("squares_float32", "(length + 255) >> 8", "length >> 8"),
    ("squares_float32", "high = add(high, multiply(x, x))\n                element = length", "element = length"),
    ("squares_float32", "low = add(low, multiply(x, x))\n                x = float64_of_float32(x1)", "x = float64_of_float32(x1)"),
    ("squares_float32", "add(low, high))", "low)"),
    ("squares_float32", "element += 8\n                if", "element += 16\n                if"),
    ("fold", "if end > count:\n            end = count", "if end > count:\n            end = count - 1"),
    ("fold", "w0 = add(w0, w4)\n            w1", "w0 = add(w0, w5)\n            w1"),
    ("fold", "high = add(high, whole)", "low = add(low, whole)"),
    ("fold", "+ (part & 7)", "+ (part & 6)"),
    ("clip_float32", "norm <= max_norm", "norm >= max_norm"),
    ("clip_float32", "divide(sqrt(whole), scale)", "sqrt(divide(whole, scale))"),
    ("clip_float32", "multiply(direction, factor)", "factor"),
    ("clip_float32", "(slot * (scalars + 1) + scalars)", "(slot * scalars + scalars)"),
    ("clip_float32", "at - 8", "at - 4"),
    ("clip_float32", "if scale_at != 0", "if scale_at == 1"),
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "before", "after"), MUTATIONS)
def test_a_kernel_that_is_broken_is_seen(name: str, before: str, after: str) -> None:
    text = SOURCES[name][0]
    assert before in text
    storage = "float32" if "float32" in name else "float64"  # sums of the squares of float32 are often exact, whatever their order
    with pytest.raises((IndexError, AssertionError)):
        check_some(storage, {name: text.replace(before, after)})


def check_some(storage: str, changed: dict[str, str]) -> None:
    options = {"grad_scale": 3.1, "max_norm": 0.7}
    for seed in range(8):
        gradients = gradients_of(storage, seed=seed)
        assert norm_and_factors(gradients, storage, changed, options) == as_on_the_host(gradients, storage, options)


@pytest.mark.parametrize("storage", ["float32", "float64"])
def test_kernels_that_are_whole_are_not(storage: str) -> None:
    """Lest what fails above be the launches."""
    check_some(storage, {})
