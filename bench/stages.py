"""What each stage of a step costs, alone and all together, beside its bytes and beside PyTorch doing the same work in calls of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastopt
from fastopt.kernel import Kernel

from .arrays import random_arrays
from .interleave import Contender, interleave
from .ours import here
from .peers import LR, PEERS, absent
from .records import Row, row_of

__all__ = ["BESIDE", "CALLS", "EVERY", "OPTIONS", "PEER", "PLAIN", "SUMMED", "InCalls", "bytes_of", "measured", "stepping", "verify"]

SCALE, MAX_NORM, DECAY, WEIGHT_DECAY = 1024.0, 1.0, 0.999, 0.01
SLOW = (0.9999, 0.999)
"""Betas with which states of gradients that are 0 do not become denormal while they are measured."""

GRADIENTS = 4

PLAIN, EVERY, SUMMED = "no stage", "all of them", f"accumulate={GRADIENTS}, {GRADIENTS} gradients"
TOGETHER: dict[str, Any] = {"max_norm": MAX_NORM, "weight_decay": WEIGHT_DECAY, "decoupled_weight_decay": True, "ema_decay": DECAY}
OPTIONS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "grad_scale": {},
    "clip_value": {"clip_value": 1.0},
    "decoupled weight decay": {"weight_decay": WEIGHT_DECAY, "decoupled_weight_decay": True},
    "ema_decay": {"ema_decay": DECAY},
    "zero_grads": {"zero_grads": True},
    "max_norm": {"max_norm": MAX_NORM},
    "nonfinite='skip'": {"nonfinite": "skip"},
    EVERY: {**TOGETHER, "zero_grads": True},
    SUMMED: {"accumulate": GRADIENTS},
}
"""By what is asked for; `EVERY` is what the same work by PyTorch stands beside, and has `grad_scale` too."""

PEER = "torch fused"
CALLS = "torch, in its own calls"
BESIDE = [PEER, CALLS] if PEER not in absent() else []


def measured(size: int, seconds: float, threads: int) -> Row:
    """Steps over so many parameters, in turns; the bytes of each stand beside its times."""
    if BESIDE:
        verify()
    (p,), (g,) = random_arrays([size], np.float32, seed=0), random_arrays([size], np.float32, seed=1)
    g *= np.float32(SCALE)
    # cython compiles a kernel with stages when it is first used, which takes Cython: not every machine that measures has it
    backend = next(own for own in here() if own != "fastopt cython").removeprefix("fastopt ")
    moved: dict[str, float] = {}
    contenders: dict[str, Contender] = {}
    for name, options in OPTIONS.items():
        opt = fastopt.Adam(p, LR, SLOW, backend=backend, num_threads=threads, **options)
        moved[name] = bytes_of(name, opt._kernels[0])
        contenders[name] = Contender(stepping(name, opt, g))
    for name in BESIDE:
        calls = InCalls(p, g, threads)
        contenders[name] = Contender(calls.step if name == CALLS else calls.optimizer.step, polls=True)
    rounds = interleave(contenders, seconds)
    return row_of(rounds, group="stages", label=f"{size:,}", tensors=1, elements=size, backend=backend, threads=threads, moved=moved)


def stepping(name: str, opt: Any, g: Any) -> Callable[[], object]:
    if name == SUMMED:

        def summed() -> None:
            for _ in range(GRADIENTS):
                opt.step(g)

        return summed
    if name in ("grad_scale", EVERY):
        return lambda: opt.step(g, grad_scale=SCALE)
    return lambda: opt.step(g)


def bytes_of(name: str, kernel: Kernel) -> float:
    """What a parameter's step moves at the least: what its kernel does, and what looks at gradients or adds them up before it."""
    looked_at = kernel.gradient.itemsize * (name in ("max_norm", "nonfinite='skip'", EVERY))
    summed = 8 + 12 * (GRADIENTS - 1) if name == SUMMED else 0
    return kernel.bytes_per_parameter + looked_at + summed


class InCalls:
    """What `EVERY` asks for, as PyTorch's users write it: unscale, clip, step, average, zero; each goes over all it needs once more."""

    def __init__(self, p: Any, g: Any, threads: int) -> None:
        import torch

        PEERS[PEER].limit(threads)
        self.torch = torch
        self.parameter = torch.nn.Parameter(torch.from_numpy(p.copy()))
        self.parameter.grad = torch.from_numpy(g.copy())
        self.average = torch.from_numpy(p.copy())
        self.optimizer = torch.optim.AdamW([self.parameter], lr=LR, betas=SLOW, weight_decay=WEIGHT_DECAY, fused=True)
        self.found, self.inverse = torch.zeros(1), torch.full((1,), 1 / SCALE)
        self.averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY)

    def step(self) -> None:
        """One training step's end."""
        torch: Any = self.torch
        # what `torch.amp.GradScaler.unscale_` calls, without asking whether what was found is finite
        torch._amp_foreach_non_finite_check_and_unscale_([self.parameter.grad], self.found, self.inverse)
        torch.nn.utils.clip_grad_norm_([self.parameter], MAX_NORM)
        self.optimizer.step()
        self.averaging([self.average], [self.parameter.detach()], 0)
        self.optimizer.zero_grad(set_to_none=False)


def verify() -> float:
    """The largest difference of a parameter or an average after one step of both. Raises AssertionError where they do not do the same."""
    (p,), (g,) = random_arrays([1_000], np.float32, seed=2), random_arrays([1_000], np.float32, seed=3)
    g += np.sign(g)  # away from 0, where the places for eps show
    calls = InCalls(p, g, 1)
    opt = fastopt.Adam(p, LR, SLOW, backend="numpy", **OPTIONS[EVERY])
    opt.step(g, grad_scale=SCALE)
    calls.step()
    pairs = [(p, calls.parameter.detach()), (opt.averages(), calls.average), (g, calls.parameter.grad)]
    found = max(float(np.abs(ours - theirs.numpy()).max()) for ours, theirs in pairs)
    assert found < 2e-6, f"{CALLS}: parameters, averages or gradients differ by {found}"
    return found
