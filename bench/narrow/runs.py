"""Four trainings, paired: the same first parameters and the same mini-batches under every storage, for each of several seeds.

Each is Adam with a learning rate that falls along a cosine, so that what is compared in the end is where a run came to, and not where the
noise of its last steps threw it. The final loss is of all samples, or of every n-th.

One more run beside float32 begins with parameters that are one bit in the last place larger: how far it ends from where the other one did
is how far nothing at all can make a run end.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

import fastopt
from fastopt.schedules import Cosine

from ..arrays import Array
from ..losses import l2_penalty
from ..workloads import china, digits, endless_mini_batches
from .effort import Effort
from .storages import FLOAT32, NARROW, Given, built, bytes_held, here
from .text import CharacterModel, text

__all__ = ["NUDGED", "ROUNDED", "SETS", "TASKS", "Ending", "Job", "Set", "Task", "differences", "endings", "trained"]

NUDGED = Given("float32, one bit off", {})
"""Float32 from parameters that are (1 + 2^-23) times as large."""

ROUNDED = Given("float32, rounded at the end", {})
"""Float32 whose last parameters are rounded to bfloat16."""

POINTS = 60
"""Stretches of a run whose mean losses are kept."""


@dataclass(frozen=True)
class Task:
    """A training.

    Attributes
    ----------
    title, unit
        For tables and pictures; of the loss.
    network, x, y
        What is trained on which samples.
    batch, steps, lr
        Samples of a mini-batch, how many of them, the learning rate that the cosine begins with.
    every
        The final loss is of every so many-th sample.
    l2
        Weight decay, and the factor of the penalty that the final loss includes.
    """

    title: str
    unit: str
    network: Any
    x: Array
    y: Array
    batch: int
    steps: int
    lr: float
    every: int = 1
    l2: float = 0.0

    def final_loss(self, params: list[Array]) -> float:
        """The loss of all samples, or of every n-th, and the penalty on the parameters."""
        loss, _ = self.network.loss_and_gradients(params, self.x[:: self.every], self.y[:: self.every])
        return float(loss + l2_penalty(params, self.l2))


def _digits() -> Task:
    """With a penalty, so that the loss has an end to compare."""
    data = digits()
    return Task("digits", "nats", data.network((128,)), data.x, data.y, batch=64, steps=1_160, lr=1e-3, l2=1e-3)


def _by_heart() -> Task:
    """Without one the digits are learned by heart, and the loss is on its way to 0: whoever makes larger steps is farther there."""
    data = digits()
    return Task("digits by heart", "nats", data.network((64,)), data.x, data.y, batch=32, steps=1_140, lr=2e-3)


def _photograph() -> Task:
    data = china()
    return Task("photograph", "squared error", data.network((64, 64)), data.x, data.y, batch=256, steps=2_000, lr=3e-3, every=7)


def _characters() -> Task:
    read = text()
    model = CharacterModel(len(read.alphabet), context=10, width=16, hidden=128)
    x, y = read.samples(model.context)
    return Task("characters", "nats", model, x, y, batch=128, steps=2_000, lr=3e-3, every=61)


TASKS: dict[str, Callable[[], Task]] = {
    "digits": cache(_digits),
    "digits by heart": cache(_by_heart),
    "photograph": cache(_photograph),
    "characters": cache(_characters),
}
"""By title; each is made when it is first asked for."""


class Set(NamedTuple):
    """Runs that are compared: of which tasks, and under which storages, float32 first."""

    tasks: Callable[[], list[str]]
    storages: Callable[[], list[Given]]


SETS = {
    "states": Set(lambda: list(TASKS), lambda: [*here(), NUDGED]),
    "parameters": Set(lambda: ["digits", "characters"], lambda: [FLOAT32, ROUNDED, *NARROW]),
}
"""By what is narrow."""


class Job(NamedTuple):
    """A run: of which task, under which storage by its label, from which seed, how many times the task's steps long, and of which set."""

    task: str
    label: str
    seed: int
    length: float
    of: str = "states"


class Ending(NamedTuple):
    """What there is to say of a run.

    The final loss, bytes of states held a parameter, and the mean loss of its mini-batches over stretches that end at these steps.
    """

    final: float
    held: float
    steps: Array
    losses: Array


def trained(job: Job) -> Ending:
    """Makes a run, in one thread.

    An overflow is no error here: what a storage does that has not the range is what is to be seen.
    """
    from threadpoolctl import threadpool_limits

    task = TASKS[job.task]()
    given = next(given for given in SETS[job.of].storages() if given.label == job.label)
    steps = max(1, round(job.length * task.steps))
    params = task.network.initial_params(job.seed)
    if given is NUDGED:
        for p in params:
            p *= np.float32(1.0 + 2.0**-23)
    kept = [given.array(p) for p in params]
    optimizer = built(fastopt.Adam, kept, given, lr=Cosine(task.lr, steps), weight_decay=task.l2, num_threads=1)
    losses = []
    with threadpool_limits(1), np.errstate(all="ignore"):
        for rows in islice(endless_mini_batches(len(task.y), task.batch, job.seed), steps):
            params = [p.astype(np.float32, copy=False) for p in kept]
            loss, gradients = task.network.loss_and_gradients(params, task.x[rows], task.y[rows])
            optimizer.step([given.array(g) for g in gradients])
            losses.append(loss)
        last = [NARROW[0].array(p) for p in kept] if given is ROUNDED else kept
        final = task.final_loss([p.astype(np.float32, copy=False) for p in last])
    ends = np.unique(np.linspace(0, steps, min(POINTS, steps) + 1).astype(int))[1:]
    held = bytes_held(optimizer) / sum(p.size for p in params)
    return Ending(final, held, ends, np.array([stretch.mean() for stretch in np.split(np.array(losses), ends[:-1])]))


@lru_cache(maxsize=len(SETS))
def endings(effort: Effort, of: str = "states") -> dict[Job, Ending]:
    """Every run of a set: each task under each storage, from each seed; shared out over processes. Made once."""
    labels, tasks = [given.label for given in SETS[of].storages()], SETS[of].tasks()[::-1]
    jobs = [Job(task, label, seed, effort.length, of) for task in tasks for seed in range(effort.seeds) for label in labels]
    if effort.processes == 1:
        return {job: trained(job) for job in jobs}
    # new processes, since forked ones would share what the threads of this one hold
    with ProcessPoolExecutor(min(effort.processes, len(jobs)), multiprocessing.get_context("spawn")) as pool:
        return dict(zip(jobs, pool.map(trained, jobs), strict=True))


def differences(effort: Effort, task: str, label: str, of: str = "states") -> Array:
    """How much larger the final loss is than float32's from the same seed, in percent; infinite where it is no number."""
    found = endings(effort, of)
    pairs = [[found[Job(task, own, seed, effort.length, of)].final for own in (label, FLOAT32.label)] for seed in range(effort.seeds)]
    with np.errstate(all="ignore"):
        percent = np.array([100.0 * (own / beside - 1.0) for own, beside in pairs])
    return np.where(np.isfinite(percent), percent, np.inf)
