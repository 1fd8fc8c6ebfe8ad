"""Compiling the Cython backend: flags, and what a compiler can do. Used by setup.py, and for single rules at run time (`cython_module`).

The flags keep the bits: `-ffp-contract=off` because x86-64-v3 and later would merge a multiplication and an addition
into one rounding, and never `-ffast-math`. `-fno-math-errno` and `-fno-trapping-math` change no result; without them
gcc does not vectorize a square root or a conditional. `-O2` does not vectorize with gcc 12.

Whoever builds may have flags of their own in the environment (CFLAGS), which come first; what these would do to the bits is undone. When
linking, `-Ofast` and its like bring in code that has the whole process flush denormals to zero, which nothing undoes, so they are left
out (`harmless`).
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "ISA_FLAGS",
    "PLACEMENT_FLAGS",
    "THREAD_FLAGS",
    "Probe",
    "compiler_kind",
    "environment",
    "flags",
    "harmless",
    "link_flags",
    "probe",
    "surroundings",
]

UNDO_FLAGS = ["-fno-fast-math", "-fno-unsafe-math-optimizations"]
KEEP_FLAGS = ["-fno-associative-math", "-fno-reciprocal-math", "-fno-finite-math-only", "-fsigned-zeros", "-ffp-contract=off"]
BASE_FLAGS = ["-O3", *UNDO_FLAGS, *KEEP_FLAGS, "-fno-math-errno", "-fno-trapping-math"]
MSVC_FLAGS = ["/O2", "/fp:precise"]
THREAD_FLAGS = ["-pthread", "-DFASTOPT_THREADS"]
"""For the launcher alone, where there are POSIX threads; without them its pool is the calling thread."""

PLACEMENT_FLAGS = ["-DFASTOPT_PLACEMENT"]
"""For the launcher, where threads can be told which CPUs to run on (Linux); elsewhere the system places them."""

ISA_FLAGS = {
    "baseline": [],
    "v3": ["-march=x86-64-v3"],
    # gcc's generic tuning prefers 256-bit vectors even where 512-bit ones are allowed
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
"""One build of the kernels each; the machine's own is chosen at import."""


@dataclass
class Probe:
    """What the C compiler can do. `missing` says in words what was not found, for `fastopt info`."""

    compiler: bool = False
    threads: bool = False
    placement: bool = False
    isas: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def flags(compiler_type: str) -> list[str]:
    """The flags of every C file, by setuptools' name for the kind of compiler."""
    return MSVC_FLAGS if compiler_type == "msvc" else BASE_FLAGS


FAST_FLAGS = ("-Ofast", "-ffast-math", "-funsafe-math-optimizations", "-mdaz-ftz")


ENVIRONMENT = ("CC", "LDSHARED", "CPPFLAGS", "CFLAGS", "LDFLAGS")
"""The variables that setuptools makes commands and flags of."""


def harmless(words: Iterable[str]) -> list[str]:
    """A command, or flags, without those that would change bits where nothing can undo it."""
    return [word for word in words if word not in FAST_FLAGS]


def environment() -> dict[str, str]:
    """This process's environment, with harmless flags."""
    return {**os.environ, **{name: " ".join(harmless(os.environ[name].split())) for name in ENVIRONMENT if name in os.environ}}


def link_flags(compiler_type: str) -> list[str]:
    """The flags of every link, by the same name."""
    return [] if compiler_type == "msvc" else UNDO_FLAGS


def surroundings(isa: str) -> str:
    """What a rule compiled here depends on besides its source: flags, ours and the environment's, and the compiler's name."""
    of_environment = [f"{name}={os.environ.get(name, '')}" for name in ENVIRONMENT]
    return " ".join([*flags(compiler_kind()), *ISA_FLAGS[isa], *of_environment])


def compiler_kind() -> str:
    """Setuptools' name for the kind of compiler that it takes here."""
    return "msvc" if sys.platform == "win32" else "unix"


def probe(compiler: Any) -> Probe:
    """Tries the compiler (setuptools' object for it) on small files."""
    found = Probe()
    found.compiler = _compiles(compiler, "#include <Python.h>\nint main(void) { return 0; }\n", [])
    if not found.compiler:
        found.missing.append("a C compiler that finds Python's headers")
        return found
    text = "#include <pthread.h>\n#include <stdatomic.h>\nint main(void) { return pthread_atfork(0, 0, 0); }\n"
    found.threads = compiler.compiler_type != "msvc" and _compiles(compiler, text, THREAD_FLAGS, link=True)
    if not found.threads:
        found.missing.append("POSIX threads (steps of compiled kernels run in one thread)")
    text = "#define _GNU_SOURCE\n#include <pthread.h>\n#include <sched.h>\nint main(void) { cpu_set_t s; CPU_ZERO(&s);\n"
    text += "sched_getaffinity(0, sizeof s, &s); pthread_setaffinity_np(pthread_self(), sizeof s, &s);\n"
    text += "return sched_setaffinity(0, sizeof s, &s) + sched_getcpu() + CPU_COUNT(&s); }\n"
    found.placement = found.threads and _compiles(compiler, text, ["-pthread", *PLACEMENT_FLAGS], link=True)
    if found.threads and not found.placement:
        found.missing.append("calls that tell a thread which CPUs to run on (threads run where the system puts them)")
    found.isas = ["baseline"]
    if platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32:
        for isa, extra in ISA_FLAGS.items():
            if extra and _compiles(compiler, "int main(void) { return 0; }\n", extra):
                found.isas.append(isa)
            elif extra:
                found.missing.append(f"a compiler that knows {extra[0]} (no kernels for x86-64-{isa})")
    return found


def _compiles(compiler: Any, text: str, extra: list[str], link: bool = False) -> bool:
    import sysconfig

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(text, encoding="utf-8")
        try:
            objects = compiler.compile([str(source)], output_dir=folder, extra_preargs=extra, include_dirs=[sysconfig.get_path("include")])
            if link:
                compiler.link_executable(objects, "probe", output_dir=folder, extra_preargs=extra)
        except Exception:  # setuptools' compilers raise their own errors, OSError, or whatever a broken compiler brings about
            return False
    return True
