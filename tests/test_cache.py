"""The folder of compiled kernels: where it is, and that a file in it is whole or not there."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import cache
from tests.attack.files import use_a_rule
from tests.conftest import a_compiler_at_hand, needed

# ruff: noqa: ANN202  -- rules are bare formulas


def test_directory_is_the_chosen_one_and_made_if_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert cache.directory() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="XDG_CACHE_HOME is for the other systems")
def test_directory_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FASTOPT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "fastopt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.directory() == tmp_path / "home" / ".cache" / "fastopt"


def test_no_directory_where_none_can_be_made_or_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        monkeypatch.setenv("FASTOPT_CACHE_DIR", str(path))
        assert cache.directory() is None
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
    assert cache.directory() is None
    monkeypatch.undo()
    monkeypatch.delenv("FASTOPT_CACHE_DIR", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache, "_user_folder", homeless)
    assert cache.directory() is None


def test_store_writes_makes_folders_and_leaves_what_is_right(tmp_path: Path) -> None:
    path = tmp_path / "a" / "kernel.py"
    cache.store(path, "one")
    assert path.read_text() == "one"
    os.utime(path, (1, 1))
    cache.store(path, "one")
    assert path.stat().st_mtime == 1, "a file that held the text already was written again: Numba would compile again"
    cache.store(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mtime > 1
    assert [p.name for p in path.parent.iterdir()] == ["kernel.py"], "a temporary file was left"


def test_store_replaces_as_a_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is under the name at any time is a whole text: it is written elsewhere and moved there."""
    path = tmp_path / "kernel.py"
    cache.store(path, "old")
    seen: list[tuple[str, str]] = []
    replace = os.replace

    def watched(source: Any, target: Any) -> None:
        seen.append((Path(source).read_text(), Path(target).read_text()))
        assert Path(source).parent == Path(target).parent, "a move between file systems is not one act"
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    cache.store(path, "new")
    assert seen == [("new", "old")]


def test_store_from_several_threads(tmp_path: Path) -> None:
    path = tmp_path / "kernel.py"
    texts = [str(i) * 10_000 for i in range(8)]
    read: list[str] = []
    running = [threading.Thread(target=lambda t=text: (cache.store(path, t), read.append(path.read_text()))) for text in texts]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(read) == 8
    assert set(read) <= set(texts)
    assert len(list(tmp_path.iterdir())) == 1


def one_step_with_a_rule_of_its_own(value: float) -> None:
    """Compiles: no other test has this rule, and the module of a kernel is found by its text."""

    @fastopt.rule(hyperparameters={"shift": 0.25})
    def cached_nowhere(p, g, lr, shift):  # type: ignore[no-untyped-def]
        return (p - lr * g + shift,)

    p = np.array([1.0])
    fastopt.Optimizer(p, cached_nowhere, 0.5, shift=value, backend="numba", nonfinite="raise").step(np.array([2.0]))
    assert p[0] == value


@pytest.fixture
def no_kernels_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("numba")
    from fastopt.backends import numba_backend

    monkeypatch.setattr(numba_backend, "_modules", {})


@pytest.mark.usefixtures("no_kernels_yet")
def test_numba_keeps_its_kernels_in_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    one_step_with_a_rule_of_its_own(0.25)
    names = [path.name for path in tmp_path.rglob("*")]
    assert any(name.startswith("cached_nowhere_float64_") and name.endswith(".py") for name in names)
    assert any("cached_nowhere" in name and name.endswith(".nbc") for name in names), "Numba keeps nothing"
    assert not any(name.endswith(".tmp") for name in names)


@pytest.mark.long
@pytest.mark.usefixtures("no_kernels_yet")
def test_numba_finds_them_again_in_another_process(tmp_path: Path) -> None:
    import subprocess

    script = """
import numpy as np, fastopt
from fastopt.backends import numba_backend
p = np.ones(3)
fastopt.SGD(p, lr=0.5, backend="numba").step(np.ones(3))
modules = list(numba_backend._modules.values())
hits = sum(m.entries["kernel"].cache_hits for m in modules if "kernel" in m.entries)
print(len([m for m in modules if "kernel" in m.entries]), hits, p[0])
"""
    environment = {**os.environ, "FASTOPT_CACHE_DIR": str(tmp_path)}
    answers = [
        subprocess.run([sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert answers == ["1 0 0.5\n", "1 1 0.5\n"]


@pytest.mark.usefixtures("no_kernels_yet")
def test_numba_compiles_in_memory_where_there_is_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(file / "below"))
    one_step_with_a_rule_of_its_own(0.5)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("no_kernels_yet")
def test_numba_compiles_in_memory_where_the_folder_fills_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "store", full)
    one_step_with_a_rule_of_its_own(0.75)
    assert not list(tmp_path.rglob("*.py"))


@pytest.mark.usefixtures("no_kernels_yet", "without_launcher")
def test_numbas_own_calls_need_no_folder_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(file))
    one_step_with_a_rule_of_its_own(1.0)


def test_a_folder_that_others_can_write_to_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies there is run."""
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o755)
    assert cache.directory() == tmp_path
    assert cache.why_none() is None
    for mode in (0o775, 0o757, 0o1777):
        tmp_path.chmod(mode)
        assert cache.directory() is None
        assert cache.why_none() == f"{tmp_path} can be written to by others, and what lies there is run (chmod go-w)"
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path / "link"))
    assert cache.why_none() == f"{tmp_path / 'link'} is a link, which others may be able to turn, and what lies there is run"
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    if tmp_path.stat().st_uid:
        assert cache.why_none() == f"{tmp_path} is another user's, and what lies there is run"
    monkeypatch.undo()
    monkeypatch.setenv("FASTOPT_CACHE_DIR", str(tmp_path / "new"))
    assert cache.directory() == tmp_path / "new"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_what_was_sealed_is_known_again_and_what_was_changed_is_taken_away(tmp_path: Path) -> None:
    seal, files = tmp_path / "kernel.seal", [tmp_path / "kernel.a", tmp_path / "kernel.b"]
    assert not cache.intact(seal, [])
    for file in files:
        file.write_bytes(b"code")
    assert not cache.intact(seal, files), "nobody sealed it: a process was killed"
    assert list(tmp_path.iterdir()) == []
    for damage in (lambda f: f.write_bytes(b"c0de"), lambda f: f.write_bytes(b""), lambda f: f.unlink()):
        for file in files:
            file.write_bytes(b"code")
        cache.seal(seal, files)
        assert cache.intact(seal, files)
        damage(files[1])
        with pytest.warns(RuntimeWarning, match=rf"^{tmp_path}: the files of kernel are damaged; compiling them again$"):
            assert not cache.intact(seal, [file for file in files if file.exists()])
        assert list(tmp_path.iterdir()) == []
    seal.write_text("[", encoding="utf-8")
    files[0].write_bytes(b"code")
    assert not cache.intact(seal, files[:1])


def test_one_process_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    inside, most, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with cache.locked(tmp_path / "kernel.seal"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.0005)
                with guard:
                    inside -= 1

    running = [threading.Thread(target=work) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_folder_that_was_filled_and_can_only_be_read_now_is_used(tmp_path: Path) -> None:
    """As in an image. For who may write anywhere, as root may, the system is made to say that this is not so."""
    closed = "import os\nos.access = lambda path, mode: not mode & os.W_OK\n"
    for backend in ("numba", "cython"):
        needed(backend)
        if backend == "cython":
            a_compiler_at_hand()
        folder = tmp_path / backend / "cache"
        folder.parent.mkdir()
        compiled_nothing = "import numba.core.compiler, subprocess\ndel numba.core.compiler.compile_extra, subprocess.run\n"
        assert use_a_rule(backend, folder).stdout == "0.75\n"
        held = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file())
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o500 if path.is_dir() else 0o400)
        try:
            found = use_a_rule(backend, folder, before=closed + compiled_nothing)
        finally:
            for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
                path.chmod(0o700)
        assert (found.stdout, found.stderr) == ("0.75\n", "")
        assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()) == held
    damaged = next(path for path in (tmp_path / "numba").rglob("*.nbc"))
    damaged.write_bytes(b"damaged")
    found = use_a_rule("numba", tmp_path / "numba" / "cache", before=closed)
    assert found.stdout == "0.75\n"
    assert "are damaged" in found.stderr


def test_what_a_killed_process_left_behind_is_taken_away_by_the_next(tmp_path: Path) -> None:
    others = [tmp_path / "kernel.py", tmp_path / "kernel2.x.tmp", tmp_path / "kernel.seal"]
    left = [tmp_path / "kernel.abc.tmp", tmp_path / "kernel.update-1.py311.nbi.tmp.0af"]
    for path in (*others, *left):
        path.write_text("")
    (tmp_path / "kernel.folder.tmp").mkdir()
    (tmp_path / "kernel.folder.tmp" / "kernel.c").write_text("")
    with cache.locked(tmp_path / "kernel.seal"):
        assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "kernel.lock"])
    assert sorted(tmp_path.iterdir()) == sorted(others)
