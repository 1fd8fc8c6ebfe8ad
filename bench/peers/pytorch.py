"""`torch.optim.Adam`, in the forms that people use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..sources import OfTorch, Source
from .peer import BETAS, EPS, LR, Peer, needs

__all__ = ["Torch", "TorchDefault", "TorchForeach", "TorchFused"]


class Torch(Peer):
    """An optimizer with PyTorch's interface, over leaves in the memory of the tensors that it was given."""

    polls = True
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        super().__init__([p.detach().requires_grad_() for p in params], grads)
        self.optimizer = self.build()
        self.step = self.optimizer.step  # type: ignore[method-assign]  # no wrapper in the timed region

    def build(self) -> Any:
        """The optimizer."""
        import torch

        return torch.optim.Adam(self.params, lr=LR, betas=BETAS, eps=EPS, **self.options)

    @staticmethod
    def missing(device: str) -> str | None:
        """On a GPU it takes a PyTorch with CUDA."""
        if reason := needs("torch"):
            return reason
        import torch

        return "needs a torch with CUDA" if device == "cuda" and not torch.cuda.is_available() else None

    @staticmethod
    def source(device: str) -> Source:
        """PyTorch's tensors."""
        return OfTorch(device)

    @staticmethod
    def limit(threads: int) -> None:
        """For all of PyTorch."""
        import torch

        torch.set_num_threads(threads)

    def step(self) -> object:
        """One step."""
        return self.optimizer.step()

    def new_gradients(self, grads: Sequence[Any]) -> None:
        """For the next step."""
        for p, g in zip(self.params, grads, strict=True):
            p.grad = g


class TorchFused(Torch):
    """`torch.optim.Adam(fused=True)`: one vectorized kernel a tensor, in parallel."""

    name = "torch fused"
    devices = ("cpu", "cuda")
    options: ClassVar = {"fused": True}


class TorchForeach(Torch):
    """`torch.optim.Adam(foreach=True)`: list operations, which the CPU runs tensor by tensor; the default on a GPU."""

    name = "torch foreach"
    devices = ("cpu", "cuda")
    slow = True
    bytes_of_own = 16
    options: ClassVar = {"foreach": True}


class TorchDefault(Torch):
    """`torch.optim.Adam()` as it comes: on the CPU a Python loop over tensors and operations."""

    name = "torch default"
    slow = True
