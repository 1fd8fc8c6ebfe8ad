"""A generated Cython module, compiled at run time and imported: how kernels that were not compiled ahead get here."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType

from fastopt import cache
from fastopt.backends import cython_helper
from fastopt.backends.cython_build import ISA_FLAGS, compiler_kind, environment, flags, link_flags

__all__ = ["build_module"]

SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


def build_module(name: str, source: str, folder: Path, isa: str) -> ModuleType:
    """Compiles one generated module for this machine and imports it; one that the folder holds already is imported as it is.

    Raises RuntimeError with the end of the compiler's words where Cython or a C compiler is missing or fails.
    """
    library, seal = folder / f"{name}{SUFFIX}", folder / f"{name}.seal"
    with cache.locked(seal):
        if not cache.intact(seal, [library] if library.exists() else []):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(prefix=f"{name}.", suffix=".tmp", dir=folder) as scratch:
                    _compiled(Path(scratch), name, source, isa).replace(library)
                cache.seal(seal, [library])
            except OSError as error:
                raise RuntimeError(f"compiling {name} failed: {error}") from error
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compiled(scratch: Path, name: str, source: str, isa: str) -> Path:
    (scratch / f"{name}.pyx").write_text(source, encoding="utf-8")
    kind, product = compiler_kind(), scratch / f"{name}{SUFFIX}"
    of_compilers = {"compile_flags": flags(kind) + ISA_FLAGS[isa], "link_flags": link_flags(kind), "environment": environment()}
    words = cython_helper.compile_module({"folder": str(scratch), "name": name, **of_compilers})
    if words is not None or not product.exists():
        last = (words or "it is not where it should be").strip().splitlines()[-3:]
        raise RuntimeError(f"compiling {name} failed (it takes Cython, setuptools and a C compiler): " + " / ".join(last))
    return product
