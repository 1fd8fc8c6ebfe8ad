"""A process beside this one that compiles Cython modules, one after another, and ends with it, or when there have been none for a while.

Most of what Cython takes for a small module is to be loaded: a process for each module takes 2.4 s, a second module in the same one 0.5 s.
In the caller's own process it would leave 170 MB behind.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["IDLE", "compile_module"]

IDLE = 30.0
"""Seconds without work after which the process ends."""

_one_at_a_time = threading.Lock()
_process: subprocess.Popen[str] | None = None
_of_python: dict[str, str] = {}
"""The variables that the process's Python looked at when it began; all others are given with each job."""


def compile_module(job: dict[str, Any]) -> str | None:
    """Has `NAME.pyx` in a folder compiled and linked there; answers None, or the compilers' words where that failed.

    A job is `{"folder": ..., "name": ..., "compile_flags": [...], "link_flags": [...], "environment": {...}}`. Raises OSError where no
    process can be started.
    """
    with _one_at_a_time:
        try:
            for _ in range(2):  # it may end, with nothing to do, while it is asked
                process = _running(job["environment"])
                assert process.stdin is not None
                assert process.stdout is not None
                try:
                    process.stdin.write(json.dumps(job) + "\n")
                    process.stdin.flush()
                    answer = process.stdout.readline()
                except BrokenPipeError:
                    answer = ""
                if answer:
                    words: str | None = json.loads(answer)
                    return words
                code = _end()
            return f"the process that compiles ended with {code}"
        except BaseException:  # an interrupt, say: nobody will read the answer
            _end()
            raise


def _running(environment: dict[str, str]) -> subprocess.Popen[str]:
    global _process, _of_python
    of_python = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    if _process is not None and of_python != _of_python:
        _end()
    if _process is None:
        # with no folder put before the others on its path (-P), and in a session of its own, where no Ctrl-C reaches it
        command = [sys.executable, "-P", __file__, str(IDLE)]
        _process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        _of_python = of_python
    return _process


@atexit.register  # before Python takes modules apart, and warns of pipes that are open
def _end() -> int | None:
    """Ends the process, if there is one; answers what it ended with."""
    global _process
    process, _process = _process, None
    if process is None:
        return None
    process.kill()  # nothing, if it has ended by itself
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):  # what it was asked, and did not read
            assert pipe is not None
            pipe.close()
    return process.wait()


def _after_fork_in_child() -> None:
    global _process, _one_at_a_time
    if _process is not None:
        _process.returncode = 0  # the parent's: no child may wait for it, or warn that it is running
    _process, _one_at_a_time = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


# --- the process itself, which knows nothing of fastopt


def _serve(idle: float) -> None:
    """Compiles what is asked for on the standard input, and answers on the standard output, a line each."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 1)  # whatever compilers say
        os.dup2(words.fileno(), 2)
        while True:
            patience = threading.Timer(idle, os._exit, (0,))
            patience.daemon = True
            patience.start()
            line = sys.stdin.readline()
            patience.cancel()
            if not line:
                return
            words.seek(0)
            words.truncate()
            failed = _failure(json.loads(line))
            if failed is not None:
                sys.stdout.flush()
                sys.stderr.flush()
                words.seek(0)
                failed = words.read().decode(errors="replace") + failed
            answers.write(json.dumps(failed) + "\n")
            answers.flush()


def _failure(job: dict[str, Any]) -> str | None:
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    try:
        from Cython.Build import cythonize
        from setuptools import Extension, setup

        extension = Extension(
            job["name"], [f"{job['name']}.pyx"], extra_compile_args=job["compile_flags"], extra_link_args=job["link_flags"]
        )
        setup(name=job["name"], ext_modules=cythonize([extension], quiet=True), script_args=["-q", "build_ext", "--inplace"])
    except (Exception, SystemExit) as error:  # setuptools exits with the words of what it catches
        return f"{error}\n"
    finally:
        os.chdir(Path(__file__).anchor)  # the folder is taken away
    return None


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
