"""What is imported when: `import fastopt` loads NumPy and nothing heavier. Each question is put to a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.conftest import needed
from tests.documents import ROOT

HEAVY = (
    "numba",
    "llvmlite",
    "scipy",
    "torch",
    "matplotlib",
    "Cython",
    "setuptools",
    "jax",
    "pandas",
    "sklearn",
    "optax",
    "multiprocessing",
)


def loaded_by(script: str) -> list[str]:
    """The heavy modules that a script has loaded at its end."""
    ending = f"\nimport sys, json\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script) + ending]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_what_numpy_itself_loads() -> None:
    """The yardstick: if NumPy came to load one of these, the tests below would have to know."""
    assert loaded_by("import numpy") == []


def test_import_fastopt() -> None:
    assert loaded_by("import fastopt") == []


def test_every_public_name_is_there_without_more() -> None:
    assert (
        loaded_by("import fastopt; [getattr(fastopt, name) for name in fastopt.__all__]; fastopt.functional.adam; dir(fastopt.functional)")
        == []
    )


def test_the_training_toolbox() -> None:
    """Whole and used, but for what shows and draws; `import fastopt` does not load it, and `fastopt.training` does."""
    script = """
    import sys, numpy as np, fastopt
    assert not any(name.startswith("fastopt.training") for name in sys.modules)
    training = fastopt.training
    [getattr(training, name) for name in training.__all__]
    w = np.ones(3)
    opt = fastopt.SGD(w, lr=0.1)
    stopping, detector, history = training.EarlyStopping(2, keep=opt), training.DivergenceDetector(), training.History(opt)
    for x, y in training.mini_batches(np.ones((8, 3)), [0] * 8, batch_size=4):
        stopping.observe(1.0), detector.check(1.0, w), history.observe(1.0, w)
    training.learning_rate_range_test(lambda lr: lr, optimizer=opt)
    training.random_search(lambda lr: lr, {"lr": training.LogUniform(0.1, 1.0)}, 2)
    training.study_batch_sizes(lambda size, lr: lr, [1])
    training.fits(10)
    assert "tqdm" not in sys.modules and "rich" not in sys.modules
    """
    assert loaded_by(script) == []


def test_drop_ins_are_loaded_one_by_one_when_asked_for() -> None:
    script = """
    import sys, fastopt
    assert not any(name.startswith("fastopt.interop") for name in sys.modules)
    import fastopt.interop
    assert not any(name.startswith("fastopt.interop.") for name in sys.modules)
    sys.modules["torch"] = None
    try:
        import fastopt.interop.torch
    except ModuleNotFoundError as error:
        assert str(error) == "fastopt.interop.torch takes PyTorch: pip install 'fastopt[torch]'", error
        del sys.modules["torch"]
    else:
        raise AssertionError("no error")
    sys.modules["mpi4py"] = None
    try:
        import fastopt.interop.mpi
    except ModuleNotFoundError as error:
        assert str(error) == "fastopt.interop.mpi takes mpi4py: pip install 'fastopt[mpi]'", error
        del sys.modules["mpi4py"]
    else:
        raise AssertionError("no error")
    """
    assert loaded_by(script) == []


@pytest.mark.parametrize("backend", ["numpy", "cython", "auto"])
def test_a_step_without_numba(backend: str) -> None:
    needed("cython" if backend == "auto" else backend)
    script = f"""
    import numpy as np, fastopt
    for dtype in (np.float32, np.float64):
        p = {{"w": np.ones((30, 1000), dtype), "b": np.ones(3, dtype)}}
        optimizer = fastopt.AdamW(p, backend={backend!r}, nonfinite="raise")
        optimizer.step({{"w": np.ones((30, 1000), dtype), "b": np.ones(3, dtype)}})
        optimizer.load_state_dict(optimizer.state_dict())
        fastopt.functional.sgd(p["b"], np.ones(3, dtype), step=1, backend={backend!r})
    assert optimizer.backend == ("cython" if {backend!r} == "auto" else {backend!r})
    """
    assert loaded_by(script) == []


def test_asking_for_the_backends_loads_numba_alone() -> None:
    """To know whether it can be used: one that does not go with its NumPy is installed all the same."""
    names = loaded_by("import fastopt; assert fastopt.available_backends()['numpy'] is True")
    assert set(names) - set(loaded_by("import numba")) == set()


def test_a_step_with_numba_loads_numba_and_no_more_than_that() -> None:
    needed("numba")
    script = """
    import numpy as np, fastopt
    optimizer = fastopt.SGD(np.ones(3), backend="numba")
    optimizer.step(np.ones(3))
    """
    names = loaded_by(script)
    assert "numba" in names
    numbas_own = loaded_by("import numba")
    assert set(names) - set(numbas_own) <= {"multiprocessing"}


@pytest.mark.parametrize("missing", ["numba", "launcher", "both"])
def test_without_what_was_not_installed(missing: str) -> None:
    """The other backends work, `auto` takes one of them, and what is missing is named."""
    script = f"""
    import sys
    if {missing!r} in ("numba", "both"):
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "numba":
                    raise ModuleNotFoundError(name)
        import importlib.util
        found = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "numba" else found(name, *rest)
        sys.meta_path.insert(0, Hidden())
    if {missing!r} in ("launcher", "both"):
        for name in ("fastopt.host._launch", "fastopt.host._gather", "fastopt.host._turn"):
            sys.modules[name] = None
    import numpy as np, fastopt
    there = fastopt.available_backends()
    assert there["numpy"] is True
    p = np.ones(3)
    optimizer = fastopt.Adam(p, lr=0.5)
    optimizer.step(np.ones(3))
    assert abs(p[0] - 0.5) < 1e-6, p
    if {missing!r} in ("numba", "both"):
        assert there["numba"] == "numba is not installed"
        try:
            fastopt.Adam(p, backend="numba")
        except RuntimeError as error:
            assert str(error) == "backend: 'numba' cannot be used: numba is not installed"
        else:
            raise AssertionError("no error")
    if {missing!r} in ("launcher", "both"):
        assert there["cython"].startswith("the extension"), there
        try:
            fastopt.Adam(p, backend="cython")
        except RuntimeError as error:
            assert str(error).startswith("backend: 'cython' cannot be used: the extension"), error
        else:
            raise AssertionError("no error")
    print({{"numba": "cython", "launcher": "numba", "both": "numpy"}}[{missing!r}], optimizer.backend)
    assert optimizer.backend == {{"numba": "cython", "launcher": "numba", "both": "numpy"}}[{missing!r}]
    """
    if missing != "numba":
        needed("numba")
    if missing != "launcher":
        needed("cython")
    loaded_by(script)


ZIPPED = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
import numpy as np, fastopt
assert ".zip" in fastopt.__file__, fastopt.__file__
print(fastopt.available_backends()["numba"])
p = np.ones(3)
opt = fastopt.SGD(p, lr=0.5)
opt.step(np.ones(3))
print(opt.backend, p[0])
try:
    fastopt.SGD(p, backend="numba")
except RuntimeError as error:
    print(error)
"""


def test_in_an_archive_the_numpy_backend_works_and_the_others_say_why(tmp_path: Path) -> None:
    needed("numba")
    with zipfile.ZipFile(tmp_path / "fastopt.zip", "w") as archive:
        for path in sorted((ROOT / "fastopt").rglob("*.py")):
            archive.write(path, path.relative_to(ROOT))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "fastopt.zip")}
    done = subprocess.run([sys.executable, "-P", "-c", ZIPPED], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    reason = "fastopt lies in an archive, where Numba finds no source text to compile"
    assert done.stderr == ""
    assert done.stdout.splitlines() == [reason, "numpy 0.5", f"backend: 'numba' cannot be used: {reason}"]
