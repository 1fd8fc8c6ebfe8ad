"""The process that compiles: one for many modules, gone with its caller or for want of work, and never in the way of either."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastopt.backends import cython_helper

MADE_UP = {
    "Cython/__init__.py": "",
    "Cython/Build.py": "def cythonize(extensions, quiet):\n    return extensions\n",
    "setuptools.py": """
import os, pathlib, time

class Extension:
    def __init__(self, name, sources, **flags):
        self.name, self.sources, self.flags = name, sources, flags

def setup(name, ext_modules, script_args):
    print("compiling", name)
    time.sleep(20 if name == "slow" else 0.02)
    pathlib.Path(f"{name}.said").write_text(os.environ.get("SAID", ""))
    pathlib.Path(f"{name}.built").write_text(pathlib.Path(ext_modules[0].sources[0]).read_text())
""",
}
"""In the place of Cython and setuptools, which take a second to load; `test_cython_module` has these."""


@pytest.fixture(autouse=True)
def _own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in MADE_UP.items():
        path = tmp_path / "made_up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "made_up"))
    cython_helper._end()
    yield
    cython_helper._end()


def job(folder: Path, name: str = "module") -> dict[str, Any]:
    (folder / f"{name}.pyx").write_text(f"of {name}")
    return {"folder": str(folder), "name": name, "compile_flags": [], "link_flags": [], "environment": dict(os.environ)}


def compiled(given: dict[str, Any]) -> str | None:
    return cython_helper.compile_module(given)


def built(folder: Path, name: str) -> bool:
    path = folder / f"{name}.built"
    return path.exists() and path.read_text() == f"of {name}"


def process() -> int:
    assert cython_helper._process is not None
    return cython_helper._process.pid


def gone(pid: int) -> bool:
    """Whether a process has ended, or ends within ten seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] if Path("/proc/self/stat").exists() else "?"
            os.kill(pid, 0)
        except (OSError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_one_process_compiles_many(tmp_path: Path) -> None:
    pids = set()
    for name in ("first", "second"):
        assert compiled(job(tmp_path, name)) is None
        assert built(tmp_path, name)
        pids.add(process())
    assert len(pids) == 1


def test_it_knows_the_environment_of_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled(job(tmp_path)) is None
    before = process()
    monkeypatch.setenv("SAID", "today")
    assert compiled(job(tmp_path)) is None
    assert (process(), (tmp_path / "module.said").read_text()) == (before, "today")
    shutil.copytree(tmp_path / "made_up", tmp_path / "other")
    (tmp_path / "other" / "setuptools.py").write_text("raise ImportError('not today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    assert compiled(job(tmp_path)) == "not today\n"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "made_up"))
    assert compiled(job(tmp_path)) is None


def test_whatever_compilers_say_comes_with_a_failure_and_with_no_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert compiled(job(tmp_path, "first")) is None
    assert "at_all" in (compiled(job(tmp_path) | {"name": "nowhere_that_can_be_found_at_all"}) or "")
    words = compiled(job(tmp_path) | {"name": "nowhere"})
    assert words is not None
    assert "at_all" not in words
    assert words.splitlines()[0] == "compiling nowhere"
    assert "nowhere.pyx" in words.splitlines()[-1]
    assert capfd.readouterr() == ("", "")


def test_threads_take_turns(tmp_path: Path) -> None:
    names = [f"of_thread_{k}" for k in range(3)]
    threads = [threading.Thread(target=compiled, args=(job(tmp_path, name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(built(tmp_path, name) for name in names)


def test_it_ends_when_there_is_nothing_to_do_and_another_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cython_helper, "IDLE", 0.05)
    assert compiled(job(tmp_path, "first")) is None
    before = process()
    assert gone(before)
    assert compiled(job(tmp_path, "second")) is None
    assert process() != before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_one_that_was_killed_is_followed_by_another(tmp_path: Path) -> None:
    assert compiled(job(tmp_path, "first")) is None
    os.kill(process(), signal.SIGKILL)
    assert compiled(job(tmp_path, "second")) is None
    assert built(tmp_path, "second")


def test_one_that_always_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "ends.py"
    script.write_text("import sys; sys.stdin.readline(); sys.exit(7)\n")
    monkeypatch.setattr(cython_helper, "__file__", str(script))
    assert compiled(job(tmp_path)) == "the process that compiles ended with 7"
    assert cython_helper._process is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_its_own(tmp_path: Path) -> None:
    assert compiled(job(tmp_path, "first")) is None
    before = process()
    child = os.fork()
    if child == 0:
        good = cython_helper._process is None and compiled(job(tmp_path, "of_child")) is None and process() != before
        cython_helper._end()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert compiled(job(tmp_path, "second")) is None
    assert process() == before


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there are no such signals here")
def test_an_interrupt_ends_it_and_the_next_answer_is_to_the_next_question(tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: Any) -> None:
        raise Interrupted

    assert compiled(job(tmp_path, "first")) is None
    before = process()
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Interrupted):
            compiled(job(tmp_path, "slow"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert gone(before)
    assert "nowhere" in (compiled(job(tmp_path) | {"name": "nowhere"}) or "")


def test_nothing_is_left_of_it_when_its_caller_ends(tmp_path: Path) -> None:
    text = "import json, sys; from fastopt.backends import cython_helper as helper\n"
    text += "assert helper.compile_module(json.loads(sys.argv[1])) is None; print(helper._process.pid)"
    command = [sys.executable, "-W", "error", "-c", text, json.dumps(job(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert gone(int(done.stdout))
