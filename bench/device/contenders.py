"""fastopt and the systems that people use on a GPU, each making the same Adam step on arrays of its own kind.

Before any is timed, `verify` lets it make steps beside the NumPy reference. All take a device, so that tests can run those that
work on the CPU too.
"""

from __future__ import annotations

import functools
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import fastopt

from ..peers import BETAS, EPS, LR, agreement
from . import sources
from .clock import Clock, Waited
from .sources import Source

__all__ = ["CONTENDERS", "COPY", "SUBJECT", "Contender", "missing", "verify"]

SUBJECT, COPY = "fastopt", "copy"
"""What every row has: whose step it is about, and what it is measured against."""


class Contender(ABC):
    """One way to make an Adam step (lr 1e-3, betas 0.9 and 0.999, eps 1e-8, no weight decay) on a device."""

    bytes_of_own = 8
    """Bytes a parameter that it takes beside parameters and gradients: two moments in float32, and what it makes on the way."""

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        self.params = list(params)
        self.new_gradients(grads)

    @staticmethod
    @abstractmethod
    def missing(device: str) -> str | None:
        """What it needs and does not have here, or None."""

    @staticmethod
    @abstractmethod
    def source(device: str) -> Source:
        """Who makes its arrays."""

    @abstractmethod
    def step(self) -> object:
        """One step with the present gradients, launched and not waited for."""

    @abstractmethod
    def new_gradients(self, grads: Sequence[Any]) -> None:
        """Takes other gradient arrays for the next step, as training would hand them over; untimed."""

    def clock(self, device_clock: Clock) -> Clock:
        """The clock that sees its work."""
        return device_clock


class Fastopt(Contender):
    """`fastopt.Adam`."""

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        self.optimizer = fastopt.Adam(list(params), LR, BETAS, EPS)
        super().__init__(params, grads)

    @staticmethod
    def missing(device: str) -> str | None:
        """Nothing: without it there is no run."""
        return None

    @staticmethod
    def source(device: str) -> Source:
        """See `sources.for_fastopt`."""
        return sources.for_fastopt()

    def step(self) -> object:
        """One step."""
        return self.optimizer.step(self.grads)

    def new_gradients(self, grads: Sequence[Any]) -> None:
        """For the next call of `step`."""
        self.grads = list(grads)
        self.step = functools.partial(self.optimizer.step, self.grads)  # type: ignore[method-assign]  # no wrapper in the timed region


class _Torch(Contender):
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        leaves = [p.detach().requires_grad_() for p in params]  # the same memory
        super().__init__(leaves, grads)
        self.optimizer = self.build()
        self.step = self.optimizer.step  # type: ignore[method-assign]  # no wrapper in the timed region

    def build(self) -> Any:
        import torch

        return torch.optim.Adam(self.params, lr=LR, betas=BETAS, eps=EPS, **self.options)

    @staticmethod
    def missing(device: str) -> str | None:
        if importlib.util.find_spec("torch") is None:
            return "needs torch"
        import torch

        return "needs a torch with CUDA" if device == "cuda" and not torch.cuda.is_available() else None

    @staticmethod
    def source(device: str) -> Source:
        return sources.OfTorch(device)

    def step(self) -> object:
        return self.optimizer.step()

    def new_gradients(self, grads: Sequence[Any]) -> None:
        for p, g in zip(self.params, grads, strict=True):
            p.grad = g


class TorchFused(_Torch):
    """`torch.optim.Adam(fused=True)`."""

    options: ClassVar = {"fused": True}


class TorchForeach(_Torch):
    """`torch.optim.Adam(foreach=True)`: what PyTorch takes on a GPU unless told otherwise."""

    options: ClassVar = {"foreach": True}
    bytes_of_own = 16


class TorchCapturable(_Torch):
    """`torch.optim.Adam(fused=True, capturable=True)`: the one that may be captured into a CUDA graph."""

    options: ClassVar = {"fused": True, "capturable": True}


class Apex(_Torch):
    """`apex.optimizers.FusedAdam`, in the mode that is Adam and not AdamW."""

    def build(self) -> Any:
        from apex.optimizers import FusedAdam

        return FusedAdam(self.params, lr=LR, betas=BETAS, eps=EPS, adam_w_mode=False, weight_decay=0.0)

    @staticmethod
    def missing(device: str) -> str | None:
        """Apex is on the GPU or nowhere, and has its kernels only where it was built with them (`amp_C`)."""
        if device != "cuda":
            return "needs a GPU"
        if any(importlib.util.find_spec(module) is None for module in ("apex", "amp_C")):
            return "needs apex, built with its CUDA extensions"
        return _Torch.missing(device)


@functools.cache
def _optax_update() -> tuple[Any, Any]:
    """The rule and its jitted update, one for all: what was compiled for some shapes is compiled for them."""
    import jax
    import optax

    rule = optax.adam(LR, *BETAS, eps=EPS)

    def update(held: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
        changes, state = rule.update(gradients, state, held)
        return optax.apply_updates(held, changes), state

    return rule, jax.jit(update, donate_argnums=(0, 1))


class Optax(Contender):
    """`optax.adam` under `jax.jit` with donated buffers; on streams of JAX's own, so its blocks are timed until all is done."""

    bytes_of_own = 24  # parameters and gradients of its own, the moments, and room to move while it compiles

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        import jax

        self.jax = jax
        super().__init__(params, grads)
        rule, self.update = _optax_update()
        self.state = rule.init(self.params)

    @staticmethod
    def missing(device: str) -> str | None:
        """JAX for the CPU is no peer on a GPU."""
        if any(importlib.util.find_spec(module) is None for module in ("jax", "optax")):
            return "needs jax and optax"
        try:
            sources.OfJax(device)
        except RuntimeError:  # JAX's answer where it has no such device
            return "needs a jax with CUDA: pip install 'jax[cuda13]'"
        return None

    @staticmethod
    def source(device: str) -> Source:
        """JAX's arrays."""
        return sources.OfJax(device)

    def step(self) -> object:
        """One step; the arrays that went in are gone afterwards."""
        self.params, self.state = self.update(self.params, self.state, self.grads)
        return None

    def new_gradients(self, grads: Sequence[Any]) -> None:
        """For the next step."""
        self.grads = list(grads)

    def clock(self, device_clock: Clock) -> Clock:
        """JAX's streams do not wait for the default stream, nor it for them: no event there would see the work."""
        return Waited(lambda: self.jax.block_until_ready((self.params, self.state)), "host, waited for")


class Cupy(Contender):
    """A `cupy.ElementwiseKernel` written by hand, one launch a tensor: what a CuPy user would write."""

    bytes_of_own = 16  # parameters and gradients of its own

    def __init__(self, params: Sequence[Any], grads: Sequence[Any]) -> None:
        import cupy

        super().__init__(params, grads)
        self.moments = [(cupy.zeros_like(p), cupy.zeros_like(p)) for p in self.params]
        self.steps = 0
        self.kernel = cupy.ElementwiseKernel(
            "float32 g, float32 rest_1, float32 rest_2, float32 rate, float32 correction, float32 eps",
            "float32 p, float32 m, float32 v",
            "m += rest_1 * (g - m); v += rest_2 * (g * g - v); p -= rate * m / (sqrt(v) * correction + eps)",
            "adam",
        )

    @staticmethod
    def missing(device: str) -> str | None:
        """CuPy is on the GPU or nowhere."""
        if device != "cuda":
            return "needs a GPU"
        return "needs cupy" if importlib.util.find_spec("cupy") is None else None

    @staticmethod
    def source(device: str) -> Source:
        """CuPy's arrays."""
        return sources.OfCupy()

    def step(self) -> object:
        """One step."""
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in BETAS)
        rate, correction = LR / first, second**-0.5
        for p, g, (m, v) in zip(self.params, self.grads, self.moments, strict=True):
            self.kernel(g, 1 - BETAS[0], 1 - BETAS[1], rate, correction, EPS, p, m, v)
        return None

    def new_gradients(self, grads: Sequence[Any]) -> None:
        """For the next step."""
        self.grads = list(grads)


CONTENDERS: dict[str, type[Contender]] = {
    SUBJECT: Fastopt,
    "torch fused": TorchFused,
    "torch foreach": TorchForeach,
    "apex FusedAdam": Apex,
    "optax jit": Optax,
    "CuPy kernel": Cupy,
}


def missing(device: str) -> dict[str, str]:
    """Those that cannot be measured here, and what they need."""
    reasons = {name: kind.missing(device) for name, kind in CONTENDERS.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


class _FromHost:
    """A contender that is handed host arrays, as `agreement` does."""

    def __init__(self, kind: Callable[[Sequence[Any], Sequence[Any]], Contender], source: Source, params: Any, grads: Any) -> None:
        self.source, self.contender = source, kind(source.place(params), source.place(grads))

    def step(self) -> None:
        self.contender.step()

    def new_gradients(self, grads: Sequence[NDArray[Any]]) -> None:
        self.contender.new_gradients(self.source.place(grads))

    def result(self) -> list[NDArray[Any]]:
        return [np.asarray(self.source.fetch(p)) for p in self.contender.params]


def verify(name: str, device: str, kind: type[Contender] | None = None) -> float:
    """Lets a contender make three steps beside the reference. Raises AssertionError if it does not compute Adam."""
    kind = kind or CONTENDERS[name]
    source = kind.source(device)
    return agreement(name, lambda params, grads: _FromHost(kind, source, params, grads))
