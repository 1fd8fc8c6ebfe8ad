"""Training on real data, measured: what the update costs inside a whole step.

The same network is trained from the same start over the same mini-batches several times, each time with Adam on another
backend, or with NumPy's at its best. The runs take turns in blocks of steps, all in one process, so a speed-up is a ratio of
two neighbouring blocks. A step is all that a user waits for: fetching the mini-batch, forward, backward and `opt.step`, which
is timed on its own too.

The runs must stay the same bits: every loss, and every parameter at the end. That asks the same of what is not fastopt's.
NumPy's and OpenBLAS's results here do not depend on where a fresh array happens to lie: measured over the products and
reductions of these networks, at offsets of 0 to 60 bytes from a page's start, with one BLAS thread and with two (OpenBLAS
0.3.31, AVX-512). They may depend on the number of BLAS threads, which nothing changes between the blocks. On a machine
where one of these does not hold, the assertion below fails and the row is not recorded.

BLAS keeps the number of threads that it has by default, as in a user's process. Its idle threads poll for a while, and so
do OpenMP's: what they take from each other where cores are few is part of what a step costs there, and is in the figures.

A round trip of a cache line between two CPUs is timed before each round. Both of them write parts of every
gradient and parameter here, so it decides on what the update and the products cost; and a host may move a virtual machine's CPUs
from one moment to the next.

The reference is textbook NumPy, a new array for every operation. From some hundred KiB an array on, most of its time may
go to the system: glibc hands freed memory back and takes it again, page by page (at 512 x 512: 1,000 page faults a step,
four fifths of the update). So a speed-up over it is one over NumPy as it is usually written; beside it stands the best that NumPy can
do, with `out=` and kept buffers (`bench.in_place`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import Any

import numpy as np

import fastopt
from fastopt import backends
from fastopt.host.launched import round_trip

from .arrays import Array
from .in_place import NAME, InPlace
from .interleave import in_turns, without_collector
from .layered import Run
from .networks import Network
from .ours import REFERENCE
from .records import Row
from .workloads import WORKLOADS, Workload, endless_mini_batches, steps_per_epoch

__all__ = ["ALL_ROWS", "PARTS", "Cell", "Effort", "Training", "contenders", "measured"]

SEED = 0
ALL_ROWS, CURVE_POINTS = -1, 40
"""A full batch, whatever the number of samples; the most points that a recorded loss curve has."""

PARTS = "parts"
"""The sweep of cells whose network has all parts."""


@dataclass(frozen=True)
class Cell:
    """One network and mini-batch size. `sweep` says which of the two is varied along the row's neighbours, or that it has all parts."""

    workload: str
    hidden: tuple[int, ...]
    batch: int
    sweep: str = "batch"

    def __str__(self) -> str:
        label = f"{self.workload}-{'x'.join(map(str, self.hidden))}-batch{'full' if self.batch == ALL_ROWS else self.batch}"
        return f"{label}-{PARTS}" if self.sweep == PARTS else label

    def network(self, workload: Workload) -> Network | Run:
        """What is trained, at its beginning: each training has its own."""
        return workload.network_of_all_parts(self.hidden) if self.sweep == PARTS else workload.network(self.hidden)


@dataclass(frozen=True)
class Effort:
    """How much a profile measures: its cells, those with every backend (not only "auto"), seconds of timing and rounds a cell."""

    cells: list[Cell]
    every_backend: set[Cell]
    seconds: float
    rounds: int


FEWEST_ROUNDS = 3


def contenders(*, every: bool) -> list[str]:
    """Who updates: the backend that "auto" picks first, then the reference, NumPy in place, and, if asked for, the other backends."""
    picked = fastopt.Adam(np.zeros(1, np.float32)).backend
    others = [name for name in backends.on_host() if every and name not in (REFERENCE, picked)]
    return [picked, REFERENCE, NAME, *others] if picked != REFERENCE else [REFERENCE]


@dataclass
class Training:
    """One run: its own parameters and optimizer, and its own walk over the same mini-batches as every other run."""

    workload: Workload
    network: Network | Run
    batch: int
    contender: str
    losses: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    update_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.params: Any = self.network.initial_params(SEED)
        self.arrays: list[Array] = list(self.params.values()) if isinstance(self.params, dict) else self.params
        self.optimizer: Any = InPlace(self.params) if self.contender == NAME else fastopt.Adam(self.params, backend=self.contender)
        self.mini_batches = endless_mini_batches(self.workload.samples, self.batch, SEED)

    def block(self, steps: int) -> None:
        """Some training steps; keeps each one's loss, and seconds a step of the whole and of the update."""
        now = time.perf_counter
        x, y = self.workload.x, self.workload.y
        update = 0.0
        start = now()
        for rows in islice(self.mini_batches, steps):
            loss, gradients = self.network.loss_and_gradients(self.params, x[rows], y[rows])
            before = now()
            self.optimizer.step(gradients)
            update += now() - before
            self.losses.append(loss)
        self.step_seconds.append((now() - start) / steps)
        self.update_seconds.append(update / steps)


def measured(effort: Effort, cell: Cell) -> Row:
    """A cell's row: its runs take turns, and have the same losses and parameters to the last bit. Raises AssertionError where not."""
    workload = WORKLOADS[cell.workload]()
    batch = workload.samples if cell.batch == ALL_ROWS else cell.batch
    names = contenders(every=cell in effort.every_backend)
    trainings = {name: Training(workload, cell.network(workload), batch, name) for name in names}

    distances = []
    with without_collector():
        steps, rounds = _warm_up(list(trainings.values()), effort)
        for turn, name in enumerate(in_turns(names, rounds)):
            if turn % len(names) == 0:
                distances.append(round_trip())
            trainings[name].block(steps)

    reference = trainings[REFERENCE]
    for name, training in trainings.items():
        assert training.losses == reference.losses, f"{name}: other losses than the reference"
        assert _bits(training) == _bits(reference), f"{name}: other parameters than the reference"
    assert all(map(math.isfinite, reference.losses))
    assert all(p.dtype == np.float32 for p in reference.arrays)

    about = {
        "group": "training",
        "label": str(cell),
        "workload": cell.workload,
        "sweep": cell.sweep,
        "width": cell.hidden[0],
        "layers": len(cell.hidden),
        "batch": batch,
        "samples": workload.samples,
        "parameters": sum(p.size for p in reference.arrays),
        "steps_per_round": steps,
        "steps_timed": steps * rounds,
        "steps_per_epoch": steps_per_epoch(workload.samples, batch),
        "denormal_state": _denormal_share(reference),
        "round_trips": distances,
    }
    own = {
        name: {
            "update_seconds": training.update_seconds,
            "update_share": median(u / s for u, s in zip(training.update_seconds, training.step_seconds, strict=True)),
            "losses": _curve(training.losses),
        }
        for name, training in trainings.items()
    }
    return Row(about, {name: np.array(training.step_seconds) for name, training in trainings.items()}, own)


def _warm_up(trainings: list[Training], effort: Effort) -> tuple[int, int]:
    """First steps of every run, untimed (compilation, first touch of the state): how many steps make a block, and how many blocks."""
    _block_of_each(trainings, 1)
    steps = 1
    while (took := _block_of_each(trainings, steps)) < 0.1 * effort.seconds:
        steps *= 2
    for training in trainings:
        training.step_seconds.clear()
        training.update_seconds.clear()
    one_of_each = took / steps
    steps = max(1, int(effort.seconds / effort.rounds / one_of_each))
    return steps, max(FEWEST_ROUNDS, min(effort.rounds, int(effort.seconds / (steps * one_of_each))))


def _block_of_each(trainings: list[Training], steps: int) -> float:
    start = time.perf_counter()
    for training in trainings:
        training.block(steps)
    return time.perf_counter() - start


def _bits(training: Training) -> list[bytes]:
    return [p.tobytes() for p in training.arrays]


def _curve(losses: list[float]) -> dict[str, list[float]]:
    """At most `CURVE_POINTS` points: the mean loss of as many equal stretches, and the step each one ends at.

    The losses themselves were compared before; of mini-batches of one sample, single values show nothing but noise.
    """
    ends = np.unique(np.linspace(0, len(losses), min(CURVE_POINTS, len(losses)) + 1).astype(int))[1:]
    stretches = np.split(np.array(losses), ends[:-1])
    return {"steps": ends.tolist(), "values": [float(stretch.mean()) for stretch in stretches]}


def _denormal_share(training: Training) -> float:
    """The part of the state that has decayed to denormal numbers (units that no sample reaches): these cost extra in any update."""
    states = training.optimizer.state_dict()["state"].values()
    arrays = [np.abs(array) for values in states for array in (values.values() if isinstance(values, dict) else values)]
    denormal = sum(np.count_nonzero((array > 0) & (array < np.finfo(array.dtype).smallest_normal)) for array in arrays)
    return float(denormal / sum(array.size for array in arrays))
