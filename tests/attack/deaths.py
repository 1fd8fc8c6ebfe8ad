"""Processes that end in the middle of something: while they save, while they compile; and processes that fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np

import fastopt
from tests.attack.files import USES, use_a_rule
from tests.attack.outcome import Outcome, Say
from tests.documents import ROOT

__all__ = ["forks", "killed_compilations", "killed_saves"]

SAVES = """
import numpy as np, fastopt, sys
opt = fastopt.SGD(np.ones(400_000), momentum=0.5, lr=0.0)
print("ready", flush=True)
while True:
    opt.step(np.full(400_000, float(opt.steps + 1)))
    opt.save(sys.argv[1])
"""


KEPT, FOLDERS = (".py", ".nbi", ".nbc", ".so", ".seal"), ("cython", "__pycache__")
"""Of compiled kernels: the files that stay, and where they are."""


def _killed_after(seconds: float, command: list[str], **environment: str) -> None:
    """Starts a process, waits until it says that it is ready, and kills it so many seconds later."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **environment}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def killed_saves(size: float, say: Say) -> Outcome:
    """A process that saves over and over is killed at any time: what is there is the whole state after some step, and one other file."""
    outcome, rng = Outcome(), np.random.default_rng(0)
    if os.name != "posix":
        outcome.left_out.append("killed saves: signals are POSIX's")
        return outcome
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        for trial in range(max(2, round(60 * size))):
            _killed_after(float(rng.uniform(0.0, 0.1)), [sys.executable, "-c", SAVES, str(path)])
            outcome.counts["killed saves"] += 1
            left = sorted(found.name for found in Path(folder).iterdir())
            outcome.holds(left in (["run"], [".run.saving", "run"], [".run.saving"], []), f"killed save {trial}: {left} are there")
            if path.exists():
                opt = fastopt.SGD(np.ones(400_000), momentum=0.5)
                opt.load(path)
                after = _momentum_after(opt.steps)
                outcome.holds(
                    bool((opt.flat_state()["b"][0] == after).all()), f"killed save {trial}: not the state after {opt.steps} steps"
                )
                outcome.counts["of them after which a state was there"] += 1
        say(f"killed saves: {outcome.counts['killed saves']}")
    return outcome


def _momentum_after(steps: int) -> float:
    average = 0.0
    for step in range(1, steps + 1):
        average = 0.5 * average + step
    return average


def killed_compilations(size: float, say: Say) -> Outcome:
    """A process that compiles is killed at any time: the next one compiles again or finds all, and nothing temporary piles up."""
    outcome, rng = Outcome(), np.random.default_rng(1)
    if os.name != "posix":
        outcome.left_out.append("killed compilations: signals are POSIX's")
        return outcome
    for backend, takes in (("numba", 1.2), ("cython", 3.0)):
        if fastopt.available_backends()[backend] is not True:
            outcome.left_out.append(f"killed compilations: {backend} cannot be used here")
            continue
        for _ in range(max(1, round(15 * size))):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch, "cache")
                script = Path(scratch, "rule.py")
                script.write_text("print('ready', flush=True)\n" + USES, encoding="utf-8")
                command = [sys.executable, str(script), backend]
                _killed_after(float(rng.uniform(0.3, takes)), command, FASTOPT_CACHE_DIR=str(folder), PYTHONPATH=str(ROOT))
                outcome.counts["killed compilations"] += 1
                outcome.counts["of them in the middle"] += folder.exists() and not any(folder.rglob("*.seal"))
                done = use_a_rule(backend, folder)
                what = f"after a killed compilation by {backend}"
                outcome.holds((done.stdout, done.stderr) == ("0.75\n", ""), f"{what}: {done.returncode} {done.stdout}{done.stderr[-500:]}")
                left = [path.name for path in folder.rglob("*") if path.suffix not in KEPT and not (path.is_dir() and path.name in FOLDERS)]
                outcome.holds(not [name for name in left if not name.startswith("numba-")], f"{what}: {left} are left")
        say(f"killed compilations: {dict(outcome.counts)}")
    return outcome


FORKS = """
import os, sys, threading
import numpy as np
import fastopt
from fastopt.backends import numba_backend
from fastopt.host import launched

launched.PARALLEL_FROM = launched.WAKE_FROM = numba_backend.PARALLEL_FROM = 0
count, backend = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)

def made():
    return fastopt.Adam([np.ones(20_000, np.float32), np.ones(3_000, np.float32)], backend=backend, num_threads=3)

grads = [np.full(20_000, 0.5, np.float32), np.full(3_000, -0.25, np.float32)]
def expected(steps):
    opt = made()
    for _ in range(steps):
        opt.step(grads)
    return [p.tobytes() for p in opt.params]

after = [expected(steps) for steps in range(7)]
opt, busy = made(), made()
opt.step(grads)
stop = threading.Event()
def goes_on():
    while not stop.is_set():
        busy.step(grads)
other = threading.Thread(target=goes_on)  # so that helpers are in the middle of something at most forks
other.start()
wrong = 0
for _ in range(count):
    pid = os.fork()
    if not pid:
        try:
            steps = int(rng.integers(1, 5))
            for _ in range(steps):
                opt.step(grads)
            own = made()
            own.step(grads)
            good = [p.tobytes() for p in opt.params] == after[1 + steps] and [p.tobytes() for p in own.params] == after[1]
            if os.getpid() % 3 == 0:  # a child of a child
                pid = os.fork()
                if not pid:
                    opt.step(grads)
                    os._exit([p.tobytes() for p in opt.params] != after[2 + steps])
                good = good and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            os._exit(not good)
        except BaseException:
            os._exit(2)
    rng.integers(1, 5)
    wrong += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
stop.set()
other.join()
print(wrong, [p.tobytes() for p in opt.params] == after[1], flush=True)
os._exit(0)
"""


def forks(size: float, say: Say) -> Outcome:
    """Children forked while another thread steps: each steps what it has of its parent, and what it makes, with the right bits."""
    outcome = Outcome()
    if not hasattr(os, "fork"):
        outcome.left_out.append("forks: there is no fork here")
        return outcome
    count = max(10, round(1000 * size))
    for backend in (name for name in ("numba", "cython") if fastopt.available_backends()[name] is True):
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORKS), str(count), backend]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120 + count)
        except subprocess.TimeoutExpired:
            outcome.faults.append(f"forks on {backend}: a child or its parent waits for ever")
            continue
        outcome.holds(done.stdout == "0 True\n", f"forks on {backend}: {done.stdout}{done.stderr[-500:]}")
        outcome.counts["forks"] += count
        say(f"forks: {outcome.counts['forks']}")
    return outcome
