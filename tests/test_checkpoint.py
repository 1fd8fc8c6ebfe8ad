"""State in a safetensors file: the same bits back, in every structure, and a file that is whole or not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import checkpoint
from fastopt.storage import STORAGES
from tests.conftest import AVAILABLE

pytest.importorskip("safetensors", reason="fastopt[checkpoints] is not installed")

BACKENDS = [name for name, there in AVAILABLE.items() if there is True]


def _params(kind: str) -> Any:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 4)), rng.standard_normal(5).astype(np.float32), np.array(2.0), np.empty((0, 2))]
    return {"array": arrays[0], "sequence": arrays, "mapping": dict(zip("abcd", arrays, strict=True))}[kind]


def _map(function: Any, params: Any) -> Any:
    if isinstance(params, np.ndarray):
        return function(params)
    return {k: function(v) for k, v in params.items()} if isinstance(params, dict) else [function(p) for p in params]


def _cosine(p: Any) -> Any:
    return np.asarray(np.cos(p))  # of a 0-d array NumPy makes a scalar, which is no gradient


def _arrays(params: Any) -> list[Any]:
    if isinstance(params, np.ndarray):
        return [params]
    return list(params.values()) if isinstance(params, dict) else params


@pytest.mark.parametrize("kind", ["array", "sequence", "mapping"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_run_has_the_bits_of_one_that_went_on(kind: str, backend: str, tmp_path: Path) -> None:
    options = {"betas": (0.8, 0.99), "weight_decay": 0.1, "eps_root": 1e-9, "maximize": True}
    params = _params(kind)
    opt = fastopt.Adam(params, 0.02, amsgrad=True, **options)
    for _ in range(3):
        opt.step(_map(_cosine, params))
    opt.lr = 0.007
    opt.save(tmp_path / "run.safetensors")
    copies = _map(np.copy, params)
    resumed = fastopt.Adam(copies, amsgrad=True, backend=backend)
    resumed.load(tmp_path / "run.safetensors")
    assert (resumed.steps, resumed.lr) == (3, 0.007)
    assert resumed.hyperparameters == opt.hyperparameters
    for _ in range(3):
        opt.step(_map(_cosine, params))
        resumed.step(_map(_cosine, copies))
    for a, b in zip(_arrays(params), _arrays(copies), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opt = fastopt.Adam(np.ones(3))
    path = tmp_path / "run.safetensors"
    opt.save(path)
    before = path.read_bytes()
    opt.step(np.ones(3))

    def no_space(_: Path) -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr(checkpoint, "_flush", no_space)
    with pytest.raises(OSError, match="no space left"):
        opt.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_transposed_state_is_stored_in_its_own_order(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3).T
    checkpoint.save({"m": [values]}, {"groups": []}, ["params"], ["float64 (3, 2)"], tmp_path / "file")
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "file", ["params"], ["float64 (3, 2)"])["state"]["m"][0], values)


@pytest.mark.parametrize("params", [np.ones(4), np.ones(3, np.float32), np.ones((1, 3))])
def test_a_file_of_a_rule_without_state_knows_what_its_parameters_were(tmp_path: Path, params: Any) -> None:
    fastopt.SGD(np.ones(3)).save(tmp_path / "file")
    fastopt.SGD(np.ones(3)).load(tmp_path / "file")
    opt = fastopt.SGD(params, lr=0.5)
    with pytest.raises(ValueError, match=r"expected the states of params of float.*, received those of one of float64 \(3,\)"):
        opt.load(tmp_path / "file")
    assert opt.lr == 0.5


def test_groups_gaps_narrow_states_and_nested_names_come_back(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")

    def build(steps: int) -> fastopt.Optimizer:
        params = {"a": {"w": np.ones((2, 3), order="F"), "b": np.ones(4, np.float32)}, 7: [np.ones(5, np.float32)]}
        groups = {"*.b": {"lr": 0.5, "betas": (0.5, 0.25)}, "7.*": {"state_dtype": "bfloat16"}}
        opt = fastopt.Adam(params, groups=groups)
        for step in range(steps):
            absent = None if step else np.full(4, 0.5, np.float32)
            opt.step({"a": {"w": np.ones((2, 3), order="F"), "b": absent}, 7: [np.full(5, 0.1, np.float32)]})
        return opt

    opt, other = build(3), build(0)
    opt.save(tmp_path / "file")
    other.load(tmp_path / "file")
    assert other.state_dict()["slots"] == opt.state_dict()["slots"]
    assert [slot["steps"] for slot in other.state_dict()["slots"]] == [3, 1]
    assert other.state_dict()["groups"] == opt.state_dict()["groups"]
    assert other.state_dict()["state"]["v"][7][0].dtype.name == "bfloat16"
    for name in ("m", "v"):
        ours, theirs = ([v["a"]["w"], v["a"]["b"], v[7][0]] for v in (o.state_dict()["state"][name] for o in (opt, other)))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))
    with pytest.raises(ValueError, match="expected the states of parameters in the structure of params"):
        fastopt.Adam({"a": np.ones(3)}).load(tmp_path / "file")


def test_files_of_the_first_version_are_read(tmp_path: Path) -> None:
    """As version 0.1.0 wrote them: one group, and no parameter's own steps."""
    import json

    from safetensors.numpy import save_file

    rest = {
        "rule": "adam",
        "steps": 4,
        "lr": 0.25,
        "hyperparameters": {**fastopt.Adam(np.ones(1)).hyperparameters, "betas": [0.5, 0.75], "weight_decay": 0.125},
    }
    metadata = {"format": "fastopt 1", "names": json.dumps(["w"]), "state": json.dumps(["m", "v"]), "rest": json.dumps(rest)}
    save_file({"m.0": np.full(3, 2.0), "v.0": np.full(3, 3.0)}, tmp_path / "file", metadata)
    opt = fastopt.Adam({"w": np.ones(3)})
    opt.load(tmp_path / "file")
    assert (opt.steps, opt.lr, opt.hyperparameters["betas"], opt.hyperparameters["weight_decay"]) == (4, 0.25, (0.5, 0.75), 0.125)
    assert opt.state_dict()["slots"] == [{"steps": 4, "memory": {}, "params": [0]}]
    assert opt.state_dict()["state"]["v"]["w"].tolist() == [3.0] * 3


def test_other_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    opt = fastopt.SGD(np.ones(3), momentum=0.9)
    (tmp_path / "text").write_text("not tensors")
    with pytest.raises(ValueError, match="expected a safetensors file"):
        opt.load(tmp_path / "text")
    save_file({"b.0": np.ones(3)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match=r"expected a file that Optimizer\.save wrote .* received format None"):
        opt.load(tmp_path / "foreign")
    with pytest.raises(FileNotFoundError):
        opt.load(tmp_path / "absent")


def test_a_file_of_another_optimizer_changes_nothing(tmp_path: Path) -> None:
    fastopt.Adam(np.ones(3)).save(tmp_path / "adam")
    opt = fastopt.SGD(np.ones(3), momentum=0.9)
    opt.step(np.ones(3))
    before = opt.state_dict()["state"]["b"].copy()
    with pytest.raises(ValueError, match=r"state_dict\['groups'\]\[0\]\['rule'\]: expected 'momentum', received 'adam'"):
        opt.load(tmp_path / "adam")
    np.testing.assert_array_equal(opt.state_dict()["state"]["b"], before)
    assert opt.steps == 1


def test_names_need_not_be_strings(tmp_path: Path) -> None:
    fastopt.SGD({1: np.ones(2)}, momentum=0.9).save(tmp_path / "file")
    fastopt.SGD({1: np.ones(2)}, momentum=0.9).load(tmp_path / "file")
    with pytest.raises(ValueError, match="in the structure of params"):
        fastopt.SGD({"1": np.ones(2)}, momentum=0.9).load(tmp_path / "file")


def test_files_without_a_digest_are_read_and_refused_in_words(tmp_path: Path) -> None:
    import json

    from safetensors import safe_open
    from safetensors.numpy import save_file

    opt = fastopt.Adam(np.ones(3), lr=0.25)
    opt.step(np.ones(3))
    opt.save(tmp_path / "new")
    with safe_open(tmp_path / "new", framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in ("m.0", "v.0")}
    metadata["format"] = "fastopt 2"
    save_file(tensors, tmp_path / "claims", metadata)
    other = fastopt.Adam(np.ones(3))
    with pytest.raises(ValueError, match=r"claims: it was altered or damaged since it was saved: what it holds does not have its digest$"):
        other.load(tmp_path / "claims")
    del metadata["digest"]
    save_file(tensors, tmp_path / "old", metadata)
    other.load(tmp_path / "old")
    assert (other.steps, other.lr) == (1, 0.25)
    for broken in ({"rest": "7"}, {"rest": "[" * 100_000}, {"dtypes": "[3]"}, {"states": "7"}, {"labels": ""}):
        save_file(tensors, tmp_path / "broken", {**metadata, **broken})
        with pytest.raises(ValueError, match=r"broken: "):
            other.load(tmp_path / "broken")
    without = {key: value for key, value in metadata.items() if key != "rest"}
    save_file(tensors, tmp_path / "broken", without)
    with pytest.raises(ValueError, match=r"broken: it was altered or damaged since it was saved \(KeyError: 'rest'\)$"):
        other.load(tmp_path / "broken")
    assert json.loads(metadata["rest"])["steps"] == other.steps == 1


@pytest.mark.skipif(os.name != "posix", reason="links, modes and signals are POSIX's")
def test_saving_keeps_a_link_and_the_mode_of_a_file(tmp_path: Path) -> None:
    opt = fastopt.Adam(np.ones(3))
    before = os.umask(0o027)
    try:
        opt.save(tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640, "as the umask says"
    (tmp_path / "new").chmod(0o604)
    (tmp_path / "link").symlink_to("new")
    opt.step(np.ones(3))
    opt.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o604, "as it was"
    other = fastopt.Adam(np.ones(3))
    other.load(tmp_path / "new")
    assert other.steps == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new"]


@pytest.mark.skipif(os.name != "posix", reason="links, modes and signals are POSIX's")
def test_a_save_that_is_killed_leaves_the_old_file_and_one_other_at_the_most(tmp_path: Path) -> None:
    script = f"""
import numpy as np, fastopt, os, signal, sys
from fastopt import checkpoint
from fastopt.storage import STORAGES
opt = fastopt.SGD(np.ones(30_000), momentum=0.9)
opt.save({str(tmp_path / "file")!r})
opt.step(np.ones(30_000))
checkpoint._flush = lambda path: os.kill(os.getpid(), signal.SIGKILL)
opt.save({str(tmp_path / "file")!r})
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], check=False)
        assert done.returncode == -signal.SIGKILL
        assert sorted(path.name for path in tmp_path.iterdir()) == [".file.saving", "file"]
    opt = fastopt.SGD(np.ones(30_000), momentum=0.9)
    opt.load(tmp_path / "file")
    assert opt.steps == 0
    opt.save(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_an_oserror(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    script = f"""
import numpy as np, fastopt, resource, signal
import safetensors.numpy
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
opt = fastopt.Adam(np.ones(30_000))
opt.save({str(tmp_path / "file")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
try:
    opt.save({str(tmp_path / "file")!r})
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path / 'file'}: it cannot be written (")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_safetensors_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    opt = fastopt.Adam(np.ones(3))
    for call in (opt.save, opt.load):
        with pytest.raises(ImportError, match=r"pip install 'fastopt\[checkpoints\]'$"):
            call(tmp_path / "file")


def test_float32_moments_of_bfloat16_parameters_come_back_whole(tmp_path: Path) -> None:
    """Not in the parameter's dtype, as elsewhere."""
    pytest.importorskip("ml_dtypes")
    own = STORAGES["bfloat16"].dtype
    opt, other, third = (fastopt.Adam(np.ones(3, own), 0.01) for _ in range(3))
    for _ in range(3):
        opt.step(np.array([0.3, 0.1, 0.7], own))
    opt.save(tmp_path / "file")
    other.load(tmp_path / "file")
    third.load_state_dict(opt.state_dict())
    for name, state in opt.state_dict()["state"].items():
        assert (state.astype(own).astype(np.float32) != state).any(), "bfloat16 would have held it"
        for resumed in (other, third):
            found = resumed.state_dict()["state"][name]
            assert (found.dtype, found.tobytes()) == (np.float32, state.tobytes())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux what is flushed")
def test_a_file_reaches_the_disk_before_its_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    fastopt.Adam(np.ones(3)).save(tmp_path / "file")
    assert done == ["file", "rename", "folder"]
