"""A network in PyTorch, trained by torch's AdamW and by fastopt's: one import is the difference.

    python examples/torch_mlp.py [--steps 300] [--width 256]

Both begin at the same parameters and see the same mini-batches, follow torch's own schedule and clip the gradients' norm: torch in a call
before its step, fastopt within the step. Halfway, fastopt's run is saved and goes on from torch's checkpoint format in a new optimizer.
Prints the losses, and what a whole training step (forward, backward, update) took.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from typing import Any

import torch

import fastopt.interop.torch

LR, DECAY, MAX_NORM, BATCH = 3e-3, 1e-2, 1.0, 32


def network(width: int) -> torch.nn.Module:
    """Four layers."""
    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in ((8, width), (width, width), (width, width), (width, 1)):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def restarted(optimizer: Any, schedule: Any, model: torch.nn.Module, steps: int) -> tuple[Any, Any]:
    """Another optimizer and another schedule, that go on from a file as torch writes it."""
    file = io.BytesIO()
    torch.save((optimizer.state_dict(), schedule.state_dict()), file)
    file.seek(0)
    saved = torch.load(file)
    other = fastopt.interop.torch.AdamW(model.parameters(), max_norm=MAX_NORM)
    again = torch.optim.lr_scheduler.CosineAnnealingLR(other, steps)  # before the optimizer's state, since it sets the learning rate
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    return other, again


def train(ours: bool, steps: int, width: int) -> tuple[float, float]:
    """The mean loss of the last tenth of the steps, and the median seconds of one."""
    model = network(width)
    if ours:
        optimizer: Any = fastopt.interop.torch.AdamW(model.parameters(), lr=LR, weight_decay=DECAY, max_norm=MAX_NORM)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = torch.Generator().manual_seed(1)
    losses, seconds = [], []
    for step in range(steps):
        x = torch.randn(BATCH, 8, generator=batches)
        y = torch.sin(x.sum(dim=1, keepdim=True)) + x[:, :1] * x[:, 1:2]
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        if not ours:
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
        losses.append(loss.item())
        schedule.step()
        if ours and step == steps // 2:
            optimizer, schedule = restarted(optimizer, schedule, model, steps)
    return statistics.mean(losses[-max(1, steps // 10) :]), statistics.median(seconds)


def main() -> None:
    """Trains both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    for name, ours in (("torch.optim.AdamW(fused=True)", False), ("fastopt.interop.torch.AdamW", True)):
        loss, seconds = train(ours, options.steps, options.width)
        print(f"{name:<30} loss {loss:.5f}   {1e3 * seconds:.2f} ms a step")


if __name__ == "__main__":
    main()
