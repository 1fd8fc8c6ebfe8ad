"""What comes before the thousandth step: importing, building an optimizer, and its first step, each in a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastopt import backends

SCRIPT = """
import json, sys, time
import numpy
start = time.perf_counter()
import fastopt
imported = time.perf_counter()
size, backend = int(sys.argv[1]), sys.argv[2]
params = numpy.ones(size, numpy.float32)
grads = numpy.ones(size, numpy.float32)
ready = time.perf_counter()
opt = fastopt.Adam(params, backend=backend)
built = time.perf_counter()
opt.step(grads)
stepped = time.perf_counter()
print(json.dumps({"import": imported - start, "build": built - ready, "first step": stepped - built}))
"""
REPEATS = {"smoke": 1, "quick": 3, "full": 9}
CASES = [("numpy", "-"), ("cython", "-"), ("numba", "cold cache"), ("numba", "warm cache")]
THERE = backends.on_host()


@pytest.mark.parametrize("size", [1_000, 1_000_000])
@pytest.mark.parametrize(("backend", "cache"), [case for case in CASES if case[0] in THERE])
def test_first_step(benchmark: Any, profile: str, tmp_path: Path, backend: str, cache: str, size: int) -> None:
    samples: list[dict[str, float]] = []

    def process(folder: Path) -> None:
        environment = os.environ | {"FASTOPT_CACHE_DIR": str(folder)}
        command = [sys.executable, "-c", SCRIPT, str(size), backend]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        samples.append(json.loads(done.stdout))

    if cache == "warm cache":
        process(tmp_path)
        samples.clear()

    def folder() -> tuple[tuple[Path], dict[str, Any]]:
        return (tmp_path if cache == "warm cache" else tmp_path / str(len(samples)),), {}

    benchmark.pedantic(process, setup=folder, rounds=REPEATS[profile], iterations=1)
    benchmark.extra_info.update(group="first step", backend=backend, cache=cache, elements=size, samples=samples)
