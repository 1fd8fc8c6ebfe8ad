"""A step in a CUDA graph, captured and replayed through PyTorch: fastopt's beside PyTorch's own fused one.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..peers import Peer
from ..peers.pytorch import TorchFused
from ..sources import OfTorch, Source
from . import sources
from .contenders import SUBJECT, Fastopt

__all__ = ["GRAPHS", "missing"]

WARM_UPS = 3
"""Steps on a side stream before the capture: states are made in the first, and libraries get ready."""


def missing() -> str | None:
    """Why no graph can be captured here, or None."""
    if not isinstance(sources.for_fastopt(), OfTorch):
        return "graphs are captured through PyTorch: needs a torch with CUDA"
    return None


def _capture(step: Callable[[], object]) -> Any:
    """The graph of one step."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


class _Graph(Peer):
    """A contender whose step is the replay of a captured one; gradients are copied to where it reads them."""

    kind: ClassVar[type[Peer]]

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        self.params, self.grads = list(params), list(grads)
        start = [p.clone() for p in params]
        self.inner: Any = self.kind(params, grads)
        self.graph = _capture(self.inner.step)
        for p, value in zip(self.params, start, strict=True):
            p.copy_(value)
        self.forget()

    @abstractmethod
    def forget(self) -> None:
        """Takes the states back to zero, as they were before the warm-up."""

    @staticmethod
    def missing(device: str) -> str | None:
        return missing()

    @staticmethod
    def source(device: str) -> Source:
        return OfTorch(device)

    def new_gradients(self, grads: Sequence[Any]) -> None:
        for own, g in zip(self.grads, grads, strict=True):
            own.copy_(g)


class FastoptGraph(_Graph):
    """`advance()`, which brings the step's scalars to the device, and the replay."""

    name = SUBJECT
    kind = Fastopt

    def forget(self) -> None:
        """See `_Graph`."""
        fresh = Fastopt([p.clone() for p in self.params], self.grads)
        self.inner.optimizer.load_state_dict(fresh.optimizer.state_dict())

    def step(self) -> object:
        """One step."""
        self.inner.optimizer.advance()
        return self.graph.replay()


class TorchCapturable(TorchFused):
    """`torch.optim.Adam(fused=True, capturable=True)`: the one that may be captured into a CUDA graph."""

    name = "torch fused, capturable"
    options: ClassVar = {"fused": True, "capturable": True}


class TorchGraph(_Graph):
    """The replay; the step count lies on the device and is raised there."""

    name = "torch fused, capturable"
    kind = TorchCapturable

    def forget(self) -> None:
        """See `_Graph`."""
        for state in self.inner.optimizer.state.values():
            for value in state.values():
                value.zero_()

    def step(self) -> object:
        """One step."""
        return self.graph.replay()


GRAPHS: dict[str, type[Peer]] = {kind.name: kind for kind in (FastoptGraph, TorchGraph)}
