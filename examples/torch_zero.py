"""A network in PyTorch on several processes, with the states of fastopt's AdamW divided among them (ZeRO, stage 1).

    torchrun --standalone --nproc-per-node 2 examples/torch_zero.py [--steps 20] [--width 64]

`DistributedDataParallel` takes the mean of the ranks' gradients, `ZeroRedundancyOptimizer` gives each rank some of the parameters to step
on, and sends every rank all of them. At the end the states are brought together on rank 0, as a single process has them, and rank 0 trains
once more alone: of two ranks, whose sum has one order, the parameters and the states are the same to the last bit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import distributed
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

import fastopt.interop.torch as optim

BATCH, LR = 32, 3e-3


def network(width: int) -> torch.nn.Module:
    """Three layers, the same on every rank."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(8, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)
    )


def backward(model: Any, step: int, rank: int) -> float:
    """The gradients of a rank's part of a mini-batch, and the loss."""
    x = torch.randn(BATCH, 8, generator=torch.Generator().manual_seed(1000 * step + rank))
    loss = torch.nn.functional.mse_loss(model(x), torch.sin(x.sum(dim=1, keepdim=True)))
    model.zero_grad()
    loss.backward()
    return loss.item()


def alone(optimizer: Callable[[Iterable[Any]], Any], steps: int, width: int, ranks: int) -> tuple[Any, Any]:
    """What one process makes of all ranks' parts, by the mean of their gradients."""
    model = network(width)
    made = optimizer(model.parameters())
    for step in range(steps):
        parts = []
        for rank in range(ranks):
            backward(model, step, rank)
            parts.append([p.grad for p in model.parameters()])
        for p, *grads in zip(model.parameters(), *parts, strict=True):
            p.grad = torch.stack(grads).sum(dim=0) / ranks
        made.step()
    return model, made


def main() -> None:
    """Trains on all ranks, and compares on the first one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args()
    distributed.init_process_group("gloo")
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    model = DistributedDataParallel(network(options.width))
    optimizer = ZeroRedundancyOptimizer(model.parameters(), optimizer_class=optim.AdamW, parameters_as_bucket_view=True, lr=LR)
    loss = 0.0
    for step in range(options.steps):
        loss = backward(model, step, rank)
        optimizer.step()
    held = sum(value.numel() for state in optimizer.optim.state.values() for value in state.values() if value.ndim)
    print(f"rank {rank} of {ranks}: last loss {loss:.6f}, {held} numbers of states", flush=True)
    optimizer.consolidate_state_dict(to=0)
    if rank == 0:
        single, theirs = alone(lambda params: optim.AdamW(params, lr=LR), options.steps, options.width, ranks)
        states, expected = optimizer.state_dict()["state"], theirs.state_dict()["state"]
        same = all(torch.equal(p, q) for p, q in zip(model.parameters(), single.parameters(), strict=True))
        same_states = all(torch.equal(states[k][name], expected[k][name]) for k in expected for name in expected[k])
        print(f"as one process: parameters {same}, states {same_states}", flush=True)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
