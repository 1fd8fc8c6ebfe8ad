"""A little of each attack; that each sees what it looks for; and the command."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastopt
from fastopt import arguments, checkpoint
from fastopt.host import arrays as host_arrays
from fastopt.optimizers.following import Following
from fastopt.optimizers.holding import Holding
from fastopt.optimizers.saving import Saving
from fastopt.plan import Plan
from fastopt.structure import Structure
from tests.attack import __main__ as command
from tests.attack import fuzz
from tests.attack.bad import CALLS
from tests.attack.calls import REFUSED, Calls
from tests.attack.catalogue import ATTACKS
from tests.attack.outcome import Outcome
from tests.conftest import AVAILABLE

pytestmark = pytest.mark.long

SIZES = {
    "checkpoints": 0.12,
    "caches": 0.01,
    "disks": 0.01,
    "saves": 0.03,
    "compilations": 0.01,
    "forks": 0.01,
    "interrupts": 0.05,
    "races": 0.01,
    "flags": 0.01,
    "calls": 0.002,
}
"""Of every attack but for those that are a test elsewhere (the modes), or would take minutes to build (the sanitizers)."""

needs_safetensors = pytest.mark.skipif(importlib.util.find_spec("safetensors") is None, reason="fastopt[checkpoints] is not installed")


def test_every_attack_is_made_here_or_elsewhere() -> None:
    assert set(SIZES) == set(ATTACKS) - {"modes", "sanitizers"}


@needs_safetensors
@pytest.mark.parametrize("name", SIZES)
def test_a_little_of_it(name: str) -> None:
    outcome = ATTACKS[name](SIZES[name], lambda text: None)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.left_out or outcome.counts.total() > 0
    if name == "calls":
        assert outcome.counts["calls"] >= 2000
        assert outcome.counts["of them refused"] > 50


def _scale_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "grad_scale", lambda value: 1.0)


def _any_layout_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "lies_like", lambda *given: None)


def _a_norm_is_one_ulp_more(monkeypatch: pytest.MonkeyPatch) -> None:
    norm = Plan.norm
    monkeypatch.setattr(Plan, "norm", lambda self, gradients: float(np.nextafter(norm(self, gradients), np.inf)))


def _only_the_first_group_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    configure = Holding._configure
    monkeypatch.setattr(Holding, "_configure", lambda self, which, changes: configure(self, list(which)[:1], changes))


def _a_count_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Saving._take

    def forgets(self: Any, given: Any) -> None:
        take(self, {**given, "slots": [{**slot, "steps": 0} for slot in given["slots"]]})

    monkeypatch.setattr(Saving, "_take", forgets)


def _a_gradient_more_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = Structure._sequence
    monkeypatch.setattr(Structure, "_sequence", lambda self, values, argument: sequence(self, list(values)[: len(self.keys)], argument))


def _a_gradient_is_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_arrays, "gradient", lambda *given: None)


def _schedules_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Following, "_follow", lambda self, captured=False: None)


PLANTED = [
    _scale_is_forgotten,
    _any_layout_will_do,
    _a_norm_is_one_ulp_more,
    _only_the_first_group_is_configured,
    _a_count_is_not_taken_over,
    _a_gradient_more_is_ignored,
    _a_gradient_is_cast,
    _schedules_are_not_followed,
]


@needs_safetensors
@pytest.mark.parametrize("plant", PLANTED)
def test_a_mistake_is_found_by_calls_at_random(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    own = {"tried": ("sgd", "adam", "nadam"), "backends": ("numpy",), "shrinks": False}
    whole = fuzz.batch
    monkeypatch.setattr(fuzz, "batch", lambda number, examples, **what: whole(number, examples, **{**what, **own}))
    assert ATTACKS["calls"](0.002, lambda text: None).faults


@needs_safetensors
def test_a_digest_that_nobody_looks_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_digest", lambda metadata, tensors: metadata.get("digest", ""))
    outcome = ATTACKS["checkpoints"](0.05, lambda text: None)
    assert outcome.faults


def test_every_bad_call_applies_to_some_optimizer() -> None:
    """At random some come late; here each is made of optimizers of several structures, and refused."""
    applied = set()
    for seed, kind in enumerate(["array", "list", "mapping", "nested"] * 3):
        machine = Calls()
        how: dict[str, Any] = {"nonfinite": "propagate", "max_norm": None, "accumulate": 1, "threads": None}
        machine.construct(seed=seed, name=1, kind=kind, count=4, mixed=True, grouped=False, **how)
        for which, (name, _) in enumerate(CALLS):
            before = REFUSED[name]
            machine.one_is_refused(seed, which)
            if REFUSED[name] > before:
                applied.add(name)
    assert applied == {name for name, _ in CALLS}


def test_the_command_prints_counts_and_faults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"forks": Outcome(), "calls": Outcome()}
    found["forks"].counts["forks"] = 7
    found["forks"].left_out = ["nothing else"]
    found["calls"].counts["calls"] = 1000
    monkeypatch.setattr(command, "_elsewhere", lambda name, size, part: found[name])
    assert command._all(["forks", "calls"], 0.1, 0.0) == 0
    printed = capsys.readouterr().out
    assert "| forks | 7 forks | 0 |" in printed
    assert "| calls | 2,000 calls | 0 |" in printed, "two parts"
    assert "left out: nothing else" in printed
    found["calls"].faults.append("a bit")
    assert command._all(["calls"], 0.01, 0.0) == 1
    assert "FAULT a bit" in capsys.readouterr().out


def test_a_process_that_ends_is_a_fault() -> None:
    outcome = command._elsewhere("no such attack", 1.0, 0)
    assert len(outcome.faults) == 1
    assert "the process ended with 2" in outcome.faults[0]


@needs_safetensors
def test_a_part_of_it_as_a_process() -> None:
    arguments_of_it = ["checkpoints", "--size", "0.01", "--part", "0"]
    done = subprocess.run([sys.executable, "-m", "tests.attack", *arguments_of_it], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["counts"]["altered checkpoints"] > 40


def test_it_attacks_every_backend_that_is_there() -> None:
    assert set(Calls.backends) == {name for name in AVAILABLE if name != "cuda"}
    assert set(Calls.tried) == set(fastopt.RULES)
