"""Building without what is optional: no C compiler, and no threads. The install succeeds and says what is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.builds import in_haste, only
from tests.documents import ROOT

pytestmark = pytest.mark.long

COPIED = ("fastopt", "bench", "setup.py", "pyproject.toml", "README.md", "LICENSE")
STEPPED = ("adam", "sgd")
"""The rules that are stepped here."""


NO_COMPILER = {"CC": "/nonexistent/cc", "LDSHARED": "/nonexistent/cc -shared"}


def _wheel(folder: Path, compiler: dict[str, str]) -> Path:
    """Builds a wheel of a copy of the sources with another compiler, and unpacks it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("*.so", "__pycache__", "_built.json")
            shutil.copytree(source, folder / "tree" / name, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / "tree" / name)
    only(folder / "tree" / "setup.py", STEPPED)
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(folder)]
    done = subprocess.run(command, cwd=folder / "tree", env=os.environ | compiler, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


WITHOUT_THE_CHECKOUT = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
"""
"""An editable installation would lend a wheel what is missing in it."""


def _run(site: Path, code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(site), "FASTOPT_CACHE_DIR": str(site / "cache")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_THE_CHECKOUT + code], cwd=site, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


STEP = """
import numpy as np, fastopt
assert fastopt.__file__.startswith({site!r}), fastopt.__file__
print(fastopt.available_backends()["cython"])
p, g = np.ones(200_000, np.float32), np.full(200_000, 0.5, np.float32)
q = p.copy()
opt = fastopt.Adam(p)
opt.step(g)
fastopt.Adam(q, backend="numpy").step(g)
print(opt.backend, bool((p == q).all()))
"""


@pytest.fixture(scope="module")
def without_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _wheel(tmp_path_factory.mktemp("no_compiler"), NO_COMPILER)


def test_without_a_compiler_the_install_succeeds_and_says_so(without_compiler: Path) -> None:
    assert not list(without_compiler.rglob("*.so"))
    report = json.loads((without_compiler / "fastopt/backends/_built.json").read_text())
    assert report["isas"] == []
    assert "C compiler" in report["missing"][0]
    reason, rest = _run(without_compiler, STEP.format(site=str(without_compiler))).splitlines()
    assert reason == "the extension was not built: not found: a C compiler that finds Python's headers"
    assert rest == "numba True"


def test_what_an_earlier_build_left_is_not_packed(tmp_path: Path) -> None:
    """A wheel that is made without a compiler where there was one carried the old extension."""
    stale = [f"fastopt/host/_turn{suffix}" for suffix in EXTENSION_SUFFIXES[:1]]
    for name in stale:
        for folder in ("tree", f"tree/build/lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"):
            (tmp_path / folder / name).parent.mkdir(parents=True)
            (tmp_path / folder / name).write_bytes(b"old")
    assert not list(_wheel(tmp_path, NO_COMPILER).rglob("*.so"))


def test_the_source_archive_has_all_tests_and_what_they_take(tmp_path: Path) -> None:
    """It had the files that are called test_... at the top of tests/, and nothing that they import."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "tests", "bench", "docs", "fastopt"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("git does not say which files there are: not a whole checkout")
    for name in (*COPIED, "tests", "docs", "MANIFEST.in", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "_built.json"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "setup.py", "-q", "sdist"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert set(listed.stdout.split()) - packed == set()
    assert {"CONTRIBUTING.md", "Makefile", "pyproject.toml", "setup.py"} <= packed
    assert not [name for name in packed if name.endswith((".so", ".pyc", "_built.json"))]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="takes gcc, to fail on one file")
def test_a_compiler_that_fails_on_one_file_leaves_the_others(tmp_path: Path) -> None:
    site = _wheel(tmp_path, in_haste(tmp_path, "gcc", "build/fastopt/host/_turn.c"))
    report = json.loads((site / "fastopt/backends/_built.json").read_text())
    assert [missing.partition(" (")[0] for missing in report["missing"]] == ["fastopt.host._turn: it could not be compiled"]
    assert list(site.rglob("_gather*.so"))
    assert not list(site.rglob("_turn*.so"))
    reason, rest = _run(site, STEP.format(site=str(site))).splitlines()
    assert reason.startswith("the extension was not built: not found: fastopt.host._turn: it could not be compiled (")
    assert rest == "numba True"


def test_without_a_compiler_info_names_what_is_missing(without_compiler: Path) -> None:
    output = _run(without_compiler, "from fastopt.cli import main; main(['info', '--no-measure'])")
    assert "C compiler" in output
    assert "auto picks   numba" in output


@pytest.mark.skipif(shutil.which("gcc") is None, reason="takes gcc, to pass it on without placement")
def test_without_calls_that_place_threads_they_run_wherever_the_system_puts_them(tmp_path: Path) -> None:
    site = _wheel(tmp_path, in_haste(tmp_path, "gcc", "-DFASTOPT_PLACEMENT"))
    report = json.loads((site / "fastopt/backends/_built.json").read_text())
    assert (report["threads"], report["placement"]) == (True, False)
    assert _run(site, STEP.format(site=str(site))).splitlines() == ["True", "cython True"]
    output = _run(site, "from fastopt.cli import main; main(['info', '--no-measure'])")
    assert "a pool of POSIX threads, wherever the system puts them" in output
    assert "not found    calls that tell a thread which CPUs to run on" in output


@pytest.mark.skipif(shutil.which("gcc") is None, reason="takes gcc, to pass it on without threads")
def test_without_threads_the_kernels_run_in_one_thread(tmp_path: Path) -> None:
    site = _wheel(tmp_path, in_haste(tmp_path, "gcc", "-DFASTOPT_THREADS"))
    report = json.loads((site / "fastopt/backends/_built.json").read_text())
    assert report["threads"] is False
    assert any("POSIX threads" in missing for missing in report["missing"])
    reason, rest = _run(site, STEP.format(site=str(site))).splitlines()
    assert reason == "True"
    assert rest == "cython True"
    refused = (
        "import numpy as np, fastopt\n"
        "try:\n    fastopt.SGD(np.ones(3), backend='cython', num_threads=2)\n"
        "except ValueError as error:\n    print(error)"
    )
    assert (
        _run(site, refused).strip()
        == "num_threads: expected None or 1 (the launcher of compiled kernels was built without threads), received 2"
    )


def test_every_folder_with_code_is_a_package_of_the_wheel() -> None:
    """An editable installation finds folders that a wheel would leave out."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"])
    found = {path.parent.relative_to(ROOT) for top in ("fastopt", "bench") for path in (ROOT / top).rglob("*.py")}
    assert {".".join(("fastopt_bench" if path.parts[0] == "bench" else path.parts[0], *path.parts[1:])) for path in found} == listed
