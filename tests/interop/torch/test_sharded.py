"""DDP, ZeroRedundancyOptimizer and FSDP2 with the drop-ins: two processes over gloo, which `ranks` says what to do and what to expect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launchers import no_gloo

torch = pytest.importorskip("torch")
if (why := no_gloo()) is not None:
    pytest.skip(why, allow_module_level=True)

import fastopt.interop.torch as dropins
from tests.documents import ROOT
from tests.interop.torch.ranks import RANKS, TOGETHER

LIMIT = 120


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What became of each function, on each rank. All are run by one pair of processes: to import torch takes longer than they do."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.interop.torch.ranks"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(RANKS), str(folder)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        said = [rank.communicate(timeout=LIMIT) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0] * RANKS, said
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(RANKS)]


@pytest.mark.parametrize("name", [function.__name__ for function in TOGETHER])
def test_together(name: str, found: list[dict[str, str]]) -> None:
    for rank, outcomes in enumerate(found):
        assert outcomes.get(name, "not run, after what failed before") == "passed", f"rank {rank}:\n{outcomes.get(name)}"


def test_tensors_that_stand_for_others_are_refused_but_for_dtensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with (
        FakeTensorMode(),
        pytest.raises(TypeError, match=r"params\[0\]\[0\]: expected a tensor with memory of its own, received FakeTensor"),
    ):
        dropins.SGD([torch.ones(3)], lr=0.1)


@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_a_group_has_no_norm_of_its_own(max_norm: float | None) -> None:
    groups = [{"params": [torch.ones(3)], "max_norm": max_norm}]
    if max_norm is None:  # what ZeroRedundancyOptimizer hands over by default
        dropins.SGD(groups, lr=0.1, max_norm=max_norm)
    else:
        with pytest.raises(ValueError, match=r"max_norm: expected one for all groups of an optimizer that has all parameters"):
            dropins.SGD(groups, lr=0.1)


@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_an_optimizer_without_parameters_steps(name: str) -> None:
    """What a rank of a ZeroRedundancyOptimizer has where there are fewer parameters than ranks."""
    optimizer = getattr(dropins, name)([{"params": []}], lr=0.1, max_norm=1.0)
    optimizer.step()
    assert optimizer.grad_norm == 0.0
    optimizer.load_state_dict(optimizer.state_dict())
    p = torch.ones(2)
    p.grad = torch.ones(2)
    optimizer.add_param_group({"params": [p]})
    optimizer.step()
    assert bool((p < 1).all())
