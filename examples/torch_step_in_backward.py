"""A network whose parameters are stepped in the backward pass, beside the classic step: the same losses to the last bit, in less memory.

    python examples/torch_step_in_backward.py [--steps 50] [--width 1024]

Both begin at the same parameters, see the same mini-batches and follow torch's own schedule. Halfway, the run in the backward pass is
saved, its hooks are taken off, and another one goes on from the checkpoint. Prints the losses, what a whole training step took, and the
most memory that was allocated within one beyond what stood before it.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

import torch

from fastopt.interop.torch import AdamW, step_in_backward

LR, BATCH, LAYERS = 1e-3, 32, 6


def network(width: int) -> torch.nn.Module:
    """Six layers."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for k in range(LAYERS):
        layers += [torch.nn.Linear(8 if k == 0 else width, 1 if k == LAYERS - 1 else width), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def allocated_at_most(step: Any) -> int:
    """The most bytes that torch held within a call beyond those before it."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    held = most = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def train(in_backward: bool, steps: int, width: int) -> tuple[list[float], float, int]:
    """The losses, the median seconds of a step, and the most bytes within one."""
    model = network(width)
    stepper = step_in_backward(model, AdamW, lr=LR) if in_backward else None
    optimizer = AdamW(model.parameters(), lr=LR) if stepper is None else stepper.optimizer
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = torch.Generator().manual_seed(1)
    losses: list[float] = []
    seconds: list[float] = []

    def step() -> None:
        x = torch.randn(BATCH, 8, generator=batches)
        loss = torch.nn.functional.mse_loss(model(x), torch.sin(x.sum(dim=1, keepdim=True)))
        loss.backward()  # and, with hooks, a step
        if stepper is None:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())

    for k in range(steps):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
        schedule.step()
        if stepper is not None and k == steps // 2:
            saved = copy.deepcopy((stepper.optimizer.state_dict(), schedule.state_dict()))
            stepper.remove()
            stepper = step_in_backward(model, AdamW, lr=LR)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(stepper.optimizer, steps)
            stepper.optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
    most = allocated_at_most(step)
    return losses, statistics.median(seconds), most


def main() -> None:
    """Trains both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--width", type=int, default=1024)
    options = parser.parse_args()
    found = {name: train(name == "in the backward pass", options.steps, options.width) for name in ("classic", "in the backward pass")}
    for name, (losses, seconds, most) in found.items():
        print(f"{name:<20}  loss {losses[-1]:.6f}   {1e3 * seconds:.2f} ms a step   {most / 2**20:.1f} MiB at most within one")
    same = found["classic"][0] == found["in the backward pass"][0]
    gradients = sum(4 * p.numel() for p in network(options.width).parameters()) / 2**20
    print(f"the losses are {'the same bits' if same else 'different'}; the gradients together take {gradients:.1f} MiB")


if __name__ == "__main__":
    main()
