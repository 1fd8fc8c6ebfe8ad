"""From cells to the record: what is measured one after the other, and in turns within."""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastopt
from fastopt.crosscheck import Case, compare
from fastopt.rules.entry import RULES, Rule

from .. import peers, records
from ..interleave import interleave
from ..markdown import bytes_of, time_of
from ..peers import Peer
from ..sources import Shape, elements
from . import card, contenders, graphs, sources
from .clock import Clock, Enqueued, Events, Timed, Waited, synchronize
from .contenders import CONTENDERS, COPY, SUBJECT
from .copying import copy_of, memory_needed
from .profiles import FRESH, PROFILES

__all__ = ["Run", "bench"]

ROOM = 0.8
"""The share of the device's free memory that a cell may take."""

SETS = 3
"""Sets of gradients that take turns where they are to be fresh."""


class Run:
    """One run of a profile on one device. `entries` are the record's, and `skipped` what is not in it, with its reason."""

    def __init__(self, profile: str, save: Callable[[Run], None]) -> None:
        self.profile, self.save = PROFILES[profile], save
        self.clock = Events()
        self.source = sources.for_fastopt()
        self.peers_on = "cpu" if card.emulated() else "cuda"
        self.entries: list[dict[str, Any]] = []
        self.skipped: list[dict[str, str]] = []
        self.absent = contenders.missing(self.peers_on)
        self.started = time.monotonic()

    def everything(self) -> None:
        """Peers and launches first: those are what a run that is cut short should have."""
        self.verify()
        gc.freeze()  # what the frameworks made when they were imported is not looked through again by every collection
        self.launches()
        release()
        self.graphs()
        release()
        for label, shapes in self.profile.rows.items():
            for row in (label, label + FRESH) if len(shapes) > 1 else (label,):
                self.beside(row, shapes)
                release()
        self.rules()

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"{time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def verify(self) -> None:
        """Before anything is timed: what is fast and wrong has no time. A peer that fails is left out with its reason."""
        for rule, dtype in itertools.product(RULES.values(), self.profile.sizes):
            distance = compare(rule, "cuda", np.dtype(dtype), Case("defaults", {}), steps=2, lengths=(1, 33, 257))
            if distance:
                raise AssertionError(f"{rule.name}, cuda, {dtype}: {distance} ULP from the reference")
        self.say(f"every rule: the same bits as the reference, {' and '.join(self.profile.sizes)}")
        for name, kind in CONTENDERS.items():
            if name not in self.absent:
                try:
                    peers.verify(kind, self.peers_on)
                except Exception as error:  # whatever a peer fails with, the others go on without it
                    if name == SUBJECT:
                        raise
                    self.absent[name] = _reason(error)
            self.say(f"{name}: {self.absent.get(name, 'computes Adam')}")

    def launches(self) -> None:
        """What one call costs the host: gradients standing, nothing waited for."""
        size = self.profile.launch
        kept = {name: self.contender(name, [size]) for name in (SUBJECT, "torch fused", "torch foreach") if name not in self.absent}
        timed = {name: self.timed(peer.step, clock=Enqueued()) for name, peer in kept.items()}
        self.measure(timed, self.profile.per_row, group="launch", label="a call of step()", **_about([size]))

    def graphs(self) -> None:
        """Replays of a captured step, in the host's time and in the device's."""
        if reason := graphs.missing():
            self.skip("launch", "a replay of a CUDA graph", reason)
            return
        size = self.profile.launch
        kept: dict[str, Peer] = {}
        for name, kind in graphs.GRAPHS.items():
            try:
                peers.verify(kind, self.peers_on)
                kept[name] = self.contender(name, [size], kind)
            except Exception as error:  # likewise
                if name == SUBJECT:
                    raise
                self.skip("launch", f"a replay of a CUDA graph, {name}", _reason(error))
        if SUBJECT in kept:
            for label, clock in (("a replay of a CUDA graph, host", Enqueued()), ("a replay of a CUDA graph, device", self.clock)):
                timed = {name: self.timed(peer.step, clock=clock) for name, peer in kept.items()}
                self.measure(timed, self.profile.per_row, group="launch", label=label, **_about([size]))

    def beside(self, label: str, shapes: list[Shape]) -> None:
        """Adam in float32 beside everyone who is there and fits."""
        fresh, count, traffic = label.endswith(FRESH), elements(shapes), 28 * elements(shapes)
        sets = SETS if fresh else 1
        kept: dict[str, Timed] = {}
        left_out: dict[str, str] = {}
        placed: dict[str, tuple[list[Any], list[list[Any]]]] = {}
        needed = memory_needed(traffic)
        if reason := does_not_fit(needed + count * (4 * (1 + sets) + 8)):
            self.skip("peers", label, reason)
            return
        kept[COPY] = self.timed(copy_of(traffic), clock=self.clock)
        for name, kind in CONTENDERS.items():
            if name in self.absent:
                continue
            if reason := does_not_fit(count * kind.bytes_of_own):
                left_out[name] = reason
                continue
            try:
                source = kind.source(self.peers_on)
                if source.name not in placed:
                    params = source.random(shapes, "float32", 0)
                    placed[source.name] = params, [source.random(shapes, "float32", 1 + k) for k in range(sets)]
                params, gradients = placed[source.name]
                peer = kind(params, gradients[0])
                clock = Waited(peer.finish) if peer.runs_ahead else self.clock  # no event of ours sees work on other streams
                if fresh:
                    timed = self.timed(partial(_call, peer), _renewal(peer, gradients), clock=clock)
                else:
                    timed = self.timed(peer.step, clock=clock)
                timed.block(1)  # states are made now, and what follows sees how much memory is left
                synchronize()
                kept[name] = timed
            except Exception as error:  # likewise; most likely there was no memory left
                if name == SUBJECT:
                    raise
                left_out[name] = _reason(error)
        ordered = {SUBJECT: kept.pop(SUBJECT), **kept}
        clocks = {name: timed.clock.name for name, timed in ordered.items() if timed.clock is not None}
        about = _about(shapes) | {"bytes_per_parameter": 28, "working_set": 4 * (3 + sets) * count, "clocks": clocks, "left_out": left_out}
        self.measure(ordered, self.profile.per_row, group="peers", label=label, **about)
        for name, reason in left_out.items():
            self.say(f"    without {name}: {reason}")

    def rules(self) -> None:
        """Every rule over the sizes, beside a copy; parameters and gradients are the same for all rules of a size."""
        for dtype, sizes in self.profile.sizes.items():
            for size in sizes:
                self.rules_of(dtype, size)

    def rules_of(self, dtype: str, size: int) -> None:
        """Every rule at one size."""
        itemsize = np.dtype(dtype).itemsize
        arrays: tuple[list[Any], list[Any]] | None = None
        for rule in RULES.values():
            label = f"{size:,}"
            traffic = rule.bytes_per_parameter(itemsize) * size
            streams = (len(rule.states) + (0 if arrays else 2)) * itemsize * size
            if reason := does_not_fit(memory_needed(traffic) + streams):
                self.skip("step", f"{rule.name}, {dtype}, {label}", reason)
                continue
            if arrays is None:
                arrays = self.source.random([size], dtype, 0), self.source.random([size], dtype, 1)
            self.rule(rule, dtype, size, arrays, traffic)
            release()

    def rule(self, rule: Rule, dtype: str, size: int, arrays: tuple[list[Any], list[Any]], traffic: int) -> None:
        """One rule at one size."""
        params, grads = arrays
        optimizer = fastopt.Optimizer(params, rule, 1e-4)
        timed = {
            SUBJECT: self.timed(partial(optimizer.step, grads), clock=self.clock),
            COPY: self.timed(copy_of(traffic), clock=self.clock),
        }
        about = _about([size]) | {"rule": rule.name, "dtype": dtype, "bytes_per_parameter": traffic // size}
        about |= {"working_set": (2 + len(rule.states)) * np.dtype(dtype).itemsize * size}
        self.measure(timed, self.profile.per_cell, group="step", label=f"{size:,}", **about)

    def timed(self, step: Callable[[], object], prepare: Callable[[], object] | None = None, *, clock: Clock) -> Timed:
        """Something to be timed in blocks of the profile's length."""
        return Timed(step, prepare, clock=clock, longest=self.profile.block)

    def contender(self, name: str, shapes: Sequence[Shape], kind: type[Peer] | None = None) -> Peer:
        """A contender on arrays of its own."""
        kind = kind or CONTENDERS[name]
        source = kind.source(self.peers_on)
        return kind(source.random(shapes, "float32", 0), source.random(shapes, "float32", 1))

    def measure(self, timed: dict[str, Timed], budget: float, **info: Any) -> None:
        """Times them in turns, and adds them to the record, which is written at once: a run that is cut short leaves what it has."""
        row = records.row_of(interleave(timed, budget), **info)
        what = [str(info[key]) for key in ("rule", "dtype", "label") if key in info]
        self.entries += records.entries(f"{info['group']}: {', '.join(what)}", row)
        self.save(self)
        self.say(f"{' '.join(what)}: {', '.join(f'{name} {time_of(row.median(name))}' for name in row.seconds)}")

    def skip(self, group: str, what: str, reason: str) -> None:
        """What is not measured is named with its reason."""
        self.skipped.append({"group": group, "label": what, "reason": reason})
        self.save(self)
        self.say(f"{what}: skipped: {reason}")


def release() -> None:
    """Waits for the device, and gives back what nothing uses."""
    synchronize()
    sources.release()


def does_not_fit(needed: int) -> str | None:
    """Why so many bytes more cannot be had, or None."""
    free = card.free_bytes()
    if needed <= ROOM * free:
        return None
    return f"needs {bytes_of(needed)}, and {ROOM:.0%} of what is free are {bytes_of(ROOM * free)}"


def _about(shapes: Sequence[Shape]) -> dict[str, Any]:
    return {"tensors": len(shapes), "elements": elements(shapes)}


def _call(peer: Peer) -> object:
    return peer.step()


def _renewal(peer: Peer, gradients: list[list[Any]]) -> Callable[[], object]:
    """Hands over the next set of gradients at every call."""
    following = itertools.cycle(gradients)
    return lambda: peer.new_gradients(next(following))


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"failed: {type(error).__name__}: {text[0][:200] if text else ''}".rstrip(": ")


def bench(profile: str, output: Path | None) -> int:
    """Measures, and writes the record and the report; 1 with one line where there is no GPU to measure on.

    Without `output` it goes to reports/, into a folder named after the GPU; a rehearsal has to be told where.
    """
    reason = fastopt.available_backends()["cuda"]
    if reason is not True:
        print(f"fastopt bench: the cuda backend cannot be used here: {reason}", file=sys.stderr)
        return 1
    card.select()
    machine = card.describe(profile)
    if output is None:
        if card.rehearsal(machine):
            print("fastopt bench: expected --output FOLDER for a rehearsal (an emulated device, or --profile smoke)", file=sys.stderr)
            return 1
        output = Path("reports", card.slug(machine["device"]["name"]))
    output.mkdir(parents=True, exist_ok=True)
    scratch, record = output / "record.json.new", output / "record.json"
    date = datetime.now(UTC).isoformat()

    def save(run: Run) -> None:
        described = {"fastopt": machine | {"skipped": run.skipped}}
        content = {"machine_info": described, "commit_info": {}, "datetime": date, "benchmarks": run.entries}
        scratch.write_text(json.dumps(content, indent=1))

    run = Run(profile, save)
    machine["arrays"], machine["absent"] = run.source.name, run.absent
    print(f"{machine['device']['name']}, {profile}, arrays of {run.source.name}", flush=True)
    run.everything()
    machine["took"] = round(time.monotonic() - run.started)
    save(run)
    scratch.replace(record)
    from ..report import write

    print(f"report: {write(record, output)}")
    return 0
