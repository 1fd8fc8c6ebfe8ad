"""CONTRIBUTING's example is carried out to the letter in a copy of the source tree, which is then built and checked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, python_blocks

COPIED = ("fastopt", "bench", "setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with the blocks of CONTRIBUTING.md put where they say, and the extension built in place."""
    folder = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "_built.json")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    placed = [(path, code) for path, code in python_blocks("CONTRIBUTING.md") if path]
    assert [path for path, _ in placed] == ["fastopt/rules/lion.py", "fastopt/reference.py"]
    for path, code in placed:
        with (folder / path).open("a") as file:
            file.write(("\n\n" if (folder / path).stat().st_size else "") + code)
    _run(folder, [sys.executable, "setup.py", "-q", "build_ext", "--inplace"])
    return folder


def _run(folder: Path, command: list[str]) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "FASTOPT_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_backend_has_the_new_rule_with_the_same_bits(tree: Path) -> None:
    output = _run(tree, [sys.executable, "-m", "fastopt", "check", "--rule", "lion"])
    row = next(line for line in output.splitlines() if line.startswith("lion"))
    assert set(row.split()[1:]) == {"0"}
    assert "no reference of its own" not in output


def test_it_was_compiled_ahead_and_is_what_auto_picks(tree: Path) -> None:
    code = "import fastopt; from fastopt import backends; print(backends.pick(fastopt.RULES['lion'])[0])"
    picked = _run(tree, [sys.executable, "-c", code]).strip()
    built = _run(tree, [sys.executable, "-c", "import fastopt; print(fastopt.available_backends()['cython'] is True)"]).strip()
    assert picked == ("cython" if built == "True" else "numba")


def test_the_benchmark_measures_it(tree: Path) -> None:
    command = [sys.executable, "-m", "pytest", "bench/test_step.py", "--collect-only", "--profile", "smoke", "-k", "lion"]
    listed = _run(tree, command)
    for backend in ("numpy", "numba"):
        assert f"test_step[lion-{backend}-float32-1,000-{backend}]" in listed


def test_the_functional_form_is_there(tree: Path) -> None:
    code = (
        "import fastopt, numpy as np; p, g, m = np.ones(3), np.ones(3), np.zeros(3); "
        "fastopt.functional.lion(p, g, m, step=1, lr=0.25); print(p.tolist())"
    )
    assert _run(tree, [sys.executable, "-c", code]).strip() == "[0.75, 0.75, 0.75]"
