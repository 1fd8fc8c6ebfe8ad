"""Threads that step, load and change one optimizer at the same time, and take gradients away while they are read."""

from __future__ import annotations

import subprocess
import sys

import fastopt
from tests.attack.outcome import Outcome, Say

__all__ = ["races"]

SCRIPT = """
import sys, threading, gc
import numpy as np
import fastopt

backend, size, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.setswitchinterval(1e-5)

def made():
    p = [np.ones(size, np.float32), np.ones(size // 3), np.ones(17, np.float32)]
    return fastopt.Adam(p, lr=0.01, backend=backend)

def fresh(opt):
    return [np.full_like(p, 0.5) for p in opt._params]

opt, beside = made(), made()
shared = fresh(opt)
errors, stop = [], threading.Event()

def guarded(work):
    def run():
        try:
            work()
        except BaseException as error:
            errors.append(repr(error))
    return threading.Thread(target=run)

def steps():
    for _ in range(rounds):
        opt.step(fresh(opt))

def steps_with_shared():
    for _ in range(rounds):
        opt.step(shared)

def takes_away():
    k = 0
    while not stop.is_set():
        shared[k % 3] = np.full_like(opt._params[k % 3], 0.5)
        k += 1
        if k % 50 == 0:
            gc.collect()

def looks():
    while not stop.is_set():
        kept = opt.state_dict()
        assert all(slot["steps"] == kept["steps"] for slot in kept["slots"]), "a count that is half done"
        m = kept["state"]["m"]
        assert all((own == own.flat[0]).all() for own in m), "a state that is half done"
        opt.configure(lr=0.01)

def calls_functional():
    p, g, m, v = (np.zeros(size) for _ in range(4))
    held = [np.ones(size)]
    for step in range(1, rounds + 1):
        fastopt.functional.adam(p, held[0], m, v, step=step, lr=0.0, backend=backend)
        held[0] = np.ones(size)

work = [guarded(w) for w in (steps, steps, steps_with_shared, calls_functional)]
beside_them = [guarded(w) for w in (takes_away, looks)]
for thread in (*beside_them, *work):
    thread.start()
for thread in work:
    thread.join()
stop.set()
for thread in beside_them:
    thread.join()
while beside.steps < 3 * rounds:
    beside.step(fresh(beside))
same = opt.steps == beside.steps and all(a.tobytes() == b.tobytes() for a, b in zip(opt._params, beside._params))
print(same, errors)
"""


def races(size: float, say: Say) -> Outcome:
    """Six threads at one optimizer: what they made is what one thread would have, and no gradient is read after it is gone."""
    outcome = Outcome()
    there = [name for name in ("numpy", "numba", "cython") if fastopt.available_backends()[name] is True]
    sizes = [(300, 1000), (30_000, 300), (1_000_000, 40)]
    for backend in there[-2:] if size < 0.1 else there:
        for elements, rounds in sizes[:2] if size < 0.1 else sizes:
            rounds = max(8, round(rounds * size))
            for _ in range(max(1, round(4 * size))):
                command = [sys.executable, "-c", SCRIPT, backend, str(elements), str(rounds)]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
                except subprocess.TimeoutExpired:
                    outcome.faults.append(f"races on {backend}, {elements}: they wait for each other")
                    continue
                outcome.holds(
                    done.stdout == "True []\n", f"races on {backend}, {elements}: {done.returncode} {done.stdout}{done.stderr[-500:]}"
                )
                outcome.counts["races"] += 1
                outcome.counts["steps in races"] += 3 * rounds
        say(f"races: {outcome.counts['races']}")
    return outcome
