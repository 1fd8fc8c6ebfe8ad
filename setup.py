"""Builds the compiled parts: kernels generated from the rules, for each instruction set, and the small modules around them.

Everything that is not source lies in pyproject.toml. What could not be built is left out, said on the console, and
written beside the backend (`_built.json`), from where `fastopt info` and `available_backends()` tell it; the install
succeeds all the same.
"""

import json
import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent))  # the rules are read from this source tree, never from an installed fastopt

from fastopt.backends import cython_backend, cython_build, cython_source
from fastopt.rules import RULES

GENERATED = Path("build", "generated")
SMALL = ("fastopt.host._gather", "fastopt.host._turn", "fastopt.cuda._gather", "fastopt.interop.torch._hook", "fastopt.interop.torch._look")
LAUNCH = "fastopt.host._launch"
KERNELS = "fastopt.backends._kernels"
HEADERS = sorted(Path("fastopt", "host").glob("*.h"))
NUMPY_API = [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")]


def extensions() -> list[Extension]:
    """Every extension there may be; `BuildWhatCompiles` drops those that the compiler cannot make."""
    import numpy
    from Cython.Build import cythonize

    GENERATED.mkdir(parents=True, exist_ok=True)
    of_rules = [kernel for rule in RULES.values() for kernel in cython_backend.ahead(rule)]
    source = cython_source.module_source([*of_rules, *cython_backend.sums()])
    found = [
        Extension(
            name,
            [name.replace(".", "/") + ".pyx"],
            include_dirs=[numpy.get_include(), "fastopt/host"],
            define_macros=NUMPY_API,
            depends=[str(header) for header in HEADERS],
        )
        for name in (*SMALL, LAUNCH)
    ]
    path = GENERATED / "_kernels.pyx"
    path.write_text(source, encoding="utf-8")
    *found, kernels = cythonize([*found, Extension(KERNELS, [str(path)])], build_dir="build", quiet=True)
    return [*found, *(_for_isa(isa, Path(*kernels.sources)) for isa in cython_build.ISA_FLAGS)]


def _for_isa(isa: str, kernels: Path) -> Extension:
    """The kernels' C file under another module's name: to write it takes Cython half as long as it takes a compiler to compile it."""
    name = f"{KERNELS}_{isa}"
    path = kernels.with_name(f"_kernels_{isa}.c")
    path.write_text(f'#define PyInit__kernels PyInit__kernels_{isa}\n#include "{kernels.name}"\n', encoding="utf-8")
    return Extension(name, [str(path)], depends=[str(kernels)])


class BuildWhatCompiles(build_ext):
    """Probes the compiler, builds what it can, and leaves a report of the rest."""

    def build_extensions(self) -> None:
        for command in ("compiler", "compiler_so", "compiler_cxx", "linker_so", "linker_exe"):
            if isinstance(getattr(self.compiler, command, None), list):  # what CFLAGS and LDFLAGS are in by now
                setattr(self.compiler, command, cython_build.harmless(getattr(self.compiler, command)))
        found = cython_build.probe(self.compiler)
        every = self.extensions
        self.extensions = [e for e in every if found.compiler and self._wanted(e, found)]
        for extension in every:
            if extension not in self.extensions:
                self._forget(extension)
        for extension in self.extensions:
            extension.optional = True
            isa = extension.name.removeprefix(f"{KERNELS}_")
            extension.extra_compile_args = cython_build.flags(self.compiler.compiler_type) + cython_build.ISA_FLAGS.get(isa, [])
            extension.extra_link_args = cython_build.link_flags(self.compiler.compiler_type)
            if extension.name == LAUNCH and found.threads:
                extension.extra_compile_args += cython_build.THREAD_FLAGS
                extension.extra_compile_args += cython_build.PLACEMENT_FLAGS if found.placement else []
                extension.extra_link_args = [*extension.extra_link_args, "-pthread"]
        self.parallel = os.cpu_count()
        self.failed: dict[str, str] = {}
        super().build_extensions()
        found.missing += [f"{name}: it could not be compiled ({why})" for name, why in sorted(self.failed.items())]
        isas = [isa for isa in found.isas if f"{KERNELS}_{isa}" not in self.failed]
        for missing in found.missing:
            self.warn(f"not found: {missing}")
        report = {"isas": isas, "threads": found.threads, "placement": found.placement, "missing": found.missing}
        self.report = json.dumps(report, indent=1) + "\n"

    def build_extension(self, extension: Extension) -> None:
        """One by one: a compiler may fail on a single file, and the others are of use without it."""
        try:
            super().build_extension(extension)
        except Exception as error:  # setuptools' compilers raise their own errors, OSError, or whatever a broken compiler brings about
            self.failed[extension.name] = f"{type(error).__name__}: {error}"
            self._forget(extension)

    def _forget(self, extension: Extension) -> None:
        """Takes away what an earlier build has left, perhaps with a compiler that is not there now: it would be packed and loaded."""
        for folder in (Path(self.build_lib), Path()):
            (folder / self.get_ext_filename(extension.name)).unlink(missing_ok=True)

    def run(self) -> None:
        super().run()
        folders = [Path(self.build_lib)] + ([Path()] if self.inplace else [])
        for folder in folders:
            path = folder / "fastopt" / "backends" / "_built.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.report, encoding="utf-8")

    @staticmethod
    def _wanted(extension: Extension, found: cython_build.Probe) -> bool:
        return not extension.name.startswith(KERNELS) or extension.name.removeprefix(f"{KERNELS}_") in found.isas


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildWhatCompiles})
