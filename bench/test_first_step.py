"""What comes before the thousandth step: importing, building an optimizer, and its first step, each in a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastopt import backends

from .records import Row
from .replay import Figures, replayed

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
CACHES = {"numba": ("cold cache", "warm cache")}
"""The backends that compile when first used, and how their cache on disk is found."""

CASES = [(backend, cache) for backend in backends.on_host() for cache in CACHES.get(backend, ("-",))]


@replayed
@pytest.mark.parametrize("size", [1_000, 1_000_000])
@pytest.mark.parametrize(("backend", "cache"), CASES)
def test_first_step(benchmark: Any, figures: Figures, profile: str, tmp_path: Path, backend: str, cache: str, size: int) -> None:
    cell = f"first step: {backend}, {cache}, {size:,}"
    figures.hand_over(benchmark, cell, backend, lambda: _measured(REPEATS[profile], tmp_path, backend, cache, size))


def _measured(repeats: int, folder: Path, backend: str, cache: str, size: int) -> Row:
    """A round is a process, and its seconds are those of the constructor and the first step together."""
    if cache == "warm cache":
        _process(folder, backend, size)
    samples = [_process(folder if cache == "warm cache" else folder / str(k), backend, size) for k in range(repeats)]
    seconds = np.array([sample["build"] + sample["first step"] for sample in samples])
    return Row({"group": "first step", "backend": backend, "cache": cache, "elements": size, "samples": samples}, {backend: seconds})


def _process(folder: Path, backend: str, size: int) -> dict[str, float]:
    """Seconds of each part, in a new process with its kernel cache in a folder."""
    environment = os.environ | {"FASTOPT_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", SCRIPT, str(size), backend]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    samples: dict[str, float] = json.loads(done.stdout)
    return samples
