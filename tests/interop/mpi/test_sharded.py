"""NumPy over MPI: processes of `mpiexec`, which `ranks` says what to do and what to expect."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.documents import ROOT
from tests.launchers import LIMIT, mpiexec, no_mpi

if (why := no_mpi()) is not None:
    pytest.skip(why, allow_module_level=True)

FAILING = """
import time
import numpy as np, fastopt
from mpi4py import MPI
from fastopt.interop.mpi import Sharded, abort_on_error
abort_on_error()
opt = Sharded(fastopt.SGD, np.ones(1000), lr=0.1)
for k in range(1000):
    if k == 3 and MPI.COMM_WORLD.rank == 1:
        {how}
    opt.step(np.ones(1000))
    time.sleep(0.001)
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What became of each function on each of so many ranks; they are started once."""
    known: dict[int, list[dict[str, str]]] = {}

    def of(ranks: int) -> list[dict[str, str]]:
        if ranks not in known:
            folder = tmp_path_factory.mktemp("ranks")
            done = mpiexec(ranks, "-m", "mpi4py", "-m", "tests.interop.mpi.ranks", str(folder))
            paths = [folder / f"{rank}.json" for rank in range(ranks)]
            known[ranks] = [json.loads(path.read_text()) if path.exists() else {"": done.stderr} for path in paths]
        return known[ranks]

    return of


def names() -> list[str]:
    """The functions, without importing them: that would make an MPI process of this one."""
    folder = ROOT / "tests" / "interop" / "mpi"
    lines = [line for name in ("ranks.py", "refused.py") for line in (folder / name).read_text(encoding="utf-8").splitlines()]
    return [line.removeprefix("def ").partition("(")[0] for before, line in pairwise(lines) if before == "@together"]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("name", names())
def test_together(name: str, ranks: int, found: Any) -> None:
    for rank, outcomes in enumerate(found(ranks)):
        assert outcomes.get(name) == "passed", f"rank {rank} of {ranks}:\n{outcomes.get(name, list(outcomes.values())[-1:])}"


def test_one_rank_is_the_optimizer_itself() -> None:
    script = """
import numpy as np, fastopt
from fastopt.interop.mpi import Sharded
p, q = np.ones((30, 40)), np.ones((30, 40))
ours, theirs = Sharded(fastopt.Adam, p, max_norm=0.5, nonfinite="raise"), fastopt.Adam(q, max_norm=0.5, nonfinite="raise")
g = np.random.default_rng(0).standard_normal((30, 40))
assert ours.step(g) and theirs.step(g) and (p == q).all() and ours.grad_norm == theirs.grad_norm
assert (ours.state_dict()["state"]["m"] == theirs.state_dict()["state"]["m"]).all()
ours.load_state_dict(theirs.state_dict())
assert ours.step(g, grad_scale=2.0, max_norm=0.1) and theirs.step(g, grad_scale=2.0, max_norm=0.1) and (p == q).all()
"""
    done = mpiexec(1, "-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise ValueError('a rank that fails')", "ValueError: a rank that fails"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ""),
    ],
    ids=["raises", "killed"],
)
def test_a_rank_that_ends_ends_the_others(how: str, said: str) -> None:
    begin = time.monotonic()
    done = mpiexec(2, "-c", FAILING.format(how=how))
    assert done.returncode != 0
    assert said in done.stderr
    assert time.monotonic() - begin < LIMIT
