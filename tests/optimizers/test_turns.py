"""One at a time: what another thread, a signal handler or a forked child finds while an optimizer is being stepped."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import checkpoint
from fastopt.optimizers import turns
from fastopt.optimizers.turns import new_turn
from tests.conftest import needed
from tests.documents import ROOT
from tests.host.test_launched import SIGNATURE

WHY = "expected an optimizer that nobody else works on"


class During:
    """A kernel that does something in Python in the middle of a step, in the place of an optimizer's own."""

    def __init__(self, opt: Any, something: Callable[[], Any]) -> None:
        self.calls = 0

        def kernel(*_: int) -> int:
            self.calls += 1
            something()
            return 0

        self.function = SIGNATURE(kernel)
        address = launch_address(self.function)
        for batch in opt._plan.batches:
            batch.runner.update = batch.runner._bound(address, batch.work.kernel.scalar_count, 0)
            batch.runner.at_once = batch.runner.update.step
        opt._plan._settle()


def launch_address(function: Any) -> int:
    found = ctypes.cast(function, ctypes.c_void_p).value
    assert found is not None
    return found


def at_once() -> Any:
    return fastopt.Adam([np.ones(5, np.float32)], backend="cython")


def by_parts() -> Any:
    return fastopt.Adam([np.ones(5, np.float32), np.ones(5)], backend="cython")


@pytest.fixture(autouse=True)
def _launcher() -> None:
    needed("cython")


@pytest.mark.parametrize("make", [at_once, by_parts])
def test_a_step_holds_its_gradients(make: Callable[[], Any]) -> None:
    """Another thread may take an array out of the list that the step was given; it is read by its address at that time."""
    opt = make()
    grads = [np.ones_like(p) for p in opt.params]
    alive = [weakref.ref(g) for g in grads]
    found = []

    def takes_them_out() -> None:
        grads[:] = [None] * len(grads)
        gc.collect()
        found.append([ref() is not None for ref in alive])

    during = During(opt, takes_them_out)
    opt.step(grads)
    assert during.calls == len(found) > 0
    assert all(all(each) for each in found)
    del opt
    assert not any(ref() is not None for ref in alive), "they are held longer than they are read"


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "step": lambda opt, grads: opt.step(grads),
    "step with max_norm": lambda opt, grads: opt.step(grads, max_norm=1.0),
    "configure": lambda opt, grads: opt.configure(lr=0.5),
    "a group's argument": lambda opt, grads: setattr(opt.groups[0], "weight_decay", 0.5),
    "add_param_group": lambda opt, grads: opt.add_param_group({"params": np.ones(3)}),
    "state_dict": lambda opt, grads: opt.state_dict(),
    "flat_state": lambda opt, grads: opt.flat_state(),
    "load_state_dict": lambda opt, grads: opt.load_state_dict(KEPT[len(grads)]),
}
KEPT: dict[int, Any] = {}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("make", [at_once, by_parts])
def test_another_thread_waits(make: Callable[[], Any], name: str) -> None:
    opt = make()
    grads = [np.ones_like(p) for p in opt.params]
    KEPT[len(grads)] = opt.state_dict()
    opt.step(grads)
    inside, go_on, order = threading.Event(), threading.Event(), []

    def waits() -> None:
        if not inside.is_set():
            inside.set()
            assert go_on.wait(60)
            order.append("step")

    during = During(opt, waits)

    def call() -> None:
        CALLS[name](opt, grads)
        order.append("call")

    first, second = threading.Thread(target=opt.step, args=(grads,)), threading.Thread(target=call)
    first.start()
    assert inside.wait(60)
    second.start()
    second.join(0.05)
    assert second.is_alive(), "it did not wait for the step"
    go_on.set()
    first.join(60)
    second.join(60)
    assert order == ["step", "call"]
    assert during.calls


def test_many_threads_step_as_many_times_as_one_would() -> None:
    for make in (at_once, by_parts):
        opt, beside = make(), make()
        grads = [np.full_like(p, 0.5) for p in opt.params]
        threads = [threading.Thread(target=lambda opt=opt, grads=grads: [opt.step(grads) for _ in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(2000):
            beside.step(grads)
        assert opt.steps == 2000
        assert all((a == b).all() for a, b in zip(opt.params, beside.params, strict=True))


def test_others_may_step_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may take seconds; what is written was copied before."""
    pytest.importorskip("safetensors")
    opt, grads, flush = at_once(), [np.ones(5, np.float32)], checkpoint._flush

    def steps_meanwhile(path: Path) -> None:
        with ThreadPoolExecutor(1) as other:
            assert other.submit(opt.step, grads).result(60)
        flush(path)

    monkeypatch.setattr(checkpoint, "_flush", steps_meanwhile)
    opt.save(tmp_path / "file")
    restored = at_once()
    restored.load(tmp_path / "file")
    assert (restored.steps, opt.steps) == (0, 2)


def test_in_the_middle_of_a_call_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same thread, from a signal handler or a rule's function: nothing is half done, but an error."""
    opt = by_parts()
    grads = [np.ones_like(p) for p in opt.params]
    errors = []

    def looks_closer(*_: Any) -> int:
        for name in CALLS:
            with pytest.raises(RuntimeError) as caught:
                CALLS[name](opt, grads)
            errors.append(str(caught.value))
        return 0

    for batch in opt._plan.batches:
        monkeypatch.setattr(batch.work, "gather", looks_closer)
    opt.step(grads)
    monkeypatch.undo()
    expected = f"{WHY}; it was called in the middle of another call on the same optimizer, by a signal handler or by a rule's function"
    assert len(errors) >= len(CALLS)
    assert {error.partition(": ")[2] for error in errors} == {expected}
    assert opt.step(grads)
    assert opt.steps == 2


FORKED = """
import os, sys, threading
import numpy as np
import fastopt
from fastopt import checkpoint
from fastopt.optimizers import turns
from tests.optimizers.test_turns import During, at_once

def child(opt):
    pid = os.fork()
    if not pid:
        try:
            opt.step(grads)
        except RuntimeError as error:
            os._exit(7 if "this process was forked while another thread was at it" in str(error) else 1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

grads = [np.ones(5, np.float32)]
inside, go_on = threading.Event(), threading.Event()
if sys.argv[1] == "compiled":
    opt = at_once()
    def waits():
        inside.set()
        go_on.wait(60)
    during = During(opt, waits)
else:  # without the launcher
    turns.Turn = turns._Turn
    opt = fastopt.Adam([np.ones(5, np.float32)], backend="numpy")
    refresh = opt._plan.batches[0].work.refresh
    def waits(*given):
        inside.set()
        go_on.wait(60)
        refresh(*given)
    opt._plan.batches[0].work.refresh, opt._plan.batches[0].work.gather = waits, lambda gradients: 0
thread = threading.Thread(target=opt.step, args=(grads,))
thread.start()
inside.wait(60)
in_the_middle = child(opt)
go_on.set()
thread.join()
print(in_the_middle, child(opt), opt.steps)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("kind", ["compiled", "in Python"])
def test_a_child_forked_in_the_middle_of_a_step_is_told(kind: str) -> None:
    """And one that was forked when nobody was at it may go on."""
    command = [sys.executable, "-c", FORKED, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    assert done.stdout == "7 0 1\n"


def test_the_turn_in_python_is_as_the_compiled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there where nothing was compiled."""
    compiled = new_turn()
    monkeypatch.setattr(turns, "Turn", turns._Turn)
    plain = new_turn()
    assert type(plain) is not type(compiled)
    for turn in (plain, compiled):
        assert (turn.taken, turn.forked, turn.at_once, turn.steps) == (False, False, None, 0)
        with ThreadPoolExecutor(1) as other, turn.lock:
            with turn.lock:
                pass
            waits = other.submit(lambda turn=turn: turn.lock.__enter__() is not None)
            with pytest.raises(TimeoutError):
                waits.result(0.02)
            turn.lock.__exit__(None, None, None)
            assert waits.result(60)
            other.submit(turn.lock.__exit__, None, None, None).result(60)
            turn.lock.__enter__()
        assert not turn.after_fork(), "it is nobody's"
    opt = fastopt.Adam([np.ones(5, np.float32)], backend="numpy")
    running = [threading.Thread(target=lambda: [opt.step([np.ones(5, np.float32)]) for _ in range(100)]) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert opt.steps == 400
