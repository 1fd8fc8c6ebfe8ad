"""numba-cuda and the driver: where they come from, what is said where they are missing, and who may import them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastopt
from tests.cuda.kernels import needs_compiler

pytestmark = pytest.mark.long

PACKAGE = Path(fastopt.__file__).parent


def answer(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_numba_cuda_is_the_package_of_that_name() -> None:
    """Numba once had a module of the same name; the package puts itself in its place when Python starts."""
    needs_compiler()
    assert "numba_cuda" in answer("import fastopt.cuda.toolchain; from numba import cuda; print(cuda.__file__)")


def test_only_one_file_imports_numba_cuda_and_one_folder_the_driver() -> None:
    """So that a successor of either has one place to go to."""
    found: dict[str, set[str]] = {"numba": set(), "driver": set()}
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if re.search(r"^\s*(from numba import cuda|from numba\.cuda|import numba\.cuda)", text, re.MULTILINE):
            found["numba"].add(path.name)
        if re.search(r"^\s*(from cuda[. ]|import cuda\b)", text, re.MULTILINE):
            found["driver"].add(path.parent.name)
    assert found == {"numba": {"toolchain.py"}, "driver": {"driver"}}


WITHOUT = """
    import importlib.util, sys
    real = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name == {missing!r} else real(name, *rest)
    import fastopt
    print(fastopt.available_backends()["cuda"])
"""


@pytest.mark.parametrize(
    ("missing", "package"), [("numba_cuda", "numba-cuda"), ("cuda.core", "cuda-core"), ("cuda.bindings", "cuda-bindings")]
)
def test_a_missing_package_is_named(missing: str, package: str) -> None:
    needs_compiler()
    assert answer(WITHOUT.format(missing=missing)) == f"{package} is not installed: pip install 'fastopt[cuda]'"


def test_a_missing_compiler_is_named() -> None:
    needs_compiler()
    script = """
    from cuda import pathfinder
    def nowhere(name):
        raise pathfinder.DynamicLibNotFoundError(name)
    pathfinder.load_nvidia_dynamic_lib = nowhere
    import fastopt
    print(fastopt.available_backends()["cuda"])
    """
    assert answer(script).startswith("NVIDIA's compiler library NVVM was not found (DynamicLibNotFoundError): pip install")


def test_releases_that_do_not_go_together_are_named() -> None:
    needs_compiler()
    script = """
    import sys, numpy as np
    sys.modules["numba.cuda.extending"] = None
    from fastopt.cuda.driver.kernels import ptx_of
    try:
        ptx_of("a kernel that is in no cache", "name", (np.dtype(np.int64),), (9, 0))
    except RuntimeError as error:
        print(error)
    """
    expected = r"backend: 'cuda' cannot be used: numba-cuda cannot be imported here \(numba-cuda [\d.]+, numba [\d.]+, numpy [\d.]+\): "
    assert re.match(expected, answer(script))


STATUS = """
    from cuda.bindings import driver
    status = driver.CUresult
    driver.cuInit = lambda flags: (status.{init},)
    driver.cuDeviceGetCount = lambda: (status.CUDA_SUCCESS, {count})
    import fastopt
    print(fastopt.available_backends()["cuda"])
"""


@pytest.mark.parametrize(
    ("init", "count", "expected"),
    [
        ("CUDA_ERROR_NO_DEVICE", 0, "the NVIDIA driver answers CUDA_ERROR_NO_DEVICE"),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 0, "the NVIDIA driver answers CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        ("CUDA_SUCCESS", 0, "the NVIDIA driver finds no GPU"),
        ("CUDA_SUCCESS", 2, "True"),
    ],
)
def test_what_the_driver_answers(init: str, count: int, expected: str) -> None:
    needs_compiler()
    assert answer(STATUS.format(init=init, count=count)) == expected


def test_a_missing_driver_is_said_by_info_too() -> None:
    needs_compiler()
    if fastopt.available_backends()["cuda"] is True:
        pytest.skip("there is a driver")
    command = [sys.executable, "-c", "import fastopt.cli; raise SystemExit(fastopt.cli.main(['info', '--no-measure']))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.strip().startswith("cuda"))
    assert line.split(None, 1)[1].startswith("the NVIDIA driver ")
    assert "Traceback" not in done.stdout + done.stderr


def test_nothing_of_cuda_is_loaded_for_host_arrays() -> None:
    script = """
    import json, sys, numpy as np, fastopt
    fastopt.Adam([np.ones(3), np.ones(4)], backend="numpy").step([np.ones(3), np.ones(4)])
    print(json.dumps([name for name in sys.modules if name.split(".")[0] == "cuda" or name.startswith("fastopt.cuda")]))
    """
    assert json.loads(answer(script)) == []
