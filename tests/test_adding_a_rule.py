"""CONTRIBUTING's examples are carried out to the letter in a copy of the source tree, which is then built and checked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastopt.rules.family import COMMON
from tests.builds import in_haste, only
from tests.documents import ROOT, put_in_place

pytestmark = pytest.mark.long

COPIED = ("fastopt", "bench", "setup.py", "pyproject.toml", "README.md", "LICENSE")
ADDED = ("qhm", "clipped_sgd", "clipped_momentum")
CHECKED = ("qhm", "clipped_momentum")
"""One of each text; the form without a state is stepped below."""


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
    assert put_in_place("CONTRIBUTING.md", folder) == [
        "fastopt/rules/qhm.py",
        "fastopt/reference/qhm.py",
        "fastopt/rules/clipped.py",
        "fastopt/reference/clipped.py",
        "fastopt/rules/clipped.py",
        "fastopt/optimizers/clipped.py",
        "fastopt/rules/rmsprop.py",
        "fastopt/storage/__init__.py",
    ]
    for path in ("fastopt/optimizers/__init__.py", "fastopt/__init__.py"):  # "and its name in ..."
        text = (folder / path).read_text().replace("__all__ = [", '__all__ = ["ClippedSGD", ', 1)
        imported = "from fastopt.optimizers.clipped import ClippedSGD\n"
        (folder / path).write_text(text.replace("from fastopt.optimizers", imported + "from fastopt.optimizers", 1))
    only(folder / "setup.py", ADDED)
    _run(folder, [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], **in_haste(folder))
    return folder


def _run(folder: Path, command: list[str], **environment: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "FASTOPT_CACHE_DIR": str(folder / "cache")} | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checked(tree: Path) -> str:
    """What `fastopt check` says of the new rules: all at once, for it tries further storages with one of those that it is given."""
    return _run(tree, [sys.executable, "-m", "fastopt", "check", *(f"--rule={name}" for name in CHECKED)])


@pytest.mark.parametrize("rule", CHECKED)
def test_every_backend_has_the_new_rules_with_the_same_bits(checked: str, rule: str) -> None:
    row = next(line for line in checked.splitlines() if line.startswith(f"{rule} "))
    assert set(row.split()[1:]) == {"0"}
    assert "no reference of its own" not in checked


def test_it_was_compiled_ahead_and_is_what_auto_picks(tree: Path) -> None:
    code = "import fastopt, numpy; print(fastopt.Optimizer(numpy.ones(3), 'qhm').backend)"
    picked = _run(tree, [sys.executable, "-c", code]).strip()
    built = _run(tree, [sys.executable, "-c", "import fastopt; print(fastopt.available_backends()['cython'] is True)"]).strip()
    assert picked == ("cython" if built == "True" else "numba")


def test_the_benchmark_measures_it(tree: Path) -> None:
    command = [sys.executable, "-m", "pytest", "bench/test_step.py", "--collect-only", "--profile", "smoke", "-k", "qhm"]
    listed = _run(tree, command)
    for backend in ("numpy", "numba"):
        assert f"test_step[qhm-{backend}-float32-1,000-{backend}]" in listed


def test_the_functional_form_is_there(tree: Path) -> None:
    code = (
        "import fastopt, numpy as np; p, g, b = np.ones(3), np.ones(3), np.zeros(3); "
        "fastopt.functional.qhm(p, g, b, step=1, lr=0.25, nu=0.5, beta=0.5); print(p.tolist())"
    )
    assert _run(tree, [sys.executable, "-c", code]).strip() == "[0.8125, 0.8125, 0.8125]"


# ------------------------------------------------------------------------------------------------ an option of a rule


def test_the_class_goes_from_one_form_to_the_other(tree: Path) -> None:
    code = """
import fastopt, numpy as np
p = np.array([1.0, -1.0])
opt = fastopt.ClippedSGD(p, 0.25)
opt.step(np.array([3.0, 0.0]))
print(p.tolist(), opt.rule.name, list(opt.state_dict()["state"]))
opt.configure(averaged=True, beta=0.5)
opt.step(np.array([-3.0, 2.0]))
print(p.tolist(), opt.rule.name, {name: m.tolist() for name, m in opt.state_dict()["state"].items()})
try:
    fastopt.ClippedSGD(p, 0.25, avereged=True)
except TypeError as error:
    print(error)
"""
    assert _run(tree, [sys.executable, "-c", code]).splitlines() == [
        "[0.75, -1.0] clipped_sgd []",
        "[0.875, -1.125] clipped_momentum {'m': [-0.5, 0.5]}",
        "avereged: ClippedSGD has no such hyperparameter; did you mean `averaged`? Expected some of "
        + ", ".join(["lr", "bound", "beta", "averaged", *COMMON]),
    ]


# ------------------------------------------------------------------------------------------------------- a convention


def test_the_convention_is_there_with_its_defaults_and_hints(tree: Path) -> None:
    code = """
import fastopt, numpy as np
one, other = np.array([1.0, -1.0]), np.array([1.0, -1.0])
by_convention = fastopt.RMSProp(one, 0.25, momentum=0.5, convention="jax")
singly = fastopt.RMSProp(other, 0.25, 0.9, momentum=0.5, eps_inside_root=True, form="velocity")
for optimizer in (by_convention, singly):
    optimizer.step(np.array([3.0, 0.5]))
print(by_convention.rule.name, by_convention.rule is singly.rule, one.tolist() == other.tolist() != [1.0, -1.0])
for given in ({"convention": "sonnet"}, {"gamma": 0.5}):
    try:
        fastopt.RMSProp(one, **given)
    except (TypeError, ValueError) as error:
        print(str(error).split("? Expected")[0])
"""
    assert _run(tree, [sys.executable, "-c", code]).splitlines() == [
        "rmsprop_velocity True True",
        "convention: expected one of 'torch', 'jax', 'keras', 'optax', 'textbook'; received 'sonnet'",
        "gamma: RMSProp has no such hyperparameter; did you mean `alpha`",
    ]


def test_documents_follow(tree: Path) -> None:
    _run(tree, [sys.executable, "-m", "fastopt.optimizers.documents"])
    stub = (tree / "fastopt" / "optimizers" / "__init__.pyi").read_text()
    assert "class ClippedSGD(Optimizer):" in stub
    assert 'convention: Literal["torch", "jax", "keras", "optax", "textbook"] = "torch",' in stub
    assert (
        "| `ClippedSGD` | `clipped_sgd`, `clipped_momentum` | 12 to 20 | `lr=0.01, bound=1.0, beta=0.9, averaged=False` | - |"
        in (tree / "README.md").read_text()
    )


def test_the_new_storage_has_numpys_bits_on_every_backend(tree: Path, checked: str) -> None:
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    rows = [line.split() for line in checked.splitlines() if "float8_e5m2" in line and line.count(",") == 2]
    assert len(rows) == 1 + 3, "alone, and in each place"
    assert all(set(row[4::2]) == {"0"} for row in rows)
    code = (
        "import fastopt, ml_dtypes, numpy as np; from fastopt.storage import STORAGES; s = STORAGES['float8_e5m2']; "
        "x = np.arange(2**32 - 1, step=9973).astype(np.uint32); np.seterr(all='ignore'); w = x.view(np.float32).astype(s.dtype); "
        "g = np.array([s.store(int(b)) & 255 for b in x], np.uint8).view(s.dtype); n = np.isnan(x.view(np.float32)); "
        "assert (g[~n].view(np.uint8) == w[~n].view(np.uint8)).all() and np.isnan(g[n].astype(np.float32)).all(); "
        "p = np.ones(5, np.float32); o = fastopt.Adam(p, state_dtype='float8_e5m2'); o.step(p.copy()); print(o._states[0][0].dtype)"
    )
    assert _run(tree, [sys.executable, "-c", code]).strip() == "float8_e5m2"
