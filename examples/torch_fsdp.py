"""A network in PyTorch on several processes, with parameters, gradients and fastopt's states divided among them (FSDP2, ZeRO stage 3).

    torchrun --standalone --nproc-per-node 2 examples/torch_fsdp.py [--steps 20] [--width 64]

`fully_shard` makes every parameter a `DTensor`, of which each rank has a part; the optimizer steps on the parts. Halfway, model and
optimizer are written by `torch.distributed.checkpoint`, and a new model with a new optimizer goes on from there. At the end rank 0 trains
once more alone: of two ranks, whose sum has one order, the parameters are the same to the last bit.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import distributed
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import fastopt.interop.torch as optim

BATCH, LR = 32, 3e-3


def network(width: int) -> Any:
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


def divided(width: int, lr: float) -> tuple[Any, Any]:
    """A model whose layers are divided among the ranks one by one, and its optimizer."""
    model = network(width)
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, optim.AdamW(model.parameters(), lr=lr)


def restarted(model: Any, optimizer: Any, width: int) -> tuple[Any, Any]:
    """Another model and another optimizer, that go on from files which all ranks write and read."""
    folder = tempfile.mkdtemp()
    where = [folder]  # that of rank 0, once it was broadcast
    distributed.broadcast_object_list(where)
    dcp.save(dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True)), checkpoint_id=where[0])
    other, again = divided(width, lr=1.0)
    saved = dict(zip(("model", "optimizer"), get_state_dict(other, again), strict=True))
    dcp.load(saved, checkpoint_id=where[0])
    set_state_dict(other, again, model_state_dict=saved["model"], optim_state_dict=saved["optimizer"])
    distributed.barrier()
    shutil.rmtree(folder)
    return other, again


def alone(steps: int, width: int, ranks: int) -> Any:
    """What one process makes of all ranks' parts, by the mean of their gradients."""
    model = network(width)
    optimizer = optim.AdamW(model.parameters(), lr=LR)
    for step in range(steps):
        parts = []
        for rank in range(ranks):
            backward(model, step, rank)
            parts.append([p.grad for p in model.parameters()])
        for p, *grads in zip(model.parameters(), *parts, strict=True):
            p.grad = torch.stack(grads).sum(dim=0) / ranks
        optimizer.step()
    return model


def main() -> None:
    """Trains on all ranks, and compares on the first one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args()
    distributed.init_process_group("gloo")
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    model, optimizer = divided(options.width, LR)
    loss = 0.0
    for step in range(options.steps):
        if step == options.steps // 2:
            model, optimizer = restarted(model, optimizer, options.width)
        loss = backward(model, step, rank)
        optimizer.step()
    held = sum(p.to_local().numel() for p in model.parameters())
    print(f"rank {rank} of {ranks}: last loss {loss:.6f}, {held} of {sum(p.numel() for p in model.parameters())} parameters", flush=True)
    whole = [p.detach().full_tensor() for p in model.parameters()]
    if rank == 0:
        same = all(torch.equal(p, q) for p, q in zip(whole, alone(options.steps, options.width, ranks).parameters(), strict=True))
        print(f"as one process: parameters {same}", flush=True)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
