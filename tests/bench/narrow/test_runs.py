"""Trainings under storages: paired, the same again, and shared out."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import fastopt
from bench.narrow import runs
from bench.narrow.effort import Effort
from bench.narrow.runs import NUDGED, TASKS, Ending, Job
from bench.workloads import digits, endless_mini_batches
from fastopt.schedules import Cosine

pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
pytest.importorskip("threadpoolctl")
pytest.importorskip("ml_dtypes")

NEAREST = "bfloat16, to nearest"
SHORT = 40 / 1_160
"""40 steps on the digits."""


def test_a_run_is_adam_under_a_cosine() -> None:
    data, seed = digits(), 3
    network = data.network((128,))
    params = network.initial_params(seed)
    optimizer = fastopt.Adam(params, lr=Cosine(1e-3, 40), weight_decay=1e-3)
    losses = []
    for rows in islice(endless_mini_batches(data.samples, 64, seed), 40):
        loss, gradients = network.loss_and_gradients(params, data.x[rows], data.y[rows])
        optimizer.step(gradients)
        losses.append(loss)
    found = runs.trained(Job("digits", "float32", seed, SHORT))
    penalty = 0.5 * 1e-3 * sum(float(np.sum(p * p)) for p in params)
    assert found.final == pytest.approx(network.loss_and_gradients(params, data.x, data.y)[0] + penalty, rel=1e-5)
    assert found.steps.tolist() == list(range(1, 41))
    assert found.held == 8.0
    assert found.losses == pytest.approx(losses, rel=1e-5)


def test_pairs_begin_alike_and_part() -> None:
    beside, narrow, nudged, other = (
        runs.trained(Job("digits", label, seed, SHORT)) for label, seed in (("float32", 0), (NEAREST, 0), (NUDGED.label, 0), ("float32", 1))
    )
    assert narrow.losses[0] == beside.losses[0] != other.losses[0]
    assert narrow.final != beside.final
    assert 0.0 < abs(nudged.final - beside.final) < 1e-4 * beside.final
    again = runs.trained(Job("digits", NEAREST, 0, SHORT))
    assert (again.final, again.losses.tolist()) == (narrow.final, narrow.losses.tolist())


@pytest.mark.parametrize("task", TASKS)
def test_every_task_learns(task: str) -> None:
    found = runs.trained(Job(task, "float32", 0, 60 / TASKS[task]().steps))
    assert found.final < 0.8 * found.losses[0]
    assert TASKS[task]() is TASKS[task]()
    assert TASKS[task]().title == task


def test_shared_out_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "TASKS", {"digits": TASKS["digits"]})
    monkeypatch.setattr(runs, "here", list)  # one job: a process takes seconds to begin
    alone, shared = (runs.endings.__wrapped__(Effort(sizes=(), seconds=0.0, seeds=1, length=SHORT, processes=count)) for count in (1, 2))
    assert list(alone) == list(shared) == [Job("digits", NUDGED.label, 0, SHORT)]
    for job, ending in alone.items():
        assert (ending.final, ending.losses.tolist()) == (shared[job].final, shared[job].losses.tolist())


def test_differences_are_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    finals = {"float32": (1.0, 2.0, 4.0), NEAREST: (1.01, 1.99, np.nan)}
    made = {
        Job("digits", label, seed, 1.0): Ending(final, 8.0, np.array([1]), np.array([final]))
        for label, own in finals.items()
        for seed, final in enumerate(own)
    }
    monkeypatch.setattr(runs, "endings", lambda effort, of: made)
    found = runs.differences(Effort(sizes=(), seconds=0.0, seeds=3), "digits", NEAREST)
    assert found[:2] == pytest.approx([1.0, -0.5])
    assert found[2] == np.inf
