"""Networks that every rank has whole: DDP, and ZeroRedundancyOptimizer, which gives each rank some parameters' states."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import fastopt.interop.torch as dropins
from tests.interop.torch.together import alone, network, refused, same, same_states, together, train

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of the torch.jit that it uses there
    from torch.distributed.optim import ZeroRedundancyOptimizer


@together
def ddp(folder: Path) -> None:
    for as_views in (False, True):
        model = DistributedDataParallel(network(), gradient_as_bucket_view=as_views)
        optimizer = dropins.Adam(model.parameters(), lr=0.1, max_norm=0.5)
        train(model, optimizer, 3)
        expected, theirs = alone(lambda params: dropins.Adam(params, lr=0.1, max_norm=0.5), 3)
        same(model, expected)
        assert optimizer.grad_norm == theirs.grad_norm > 0.5


@together
def zero(folder: Path) -> None:
    for as_views in (False, True):
        model = DistributedDataParallel(network())
        layer = model.module[0]
        optimizer = ZeroRedundancyOptimizer(
            layer.parameters(), optimizer_class=dropins.Adam, parameters_as_bucket_view=as_views, lr=0.1, num_threads=1
        )
        train(model, optimizer, 2)
        optimizer.add_param_group({"params": list(model.module[2].parameters()), "lr": 0.01})
        train(model, optimizer, 2, start=2)

        first = network()
        expected, theirs = alone(lambda _: dropins.Adam(first[0].parameters(), lr=0.1), 2, first)  # noqa: B023  (called at once)
        theirs.add_param_group({"params": list(first[2].parameters()), "lr": 0.01})
        alone(lambda _: theirs, 2, expected, start=2)  # noqa: B023
        same(model, expected)

        optimizer.consolidate_state_dict(to=0)
        if distributed.get_rank() == 0:  # all states there, and a single process goes on from them
            saved = optimizer.state_dict()
            again = dropins.Adam([{"params": list(layer.parameters())}, {"params": list(model.module[2].parameters())}])
            again.load_state_dict(saved)
            same_states(again, theirs, model, expected)
            assert [group["lr"] for group in again.param_groups] == [0.1, 0.01]
        held = sum(p.numel() for p in optimizer.optim.state)
        assert 0 < held < sum(p.numel() for p in model.parameters())
        other = ZeroRedundancyOptimizer(layer.parameters(), optimizer_class=dropins.Adam, lr=1.0)
        other.add_param_group({"params": list(model.module[2].parameters())})
        everything = [theirs.state_dict()]
        distributed.broadcast_object_list(everything)
        other.load_state_dict(everything[0])
        train(model, other, 1, start=4)
        alone(lambda _: theirs, 1, expected, start=4)  # noqa: B023
        same(model, expected)


@together
def zero_with_fewer_parameters_than_ranks(folder: Path) -> None:
    for name in ("Adam", "NAdam", "SGD"):
        p, q = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
        optimizer = ZeroRedundancyOptimizer([p], optimizer_class=getattr(dropins, name), lr=0.1)
        theirs = getattr(dropins, name)([q], lr=0.1)
        for made in (optimizer, theirs):
            p.grad = q.grad = torch.ones(3)
            made.step()
        optimizer.consolidate_state_dict()
        assert torch.equal(p, q)
        assert not torch.equal(p, torch.ones(3))


@together
def zero_does_not_clip_to_a_norm_of_one_ranks_parameters(folder: Path) -> None:
    with refused(ValueError, "max_norm: expected one for all groups of an optimizer that has all parameters, received one of params[0]"):
        ZeroRedundancyOptimizer(network().parameters(), optimizer_class=dropins.Adam, max_norm=1.0)
