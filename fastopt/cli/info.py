"""Tells what fastopt found on this machine: CPU, instruction set, threads, backends, and what `auto` picks and why.

Times a first and later steps of Adam on each backend, which is what the choice of `auto` rests on.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time

import numpy as np

import fastopt
from fastopt import backends, cache, cuda
from fastopt.backends import cython_backend
from fastopt.host import launched, threads
from fastopt.kernel import kernel_of
from fastopt.stages import PLAIN

HELP = "what is here: CPU, backends, threads, and what `auto` picks"

FIRST_STEP = """
import time, numpy, sys
import fastopt
p, g = numpy.ones(1000, numpy.float32), numpy.ones(1000, numpy.float32)
start = time.perf_counter()
fastopt.Adam(p, backend=sys.argv[1]).step(g)
print(time.perf_counter() - start)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--no-measure", action="store_true", help="leave the timings out")


def run(options: argparse.Namespace) -> int:
    """Prints what was found."""
    report = cython_backend.build_report()
    compiled = launched.launcher()
    print(f"fastopt {fastopt.__version__}, Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"machine      {platform.machine()}, {threads.available()} cores usable, {threads.resolve(None)} threads by default")
    if cython_backend.unavailable() is None:
        built = ", ".join(report["isas"])
        print(f"kernels      {cython_backend.isa()} (CPU: {_level(compiled.ISA_LEVEL)}; built: {built})")
        placed = "each on a CPU of its own" if report["placement"] else "wherever the system puts them"
        print(f"threads      {f'a pool of POSIX threads, {placed}' if compiled.HAS_THREADS else 'none in compiled kernels: one thread'}")
    if (nanoseconds := launched.round_trip()) is not None:
        print(f"distance     {nanoseconds:.0f} ns for a cache line from one CPU to another and back")
    for missing in report["missing"]:
        print(f"not found    {missing}")
    print(f"cache        {_cache()}")
    print("\nbackends")
    available = fastopt.available_backends()
    for name, there in available.items():
        print(f"  {name:10} {'available' if there is True else there}")
    if available["cuda"] is True:
        print(f"\ndevice       {cuda.runtime().describe(0)}")
    chosen, why = backends.default(), "FASTOPT_BACKEND says so"
    if chosen == "auto":
        chosen, why = backends.pick(kernel_of(fastopt.RULES["adam"], PLAIN, "float32", "float32", "float32"))
    print(f"\nauto picks   {chosen}: {why}" + ("; cuda for arrays on a device" if available["cuda"] is True else ""))
    if not options.no_measure:
        _measure()
    return 0


def _level(level: int) -> str:
    return {0: "baseline or not x86-64", 3: "x86-64-v3", 4: "x86-64-v4"}[level]


def _measure() -> None:
    """First steps in new processes, later ones in this one; in microseconds, float32 Adam."""
    sizes = (1_000, 100_000, 1_000_000)
    print("\nfloat32 Adam   first step" + "".join(f"{f'{size:,}':>14}" for size in sizes))
    for name in backends.on_host():
        done = subprocess.run([sys.executable, "-c", FIRST_STEP, name], capture_output=True, text=True, check=True)
        print(f"  {name:10} {float(done.stdout) * 1e3:9.1f} ms" + "".join(f"{_step_time(name, size) * 1e6:11.1f} us" for size in sizes))
    print("(a first look; `fastopt bench` measures with care)")


def _step_time(backend: str, size: int) -> float:
    p, g = np.ones(size, np.float32), np.ones(size, np.float32)
    opt = fastopt.Adam(p, backend=backend)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(max(1, 20_000 // size)):
            opt.step(g)
        times.append((time.perf_counter() - start) / max(1, 20_000 // size))
    return float(np.median(times))


def _cache() -> str:
    if cache.directory() is not None:
        return str(cache.directory())
    if cache.readable() is not None:
        return f"{cache.why_none()}: what is in it is used, and what is not is compiled in every process"
    return f"none: {cache.why_none()}; numba compiles in every process"
