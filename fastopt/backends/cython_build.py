"""Compiling the Cython backend: the flags, the probes, and the sources. Used by setup.py, and for single rules at run time.

The flags keep the bits: `-ffp-contract=off` because x86-64-v3 and later would merge a multiplication and an addition
into one rounding, and never `-ffast-math`. `-fno-math-errno` and `-fno-trapping-math` change no result; without them
gcc does not vectorize a square root or a conditional. `-O2` does not vectorize with gcc 12.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["ISA_FLAGS", "PLACEMENT_FLAGS", "THREAD_FLAGS", "Probe", "build_module", "flags", "probe"]

BASE_FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
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
        source.write_text(text)
        try:
            objects = compiler.compile([str(source)], output_dir=folder, extra_preargs=extra, include_dirs=[sysconfig.get_path("include")])
            if link:
                compiler.link_executable(objects, "probe", output_dir=folder, extra_preargs=extra)
        except Exception:  # setuptools' compilers raise their own errors, OSError, or whatever a broken compiler brings about
            return False
    return True


def build_module(name: str, source: str, folder: Path, isa: str) -> ModuleType:
    """Compiles one generated module for this machine and imports it: how a rule from outside the package gets here.

    Raises RuntimeError with the end of the compiler's words where Cython or a C compiler is missing or fails.
    """
    built = _built(folder, name)
    if built is None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            Path(scratch, f"{name}.pyx").write_text(source)
            extra = (flags("msvc" if sys.platform == "win32" else "unix")) + ISA_FLAGS[isa]
            Path(scratch, "setup.py").write_text(
                "from Cython.Build import cythonize\nfrom setuptools import Extension, setup\n"
                f"setup(name={name!r}, ext_modules=cythonize([Extension({name!r}, [{name + '.pyx'!r}], extra_compile_args={extra!r})]))\n"
            )
            command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
            products = _library(Path(scratch), name)
            if done.returncode or products is None:
                words = (done.stderr or done.stdout).strip().splitlines()[-3:]
                raise RuntimeError(f"compiling {name} failed (it takes Cython, setuptools and a C compiler): " + " / ".join(words))
            products.replace(folder / products.name)
        built = _built(folder, name)
    assert built is not None
    return built


def _library(folder: Path, name: str) -> Path | None:
    import importlib.machinery

    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        if (folder / f"{name}{suffix}").exists():
            return folder / f"{name}{suffix}"
    return None


def _built(folder: Path, name: str) -> ModuleType | None:
    path = _library(folder, name)
    if path is None:
        return None
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
